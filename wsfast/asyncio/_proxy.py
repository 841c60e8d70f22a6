"""Connecting through a proxy: which one, and python-socks, which speaks to it."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from ..uri import WebSocketURI
from ._errors import ProxyError

__all__ = ["connect_through", "find_proxy"]

_SCHEMES = ("http", "socks4", "socks4a", "socks5", "socks5h")


def find_proxy(uri: WebSocketURI) -> str | None:
    """Return the URL of the proxy that the environment, or the system, has for a URI; ``None`` for none.

    RFC 6455 §4.1 prefers a SOCKS proxy, then one for https; one for wss or ws comes before both.
    """
    if urllib.request.proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    known = urllib.request.getproxies()
    for scheme in ("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http"):
        found = known.get(scheme)
        if found:
            # macOS has a SOCKS proxy as http://.
            return f"socks5h://{found[7:]}" if scheme == "socks" and found.startswith("http://") else found
    return None


async def connect_through(proxy: str, host: str, port: int) -> socket.socket:
    """Return a socket that a proxy has connected to ``host``.

    Raises:
        ProxyError: it does not, or python-socks is not installed.
        OSError: the proxy cannot be reached.

    """
    parts = urlsplit(proxy)
    scheme = parts.scheme
    if scheme not in _SCHEMES:
        raise ProxyError(f"the scheme of a proxy must be one of {', '.join(_SCHEMES)}, not {scheme!r}")
    try:
        library: Any = import_module("python_socks.async_.asyncio")
        errors: Any = import_module("python_socks")
    except ImportError:
        raise ProxyError("a proxy needs python-socks: pip install 'wsfast[proxy]'") from None
    remote_names = scheme in ("http", "socks4a", "socks5h")
    if remote_names and scheme != "http":
        proxy = f"{scheme[:6]}{proxy[len(scheme) :]}"
    through = library.Proxy.from_url(proxy, rdns=remote_names, loop=asyncio.get_running_loop())
    try:
        connected: socket.socket = await through.connect(dest_host=host, dest_port=port)
    except (errors.ProxyError, errors.ProxyTimeoutError) as exc:
        raise ProxyError(f"the proxy at {parts.hostname}:{parts.port} does not connect: {exc}") from exc
    return connected
