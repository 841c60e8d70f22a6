"""What the tests of endpoints share: a loop that does not hang, a server and a raw peer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from wsfast import Connection
from wsfast.asyncio import Server, serve

TIMEOUT = 20.0
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine, for a limited time, with asyncio's own checks; no task may be left."""

    async def checked() -> Any:
        start = asyncio.get_running_loop().time()
        # A busy machine is no fault of what is tested.
        asyncio.get_running_loop().slow_callback_duration = TIMEOUT
        result = await asyncio.wait_for(main, TIMEOUT)
        # A test that expects to be cancelled must not be content with that.
        assert asyncio.get_running_loop().time() - start < TIMEOUT - 1
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        return result

    return asyncio.run(checked(), debug=True)


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


@contextlib.asynccontextmanager
async def serving(handler: Any = echo, **options: Any) -> AsyncIterator[tuple[str, Server]]:
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", server


class Raw:
    """A client that sends and reads bytes, as wrong as a test likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, uri: str, request: bytes = REQUEST) -> Raw:
        host, _, port = uri.split("/")[2].partition(":")
        raw = cls(*await asyncio.open_connection(host, int(port)))
        raw.writer.write(request)
        return raw

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def end(self) -> bytes:
        """Read until the peer closes; what it sent."""
        data = await self.reader.read()
        self.close()
        return data

    def pause(self) -> None:
        """Read no more."""
        transport: Any = self.writer.transport
        transport.pause_reading()

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def raw_server(
    behave: Callable[[Connection, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> AsyncIterator[str]:
    """A server that has answered the handshake when it behaves as the test likes."""
    done: list[Any] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.append(asyncio.current_task())
        ws = Connection("server")
        ws.receive_data(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ws.accept())
        try:
            await behave(ws, reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await asyncio.gather(*done, return_exceptions=True)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
