"""A server on autobahn, under asyncio."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from . import Script
from ._listening import announce, listen

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Serve."""
    asyncio.run(_serve(script))


async def _serve(script: Script) -> None:
    library: Any = import_module("autobahn.asyncio.websocket")
    deflate: Any = import_module("autobahn.websocket.compress")

    class Protocol(library.WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            message = payload.decode()
            if message[0] == "!":
                for answer in script.obey(message):
                    self.sendMessage(answer.encode())
            elif script.echo:
                self.sendMessage(message.encode())

    def accept(offers: list[Any]) -> Any:
        for offer in offers:
            if isinstance(offer, deflate.PerMessageDeflateOffer):
                return deflate.PerMessageDeflateOfferAccept(offer)
        return None

    factory = library.WebSocketServerFactory()
    factory.protocol = Protocol
    factory.setProtocolOptions(perMessageCompressionAccept=accept)
    listening = listen()
    await asyncio.get_running_loop().create_server(factory, sock=listening)
    announce(listening)
    await asyncio.get_running_loop().create_future()
