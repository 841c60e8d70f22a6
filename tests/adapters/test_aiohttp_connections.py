"""aiohttp with wsfast in place: real clients and servers over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import wsfast

pytest.importorskip("aiohttp")

import aiohttp
from aiohttp import WSMsgType, web
from installing import install

from wsfast.adapters import _aiohttp_frames as fast

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
Handler = Callable[[web.WebSocketResponse], Awaitable[None]]
SIZES = (0, 1, 125, 126, 4096, 65_536, 1 << 20)


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    wsfast.uninstall()


@asynccontextmanager
async def server(handle: Handler, **options: Any) -> AsyncIterator[str]:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        await handle(ws)
        return ws

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connection(handle: Handler, *, compress: int = 0, **options: Any) -> AsyncIterator[Any]:
    async with (
        server(handle, **options) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=compress, max_msg_size=1 << 23) as ws,
    ):
        yield ws


async def echo(ws: web.WebSocketResponse) -> None:
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)


def run(main: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(limited())


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "deflate"])
def test_echo(compress: int) -> None:
    async def main() -> None:
        async with connection(echo, compress=compress, max_msg_size=1 << 23) as ws:
            assert type(ws._reader) is fast.Queue
            assert ws.compress == compress
            for size in SIZES:
                text = ("Straße " * (size // 7 + 1))[:size]
                await ws.send_str(text)
                assert await ws.receive_str() == text
                await ws.send_bytes(text.encode())
                assert await ws.receive_bytes() == text.encode()
            # Many at once, so that queues fill and reading pauses.
            count = 3000
            sender = asyncio.ensure_future(send_many(ws, count))
            for number in range(count):
                assert await ws.receive_str() == f"message {number}"
            await sender

    async def send_many(ws: Any, count: int) -> None:
        for number in range(count):
            await ws.send_str(f"message {number}")

    install("aiohttp")
    counts = wsfast.adapters.counts("aiohttp")
    counts.fast = counts.slow = 0
    run(main())
    sent = 4 * (3000 + 2 * len(SIZES))
    # Servers write what is longer than 16 KiB and not compressed without a copy, as aiohttp does.
    assert counts.fast + counts.slow == sent
    assert counts.fast >= 0.95 * sent


def test_fragments_pings_and_close() -> None:
    events: list[Any] = []

    async def collect(ws: web.WebSocketResponse) -> None:
        async for message in ws:
            events.append(tuple(message))
        events.append(ws.close_code)

    async def main() -> None:
        async with server(collect) as url:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(url.rstrip("/").rpartition(":")[2])
            )
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            for opcode, payload, fin in (
                (1, "Grü".encode()[:3], False),
                (9, b"are you there?", True),
                (0, "Grü".encode()[3:], True),
                (2, b"\x00" * 300, True),
                (8, b"\x0f\xa0bye", True),
            ):
                writer.write(wsfast.encode_frame(opcode, payload, fin=fin, mask=True))
            answers = await reader.read()
            frames = wsfast.FrameDecoder("client").feed(answers)
            assert [(frame.opcode, frame.payload) for frame in frames] == [
                (10, b"are you there?"),
                (8, b"\x03\xe8"),
            ]
            writer.close()

    install("aiohttp")
    run(main())
    assert events == [(WSMsgType.TEXT, "Grü", ""), (WSMsgType.BINARY, bytes(300), ""), 4000]


@pytest.mark.parametrize(
    ("send", "code", "text"),
    [
        ((1, b"a\xff"), 1007, "Invalid UTF-8 text message"),
        ((1, b"a" * 2000), 1009, "Message size 2000 exceeds limit 1000"),
        ((1, b"a" * 70_000), 1009, "Message size 70000 exceeds limit 1000"),
    ],
    ids=["not UTF-8", "too big", "far too big"],
)
def test_errors(send: tuple[int, bytes], code: int, text: str) -> None:
    events: list[Any] = []

    async def receive(ws: web.WebSocketResponse) -> None:
        events.append(await ws.receive())
        events.append(await ws.receive())
        events.append(ws.close_code)

    async def main() -> None:
        async with connection(receive, max_msg_size=1000) as ws:
            await ws.send_str("first")
            ws._conn.transport.write(wsfast.encode_frame(*send, mask=True))
            message = await ws.receive()
            assert message.type is WSMsgType.CLOSE
            assert message.data == code

    run(main())
    theirs, events[:] = list(events), []
    install("aiohttp")
    run(main())
    for seen in theirs, events:
        assert seen[0].data == "first"
        assert seen[1].type is WSMsgType.ERROR
        assert (seen[1].data.code, str(seen[1].data)) == (code, text)
    assert events[2] == theirs[2]


def test_cancelled_and_concurrent_receives() -> None:
    async def main() -> None:
        async with connection(echo) as ws:
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive(timeout=0.01)
            ws._close_code = None
            await ws.send_str("a")
            task = asyncio.ensure_future(ws.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="Concurrent call"):
                await ws.receive()
            assert (await task).data == "a"
            # A message that is there is not lost with the task that was to fetch it.
            await ws.send_str("b")
            while not ws._reader._buffer:
                await asyncio.sleep(0.01)
            task = asyncio.ensure_future(ws.receive())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await ws.receive()).data == "b"

    install("aiohttp")
    run(main())


def test_subclasses_of_the_responses() -> None:
    """Whose receive() is their own, theirs is asked."""

    class Shouting(web.WebSocketResponse):
        async def receive(self, timeout: float | None = None) -> Any:
            message = await super().receive(timeout)
            return message._replace(data=message.data.upper()) if message.type is WSMsgType.TEXT else message

    async def main() -> None:
        async def handler(request: web.Request) -> web.WebSocketResponse:
            ws = Shouting()
            await ws.prepare(request)
            await echo(ws)
            return ws

        app = web.Application()
        app.router.add_get("/", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            for _ in range(3):
                await ws.send_str("hello")
            assert [await ws.receive_str() for _ in range(3)] == ["HELLO"] * 3
        await runner.cleanup()

    install("aiohttp")
    run(main())


def test_heartbeat() -> None:
    async def main() -> None:
        async def wait(ws: web.WebSocketResponse) -> None:
            assert (await ws.receive()).data == "x"

        async with (
            server(wait, heartbeat=0.05) as url,
            aiohttp.ClientSession() as session,
            session.ws_connect(url, heartbeat=0.05) as ws,
        ):
            task = asyncio.ensure_future(ws.receive())
            await asyncio.sleep(0.2)
            await ws.send_str("x")
            assert (await task).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
            assert ws.exception() is None

    install("aiohttp")
    run(main())


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "deflate"])
def test_open_connections_survive_install_and_uninstall(compress: int) -> None:
    async def talk(ws: Any, name: str) -> None:
        for size in (3, 3000, 300_000):
            await ws.send_str(name * size)
            assert await ws.receive_str() == name * size

    async def main() -> None:
        async with connection(echo, compress=compress, max_msg_size=1 << 23) as before:
            await talk(before, "a")
            # A frame has begun on both sides of the change.
            half = wsfast.encode_frame(1, "half", mask=True)
            before._conn.transport.write(half[:7])
            await asyncio.sleep(0.05)
            install("aiohttp")
            before._conn.transport.write(half[7:])
            assert await before.receive_str() == "half"
            await talk(before, "b")
            async with connection(echo, compress=compress, max_msg_size=1 << 23) as during:
                assert type(during._reader) is fast.Queue
                assert type(before._reader) is not fast.Queue
                await talk(during, "c")
                during._conn.transport.write(half[:7])
                await asyncio.sleep(0.05)
                wsfast.uninstall()
                during._conn.transport.write(half[7:])
                assert await during.receive_str() == "half"
                await talk(during, "d")
                await talk(before, "e")

    run(main())
