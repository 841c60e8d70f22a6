"""Which web pages may connect (RFC 6455 §10.2, RFC 6454).

A browser lets any page connect to any server, and sends the user's cookies along. It tells the page's
origin, and nobody but the server can refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

__all__ = ["AllowedOrigin", "check_origins", "origin_allowed"]

#: An entry of an allow-list: an origin, ``None`` for requests without one, or a pattern for all of it.
AllowedOrigin: TypeAlias = "str | re.Pattern[str] | None"

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_SCHEME = frozenset("+-.0123456789abcdefghijklmnopqrstuvwxyz")
_HOST = frozenset("-._~0123456789abcdefghijklmnopqrstuvwxyz")
_ADDRESS = frozenset(":.0123456789abcdef")


@lru_cache(maxsize=256)
def _normal(origin: str) -> str | None:
    """Return ``origin`` in the form that browsers send; ``None`` if it is none (RFC 6454 §6.2).

    That is ``null``, or scheme, ``://`` and host in lower case, with the port only if it is not the
    scheme's own. Nothing may follow.
    """
    if origin == "null":
        return origin
    # Only ASCII: lower() makes an ASCII "k" of the Kelvin sign.
    if not origin.isascii():
        return None
    scheme, divider, rest = origin.lower().partition("://")
    if not divider or not scheme[:1].isalpha() or not _SCHEME.issuperset(scheme):
        return None
    if rest.startswith("["):
        host, bracket, port = rest.partition("]")
        if not bracket or not _ADDRESS.issuperset(host[1:]) or not host[1:]:
            return None
        host += bracket
        if port and not port.startswith(":"):
            return None
        colon, port = port[:1], port[1:]
    else:
        host, colon, port = rest.partition(":")
        if not _HOST.issuperset(host):
            return None
        # "file://" and the like have no host; what is on the web has one.
        if not host and (colon or scheme in _DEFAULT_PORTS):
            return None
    if colon and not (port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        return None
    if colon and str(int(port)) != _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}:{int(port)}"
    return f"{scheme}://{host}"


def check_origins(origins: Iterable[AllowedOrigin]) -> tuple[AllowedOrigin, ...]:
    """Return an allow-list in the form that it is compared in, and refuse entries that match nothing.

    Raises:
        TypeError: ``origins`` is a ``str``, or an entry is no ``str``, pattern of ``str``, or ``None``.
        ValueError: an entry is no origin, such as one with a path, a wildcard, or without a scheme.

    """
    if isinstance(origins, (str, bytes, re.Pattern)):
        raise TypeError(f"origins must be a list of origins, not {type(origins).__name__}")
    entries: list[AllowedOrigin] = []
    for entry in origins:
        if entry is None or (isinstance(entry, re.Pattern) and isinstance(entry.pattern, str)):
            entries.append(entry)
            continue
        if not isinstance(entry, str):
            raise TypeError(f"an origin must be a str, a pattern of str, or None, not {type(entry).__name__}")
        normal = _normal(entry)
        if normal is None:
            raise ValueError(
                f"an origin must be 'null' or scheme://host[:port] in ASCII, not {entry!r} (RFC 6454 §6.2)"
            )
        entries.append(normal)
    return tuple(entries)


def origin_allowed(origin: str | None, allowed: Iterable[AllowedOrigin]) -> bool:
    """Tell whether a page of ``origin`` may connect (RFC 6455 §10.2).

    Origins are compared as a whole, never by prefix or suffix; scheme and host in any case, and
    ``https://example.com:443`` is ``https://example.com`` (RFC 6454 §5). Neither scheme nor port nor
    subdomain is implied by another. ``null``, which browsers send for sandboxed pages, files and some
    redirects, is allowed only if the list has it as ``"null"``: any page can get that origin.

    Args:
        origin: the value of the Origin field; ``None`` when the request has none, as programs that
            are no browsers send it.
        allowed: origins as ``str``; ``None`` if requests without Origin are allowed; compiled patterns,
            each of which must match the whole origin, in lower case and without a default port.

    Raises:
        TypeError: ``allowed`` is a ``str``, or has other entries.
        ValueError: an entry of ``allowed`` is no origin and would never match.

    """
    entries = check_origins(allowed)
    if origin is None:
        return None in entries
    normal = _normal(origin)
    if normal is None:
        return False
    return normal in entries or any(
        entry.fullmatch(normal) is not None for entry in entries if isinstance(entry, re.Pattern)
    )
