"""Python libraries on asyncio, in the process of the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

from link import LIMIT, Accept, Link, Mailbox, Peer, Unavailable

__all__ = ["Aiohttp", "PythonPeer", "Websockets"]


class PythonPeer(Peer):
    """A library to import.

    Args:
        name: for people.
        package: on PyPI.
        module: to import.

    """

    def __init__(self, name: str, package: str, module: str) -> None:
        self.name, self.package, self.module = name, package, module

    def start(self) -> None:
        try:
            self.imported: Any = import_module(self.module)
        except ImportError as exc:
            raise Unavailable(f"{self.package} is not installed") from exc

    def version(self) -> str:
        return f"{self.package} {version(self.package)}"


# ---- websockets, and picows' module of the same calls --------------------------------------------------


class WebsocketsLink(Link):
    def __init__(self, ws: Any) -> None:
        self.ws = ws
        self.deflate = "permessage-deflate" in ws.response.headers.get("Sec-WebSocket-Extensions", "")
        self.done = asyncio.Event()

    async def send(self, message: str | bytes) -> None:
        await self.ws.send(message)

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        await self.ws.send(pieces, text=text)

    async def recv(self) -> str | bytes:
        message: str | bytes = await self.ws.recv()
        return message

    async def ping(self, payload: bytes) -> None:
        await (await self.ws.ping(payload))

    async def close(self, code: int | None, reason: str) -> None:
        await self.ws.close(code, reason)

    async def ended(self) -> tuple[int | None, str]:
        await self.ws.wait_closed()
        return self.ws.close_code, self.ws.close_reason or ""


class Websockets(PythonPeer):
    lacks = frozenset({"close without a code"})

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        compression = "deflate" if deflate else None
        connecting = self.imported.connect(uri, compression=compression, max_size=LIMIT)
        async with connecting as ws:
            yield WebsocketsLink(ws)

    @contextlib.asynccontextmanager
    async def server(self, deflate: bool) -> AsyncIterator[tuple[str, Accept]]:
        links: asyncio.Queue[WebsocketsLink] = asyncio.Queue()
        accepted: list[WebsocketsLink] = []

        async def handler(ws: Any) -> None:
            link = WebsocketsLink(ws)
            accepted.append(link)
            links.put_nowait(link)
            await link.done.wait()

        compression = "deflate" if deflate else None
        serving = self.imported.serve(handler, "127.0.0.1", 0, compression=compression, max_size=LIMIT)
        async with serving as server:
            try:
                yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/", links.get
            finally:
                for link in accepted:
                    link.done.set()


# ---- aiohttp -------------------------------------------------------------------------------------------


class AiohttpLink(Mailbox):
    """Its pongs can be had only by whoever answers pings, too, and receives all the time."""

    def __init__(self, aiohttp: Any, ws: Any) -> None:
        super().__init__()
        self.kinds, self.ws = aiohttp.WSMsgType, ws
        self.closing = False
        self.deflate = bool(ws.compress)
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        while True:
            message = await self.ws.receive()
            if message.type in (self.kinds.TEXT, self.kinds.BINARY):
                self.messages.put_nowait(message.data)
            elif message.type is self.kinds.PING:
                await self.ws.pong(message.data)
            elif message.type is self.kinds.PONG:
                self.ponged(bytes(message.data))
            else:
                if not self.closing:  # else it is close() that knows
                    closed = message.type is self.kinds.CLOSE
                    self.has_ended(message.data or 1005 if closed else 1006, message.extra or "")
                return

    async def send(self, message: str | bytes) -> None:
        await (self.ws.send_str(message) if isinstance(message, str) else self.ws.send_bytes(message))

    async def send_ping(self, payload: bytes) -> None:
        await self.ws.ping(payload)

    async def close(self, code: int | None, reason: str) -> None:
        self.closing = True
        await self.ws.close(code=code, message=reason.encode())
        self.has_ended(int(self.ws.close_code), "")


class Aiohttp(PythonPeer):
    lacks = frozenset({"fragments", "close without a code"})

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        options = {"compress": 15 if deflate else 0, "max_msg_size": LIMIT, "autoping": False}
        async with self.imported.ClientSession() as session, session.ws_connect(uri, **options) as ws:
            link = AiohttpLink(self.imported, ws)
            yield link
            await ws.close()
            await link.reading

    @contextlib.asynccontextmanager
    async def server(self, deflate: bool) -> AsyncIterator[tuple[str, Accept]]:
        web: Any = import_module("aiohttp.web")
        links: asyncio.Queue[Link] = asyncio.Queue()

        async def handler(request: Any) -> Any:
            ws = web.WebSocketResponse(compress=deflate, max_msg_size=LIMIT, autoping=False)
            await ws.prepare(request)
            link = AiohttpLink(self.imported, ws)
            links.put_nowait(link)
            await link.ended()
            await link.reading
            return ws

        app = web.Application()
        app.router.add_get("/", handler)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/", links.get
        finally:
            await runner.cleanup()
