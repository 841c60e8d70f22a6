"""What ``WSFAST_INSTALL`` asks for, done when the interpreter starts (``wsfast-install.pth`` calls it).

No library is imported for it: each is adapted when the program imports it, if it does. Whatever cannot be
done is a line on standard error; the program goes on as it would without.
"""

from __future__ import annotations

import os
import sys

__all__ = ["start"]

_OPTIONS = ("strict", "force")


def start() -> None:
    """Read the variable: names of libraries, or ``all``, each with options: ``websockets:strict,aiohttp``."""
    from .adapters import HOSTS, install, install_when_imported

    for item in os.environ.get("WSFAST_INSTALL", "").split(","):
        name, *options = item.strip().split(":")
        if not name and not options:
            continue
        try:
            unknown = [option for option in options if option not in _OPTIONS]
            if unknown:
                raise ValueError(f"there is no option {unknown[0]!r}; there are: {', '.join(_OPTIONS)}")
            strict, force = "strict" in options, "force" in options
            if name == "wsaccel":
                # It is to be there also where it is not installed.
                install(name, strict=strict, force=force)
                continue
            for host in HOSTS if name == "all" else (name,):
                install_when_imported(host, strict, force, _tell)
        except Exception as exc:
            _tell(exc)


def _tell(error: Exception) -> None:
    if sys.stderr is not None:
        text = " ".join(str(error).split())
        print(f"wsfast: WSFAST_INSTALL={os.environ.get('WSFAST_INSTALL', '')}: {text}", file=sys.stderr)
