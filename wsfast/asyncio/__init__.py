"""WebSocket client and server on asyncio."""

from __future__ import annotations

from ._broadcast import broadcast
from ._client import ClientConnection, backoff, connect, process_exception
from ._connection import Connection
from ._errors import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    ProxyError,
)
from ._server import Answer, Server, ServerConnection, serve

__all__ = [
    "Answer",
    "ClientConnection",
    "ConcurrencyError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "InvalidStatus",
    "ProxyError",
    "Server",
    "ServerConnection",
    "backoff",
    "broadcast",
    "connect",
    "process_exception",
    "serve",
]
