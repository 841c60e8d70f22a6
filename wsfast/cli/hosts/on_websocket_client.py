"""A client on websocket-client, which uses wsaccel by itself where that is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import Script

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Connect to ``port``, and go on until the server closes."""
    library: Any = import_module("websocket")
    connection = library.create_connection(f"ws://127.0.0.1:{port}/")
    while message := connection.recv():
        if message[0] == "!":
            for answer in script.obey(message):
                connection.send(answer)
        elif script.echo:
            connection.send(message)
