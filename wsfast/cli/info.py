"""``python -m wsfast info``."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

from .. import __version__, _backend
from ..adapters import HOSTS, NOT_ADAPTED, AdapterError, host, installed, is_importable, plan
from ._output import output

__all__ = ["configure", "execute", "report"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = """\
Say which version and backend of wsfast is in use, why the C backend is not if it is not, and
which WebSocket libraries are installed that wsfast.install() and 'run' can speed up.
"""
    parser.add_argument("--json", action="store_true", help="the same as JSON, for programs")


def execute(options: argparse.Namespace) -> int:
    """Print the report."""
    found = report()
    with output():
        if options.json:
            print(json.dumps(found, indent=2))
        else:
            _print(found)
    return 0


def _print(found: dict[str, Any]) -> None:
    print(f"wsfast {found['version']}")
    print(f"  backend      {found['backend']}, kernels: {found['isa']}")
    print(f"  available    {', '.join(found['available_isas'])}")
    if found["no_extension"]:
        print(f"  no C here    {found['no_extension']}")
    if found["rebuild"]:
        print(f"  to build it  {found['rebuild']}")
    print(f"  Python       {found['python']} on {found['platform']}")
    print()
    print("Libraries that wsfast can speed up")
    for library in found["libraries"]:
        state = library["version"] or "not installed"
        print(f"  {library['name']} {state} (supported: {library['supported']})")
        if library["problem"]:
            print(f"    cannot be adapted: {library['problem']}")
        elif library["replaces"]:
            name = library["name"]
            print(f"    wsfast.install({name!r}) replaces")
            for hook in library["replaces"]:
                print(f"      {hook}")
    print()
    print("Libraries with nothing to replace")
    for name, reason in found["not_adapted"].items():
        print(f"  {name}: {reason}")


def report() -> dict[str, Any]:
    """Gather what the command prints, in types that JSON has."""
    return {
        "version": __version__,
        "backend": _backend.backend,
        "isa": _backend.isa,
        "available_isas": list(_backend.available_isas()),
        "no_extension": _why_not_compiled(),
        "rebuild": _backend.REBUILD if _backend.missing_extension is not None else None,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": [_library(name) for name in HOSTS],
        "not_adapted": NOT_ADAPTED,
    }


def _why_not_compiled() -> str | None:
    """Why the twin is in use; ``None`` if it is not."""
    if _backend.backend == "c":
        return None
    for name in ("WSFAST_EXTENSION", "WSFAST_ISA"):
        value = os.environ.get(name, "")
        if value:
            return f"{name}={value} rules it out"
    return f"this installation does not have it ({_backend.missing_extension})"


def _library(name: str) -> dict[str, Any]:
    adapted = host(name)
    found: dict[str, Any] = {
        "name": name,
        "version": None,
        "supported": adapted.supported,
        "adapted": name in installed(),
        "replaces": [],
        "problem": None,
    }
    try:
        version = adapted.version()
    except ImportError:
        return found
    if not adapted.stands_in or is_importable(adapted.package):
        found["version"] = version
    try:
        found["replaces"] = plan(name)
    except AdapterError as exc:
        found["problem"] = str(exc)
    return found
