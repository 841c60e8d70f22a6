"""A conversation of autobahn with itself over loopback sockets, told as JSON; run by tests, as a program.

``autobahn_conversation.py FRAMEWORK HOW``: ``asyncio`` or ``twisted``, ``stock`` or ``wsfast``. Twice,
without and with permessage-deflate.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
from typing import Any

import wsfast

MESSAGES = [
    b"Hello",
    b"",
    "Grüße 🎉".encode() * 40,
    random.Random(1).randbytes(126),
    b"x" * 65_535,
    random.Random(2).randbytes(65_536),
    "Zażółć gęślą jaźń ".encode() * 40_000,
]


def ends(websocket: Any, deflate: bool, story: list[Any], done: Any) -> tuple[Any, Any]:
    from autobahn.websocket import compress

    class Server(websocket.WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            story.append(["server", len(payload), hash_of(payload), isBinary])
            self.sendMessage(payload, isBinary)

        def onPing(self, payload: bytes) -> None:
            story.append(["ping", payload.decode()])
            super().onPing(payload)

        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
            story.append(["server closed", wasClean, code, reason])

    class Client(websocket.WebSocketClientProtocol):  # type: ignore[misc]
        left = 2 * len(MESSAGES) + 2

        def onOpen(self) -> None:
            story.append(["compressed", self._perMessageCompress is not None])
            for message in MESSAGES:
                self.sendMessage(message, isBinary=not is_text(message))
            self.sendPing(b"are you there?")
            for message in MESSAGES:
                self.sendMessage(message, isBinary=True, fragmentSize=max(1, len(message) // 3))
            self.beginMessage(isBinary=False)
            for piece in (b"Gr\xc3", b"\xbc\xc3\x9f", b"e"):
                self.sendMessageFrame(piece)
            self.endMessage()
            self.sendPreparedMessage(self.factory.prepareMessage(b"prepared"))

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            story.append(["client", len(payload), hash_of(payload), isBinary])
            self.left -= 1
            if not self.left:
                self.sendClose(3000, "done")

        def onPong(self, payload: bytes) -> None:
            story.append(["pong", payload.decode()])

        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
            story.append(["client closed", wasClean, code, reason])
            done()

    server: Any = websocket.WebSocketServerFactory()
    server.protocol = Server
    client: Any = websocket.WebSocketClientFactory("ws://127.0.0.1/")
    client.protocol = Client
    if deflate:
        server.setProtocolOptions(
            perMessageCompressionAccept=lambda offers: compress.PerMessageDeflateOfferAccept(offers[0])
        )
        client.setProtocolOptions(
            perMessageCompressionOffers=[compress.PerMessageDeflateOffer()],
            perMessageCompressionAccept=compress.PerMessageDeflateResponseAccept,
        )
    return server, client


def is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def hash_of(payload: bytes) -> str:
    import hashlib

    return hashlib.sha256(payload).hexdigest()[:16]


def run_asyncio(story: list[Any]) -> None:
    import asyncio

    async def talk() -> None:
        websocket = importlib.import_module("autobahn.asyncio.websocket")
        loop = asyncio.get_running_loop()
        for deflate in (False, True):
            done = asyncio.Event()
            server, client = ends(websocket, deflate, story, done.set)
            listening = await loop.create_server(server, "127.0.0.1", 0)
            await loop.create_connection(client, *listening.sockets[0].getsockname())
            await asyncio.wait_for(done.wait(), 30)
            await asyncio.sleep(0.05)
            listening.close()

    asyncio.run(talk())


def run_twisted(story: list[Any]) -> None:
    reactor: Any = importlib.import_module("twisted.internet.reactor")
    websocket = importlib.import_module("autobahn.twisted.websocket")
    waiting = [True, False]

    def begin() -> None:
        if not waiting:
            reactor.stop()
            return
        server, client = ends(websocket, waiting.pop(), story, lambda: reactor.callLater(0.05, begin))
        port = reactor.listenTCP(0, server, interface="127.0.0.1").getHost().port
        reactor.connectTCP("127.0.0.1", port, client)

    reactor.callLater(30, reactor.stop)
    reactor.callWhenRunning(begin)
    reactor.run()


def main() -> None:
    framework, how = sys.argv[1:]
    if how == "wsfast":
        wsfast.install("autobahn", force=wsfast.backend == "python")
    story: list[Any] = []
    {"asyncio": run_asyncio, "twisted": run_twisted}[framework](story)
    counts = wsfast.adapters.counts("autobahn")
    print(json.dumps({"story": story, "fast": counts.fast, "slow": counts.slow}))


if __name__ == "__main__":
    main()
