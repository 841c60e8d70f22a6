"""The socket that a server program listens on."""

from __future__ import annotations

import socket

from . import BUFFER

__all__ = ["announce", "listen"]


def listen() -> socket.socket:
    listening = socket.socket()
    # Connections have them from it.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    return listening


def announce(listening: socket.socket) -> None:
    """Print the port: connections are taken from now on."""
    print(listening.getsockname()[1], flush=True)
