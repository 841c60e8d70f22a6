"""Python libraries on asyncio that call back: picows and autobahn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import cached_property
from importlib import import_module
from typing import Any

from link import LIMIT, Accept, Link, Mailbox, listening
from python_peers import PythonPeer

__all__ = ["Autobahn", "Picows"]


# ---- picows: it hands out frames, and messages are made here -------------------------------------------


class PicowsLink(Mailbox):
    deflate = False

    def __init__(self, picows: Any) -> None:
        super().__init__()
        self.picows, self.kinds = picows, picows.WSMsgType
        self.transport: Any = None
        self.kind: Any = None

    def frame(self, frame: Any) -> None:
        kinds = self.kinds
        if frame.msg_type is kinds.CLOSE:
            code, reason = frame.get_close_code(), (frame.get_close_message() or b"").decode()
            code = getattr(code, "value", code)
            self.has_ended(code or 1005, reason)
            # The application answers; with a code that picows has no name for, too.
            self.transport.send(kinds.CLOSE, frame.get_payload_as_bytes()[:2])
            self.transport.disconnect()
        elif frame.msg_type is kinds.PING:
            self.transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is kinds.PONG:
            self.ponged(frame.get_payload_as_bytes())
        else:
            if frame.msg_type is not kinds.CONTINUATION:
                self.kind = frame.msg_type
            self.pieces.append(frame.get_payload_as_bytes())
            if frame.fin:
                data = b"".join(self.pieces)
                self.pieces.clear()
                self.messages.put_nowait(data.decode() if self.kind is kinds.TEXT else data)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.transport.send(self.kinds.TEXT, message.encode())
        else:
            self.transport.send(self.kinds.BINARY, message)

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        kind = self.kinds.TEXT if text else self.kinds.BINARY
        for number, piece in enumerate(pieces):
            self.transport.send(kind, piece, fin=number == len(pieces) - 1)
            kind = self.kinds.CONTINUATION

    async def send_ping(self, payload: bytes) -> None:
        self.transport.send_ping(payload)

    async def close(self, code: int | None, reason: str) -> None:
        payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        self.transport.send(self.kinds.CLOSE, payload)


class Picows(PythonPeer):
    lacks = frozenset({"deflate"})

    @cached_property
    def listener(self) -> Any:
        base: Any = self.imported.WSListener

        class Listener(base):  # type: ignore[misc]
            def __init__(self, link: PicowsLink, links: asyncio.Queue[Link]) -> None:
                super().__init__()
                self.link, self.links = link, links

            def on_ws_connected(self, transport: Any) -> None:
                self.link.transport = transport
                self.links.put_nowait(self.link)

            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                self.link.frame(frame)

            def on_ws_disconnected(self, transport: Any) -> None:
                self.link.has_ended(1006, "")

        return Listener

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        links: asyncio.Queue[Link] = asyncio.Queue()
        transport, _ = await self.imported.ws_connect(
            lambda: self.listener(PicowsLink(self.imported), links), uri, max_frame_size=LIMIT
        )
        try:
            yield await links.get()
        finally:
            transport.disconnect()
            await transport.wait_disconnected()

    @contextlib.asynccontextmanager
    async def server(self, deflate: bool) -> AsyncIterator[tuple[str, Accept]]:
        links: asyncio.Queue[Link] = asyncio.Queue()
        server = await self.imported.ws_create_server(
            lambda request: self.listener(PicowsLink(self.imported), links),
            "127.0.0.1",
            0,
            max_frame_size=LIMIT,
        )
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", links.get
        finally:
            server.close()
            await server.wait_closed()


# ---- autobahn ------------------------------------------------------------------------------------------


class AutobahnLink(Mailbox):
    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.deflate = bool(protocol.websocket_extensions_in_use)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.protocol.sendMessage(message.encode(), isBinary=False)
        else:
            self.protocol.sendMessage(message, isBinary=True)

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        self.protocol.beginMessage(isBinary=not text)
        for piece in pieces:
            self.protocol.sendMessageFrame(piece)
        self.protocol.endMessage()

    async def send_ping(self, payload: bytes) -> None:
        self.protocol.sendPing(payload)

    async def close(self, code: int | None, reason: str) -> None:
        self.protocol.sendClose(code, reason if code is not None else None)


class Autobahn(PythonPeer):
    # Of the codes that a program may choose, it lets it have 1000 and 3000 to 4999.
    lacks = frozenset({"close 1001"})

    def protocol(self, base: Any, links: asyncio.Queue[Link], gone: list[asyncio.Future[None]]) -> Any:
        class Protocol(base):  # type: ignore[misc]
            link: AutobahnLink | None = None

            def connection_made(self, transport: Any) -> None:
                self.gone = asyncio.get_running_loop().create_future()
                gone.append(self.gone)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                self.gone.set_result(None)

            def onOpen(self) -> None:
                self.link = AutobahnLink(self)
                links.put_nowait(self.link)

            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                if self.link:
                    self.link.messages.put_nowait(payload if isBinary else payload.decode())

            def onPong(self, payload: bytes) -> None:
                if self.link:
                    self.link.ponged(payload)

            def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
                if self.link:
                    self.link.has_ended(1005 if wasClean and code is None else code, reason or "")

        return Protocol

    def options(self, deflate: bool, server: bool) -> dict[str, Any]:
        compress: Any = import_module("autobahn.websocket.compress")

        def choose(offers: list[Any]) -> Any:
            for offer in offers:
                if isinstance(offer, compress.PerMessageDeflateOffer):
                    return compress.PerMessageDeflateOfferAccept(offer)
            return None

        found: dict[str, Any] = {"maxFramePayloadSize": LIMIT, "maxMessagePayloadSize": LIMIT}
        if deflate and server:
            found["perMessageCompressionAccept"] = choose
        elif deflate:
            found["perMessageCompressionOffers"] = [compress.PerMessageDeflateOffer()]
            found["perMessageCompressionAccept"] = compress.PerMessageDeflateResponseAccept
        return found

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        loop = asyncio.get_running_loop()
        links: asyncio.Queue[Link] = asyncio.Queue()
        gone: list[asyncio.Future[None]] = []
        factory = self.imported.WebSocketClientFactory(uri, loop=loop)
        factory.protocol = self.protocol(self.imported.WebSocketClientProtocol, links, gone)
        factory.setProtocolOptions(**self.options(deflate, server=False))
        host, _, port = uri.split("/")[2].partition(":")
        transport, _ = await loop.create_connection(factory, host, int(port))
        try:
            yield await links.get()
        finally:
            transport.abort()
            await asyncio.gather(*gone)

    @contextlib.asynccontextmanager
    async def server(self, deflate: bool) -> AsyncIterator[tuple[str, Accept]]:
        loop = asyncio.get_running_loop()
        links: asyncio.Queue[Link] = asyncio.Queue()
        gone: list[asyncio.Future[None]] = []
        factory = self.imported.WebSocketServerFactory(loop=loop)
        factory.protocol = self.protocol(self.imported.WebSocketServerProtocol, links, gone)
        factory.setProtocolOptions(**self.options(deflate, server=True))
        async with listening(loop, factory) as (_, uri):
            yield uri, links.get
            await asyncio.gather(*gone)
