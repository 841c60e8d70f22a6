"""tornado with wsfast in place: real clients and servers over loopback, with TLS and without."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import wsfast
from wsfast.adapters import counts

pytest.importorskip("tornado")

import tornado
from installing import install
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
SIZES = (0, 1, 125, 126, 4096, 65_535, 65_536, 1 << 20, 3 << 20)
CERTIFICATES = Path(tornado.__file__).with_name("test")


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    wsfast.uninstall()


class Echo(WebSocketHandler):
    def get_compression_options(self) -> dict[str, Any]:
        return {}

    def on_message(self, message: Any) -> Any:
        self.write_message(message, binary=isinstance(message, bytes))


class LaterEcho(Echo):
    async def on_message(self, message: Any) -> None:
        await asyncio.sleep(0)
        await self.write_message(message, binary=isinstance(message, bytes))


@asynccontextmanager
async def connection(
    handler: type[WebSocketHandler], *, tls: bool = False, compress: bool = False
) -> AsyncIterator[Any]:
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATES / "test.crt", CERTIFICATES / "test.key")
    application = Application([("/", handler)], websocket_max_message_size=1 << 23)
    server = HTTPServer(application, ssl_options=context)
    listener, port = bind_unused_port(address="127.0.0.1")
    server.add_socket(listener)
    request = HTTPRequest(f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/", validate_cert=False)
    client = await websocket_connect(
        request, compression_options={} if compress else None, max_message_size=1 << 23
    )
    try:
        yield client
    finally:
        client.close()
        server.stop()
        await server.close_all_connections()


def run(main: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, 30)

    asyncio.run(limited())


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("handler", [Echo, LaterEcho])
def test_echo(handler: type[WebSocketHandler], compress: bool, tls: bool) -> None:
    count = 1000

    async def main() -> None:
        async with connection(handler, tls=tls, compress=compress) as client:
            for size in SIZES:
                text = ("Straße " * (size // 7 + 1)).encode()[:size].decode(errors="ignore")
                await client.write_message(text)
                assert await client.read_message() == text
                await client.write_message(text.encode(), binary=True)
                assert await client.read_message() == text.encode()
            # Many under way at once, and more than sockets hold.
            sender = asyncio.ensure_future(send_many(client))
            for number in range(count):
                assert await client.read_message() == f"message {number} " + "x" * (number * 37 % 5000)
            await sender
            client.close(4000, "bye")
            assert await client.read_message() is None
            assert client.close_code == 4000

    async def send_many(client: Any) -> None:
        for number in range(count):
            await client.write_message(f"message {number} " + "x" * (number * 37 % 5000))

    install("tornado")
    counted = counts("tornado")
    counted.fast = counted.slow = 0
    run(main())
    assert (counted.fast, counted.slow) == (4 * (count + 2 * len(SIZES)), 0)


def test_pings_and_close_by_the_server() -> None:
    told: list[Any] = []

    class Handler(WebSocketHandler):
        def on_ping(self, data: bytes) -> None:
            told.append(("ping", data))

        def on_pong(self, data: bytes) -> None:
            told.append(("pong", data))

        def on_message(self, message: Any) -> None:
            self.ping(b"from the server")
            if message == "close":
                self.close(4001, "enough")

        def on_close(self) -> None:
            told.append(("close", self.close_code, self.close_reason))

    async def main() -> None:
        async with connection(Handler) as client:
            client.ping(b"from the client")
            await client.write_message("x")
            await client.write_message("close")
            assert await client.read_message() is None
            assert (client.close_code, client.close_reason) == (4001, "enough")
            while not any(entry[0] == "close" for entry in told):
                await asyncio.sleep(0.01)

    stories = []
    for adapt in (False, True):
        if adapt:
            install("tornado")
        told.clear()
        run(main())
        stories.append(told.copy())
    assert stories[0] == stories[1]
    assert ("ping", b"from the client") in stories[0]
    assert ("pong", b"from the server") in stories[0]


def test_a_coroutine_has_a_task_of_its_own() -> None:
    """What it sets in its context does not last; timeouts in it work; what it raises ends the connection."""
    variable = ContextVar("variable", default=0)
    seen: list[Any] = []

    class Handler(WebSocketHandler):
        async def on_message(self, message: Any) -> None:
            seen.append((variable.get(), asyncio.current_task()))
            variable.set(variable.get() + 1)
            if message == "raise":
                raise LookupError
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.sleep(10), 0.001)
            if sys.version_info >= (3, 11):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await asyncio.sleep(10)
            self.write_message(message)

        def log_exception(self, *info: Any) -> None:
            seen.append(info[0])

    async def main() -> None:
        async with connection(Handler) as client:
            for number in range(3):
                await client.write_message(str(number))
            for number in range(3):
                assert await client.read_message() == str(number)
            await client.write_message("raise")
            assert await client.read_message() is None

    install("tornado")
    run(main())
    *entries, error = seen
    assert error is LookupError
    assert [value for value, _ in entries] == [0, 0, 0, 0]
    assert len({id(task) for _, task in entries}) == 4


def test_a_slow_reader_is_not_flooded() -> None:
    """Nothing is read from the socket while a handler runs."""
    received = 0
    release: Any = None

    class Handler(WebSocketHandler):
        async def on_message(self, message: Any) -> None:
            nonlocal received
            received += 1
            if received == 1:
                await release.wait()

    async def main() -> None:
        nonlocal release
        release = asyncio.Event()
        async with connection(Handler) as client:
            writes = [client.write_message("x" * 50_000) for _ in range(400)]
            await asyncio.sleep(0.3)
            assert received == 1
            assert not writes[-1].done()
            release.set()
            await asyncio.gather(*writes)
            while received < 400:
                await asyncio.sleep(0.01)

    install("tornado")
    run(main())


@pytest.mark.parametrize("close", [False, True], ids=["end", "close frame and end"])
@pytest.mark.parametrize("compress", [False, True])
def test_messages_before_the_end_of_the_stream(close: bool, compress: bool) -> None:
    """They come together, and are answered by a coroutine, one after the other."""
    ends: list[Any] = []

    class Handler(LaterEcho):
        def on_close(self) -> None:
            ends.append(self.close_code)

    async def main() -> bytes:
        server = HTTPServer(Application([("/", Handler)]))
        listener, port = bind_unused_port(address="127.0.0.1")
        server.add_socket(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = wsfast.Connection(
            "client", "ws://127.0.0.1/", compression=wsfast.Deflate() if compress else None
        )
        writer.write(client.data_to_send())
        client.receive_data(await reader.readuntil(b"\r\n\r\n"))
        for number in range(100):
            writer.write(client.send_text(f"{number}" * (100 if number % 7 == 0 else 1)))
        if close:
            writer.write(client.close())
        writer.write_eof()
        events = client.receive_data(await asyncio.wait_for(reader.read(), 20))
        writer.close()
        server.stop()
        await server.close_all_connections()
        return b" ".join(str(event).encode() for event in events)

    stock = asyncio.run(main())
    assert stock.count(b"99") == 1
    install("tornado")
    assert asyncio.run(main()) == stock
    assert counts("tornado").fast >= 100
    assert ends == [1000 if close else None] * 2
