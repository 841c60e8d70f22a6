"""Real connections on websockets, over loopback sockets, with wsfast inside."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import random
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _fallback
from wsfast.adapters import websockets as adapter

pytest.importorskip("websockets")

import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.server
from implementations import compiled_module
from installing import install
from websockets.exceptions import ConnectionClosedError
from websockets.version import version

from wsfast.adapters import _websockets_deflate as fast_deflate
from wsfast.adapters import _websockets_frames as fast

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
TIMEOUT = 20
VERSION = tuple(int(number) for number in version.split(".")[:2])
MESSAGES: list[Any] = [
    "",
    b"",
    "Hello",
    "Grüße 🎉" * 3,
    bytes(range(126)),
    "x" * 125,
    "y" * 65_535,
    random.Random(1).randbytes(65_536),
    "0123456789" * 100_000,
    "end",
]
COMPRESSION = pytest.mark.parametrize("compression", [None, "deflate"])


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("FrameDecoder", "apply_mask", "encode_frame", "take_messages"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    if VERSION >= (16, 0):
        for name in ("asyncio", "sync"):
            ours = importlib.import_module(f"wsfast.adapters._websockets_{name}")
            monkeypatch.setattr(ours, "encode_frame", module.encode_frame)
    monkeypatch.setattr(fast_deflate, "decode_utf8", module.decode_utf8)
    monkeypatch.setattr(adapter, "apply_mask", module.apply_mask)
    # The twin would leave masks to the library if that has its C function.
    monkeypatch.setattr(fast, "their_masks", False)
    install("websockets")
    yield
    wsfast.uninstall()


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def connected(
    handler: Any = echo, *, client: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Any]:
    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        options = {"compression": options.get("compression", "deflate"), **(client or {})}
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}", **options) as connection:
            yield connection


def run(main: Any) -> None:
    asyncio.run(asyncio.wait_for(main, TIMEOUT))


@COMPRESSION
def test_asyncio_echo(compression: str | None) -> None:
    async def main() -> None:
        async with connected(compression=compression) as client:
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            # All at once, so that reads hold many frames, and frames many reads.
            await asyncio.gather(*(client.send(message) for message in MESSAGES))
            assert sorted([await client.recv() for _ in MESSAGES], key=repr) == sorted(MESSAGES, key=repr)
            assert "_wsfast" in vars(client.protocol)

    run(main())


@COMPRESSION
def test_asyncio_fragments_and_pings(compression: str | None) -> None:
    pieces = ["Gr", "ü", "", "ße" * 10_000]

    async def main() -> None:
        async with connected(compression=compression) as client:
            await client.send(pieces)
            pong = await client.ping(b"in between")
            assert await client.recv() == "".join(pieces)
            await pong
            await client.send([piece.encode() for piece in pieces])
            assert b"".join([part async for part in client.recv_streaming()]) == "".join(pieces).encode()

    run(main())


@COMPRESSION
def test_asyncio_streaming_in(compression: str | None) -> None:
    received: list[Any] = []

    async def take(connection: Any) -> None:
        async for message in connection:
            received.append(message)
            if message == "last":
                await connection.send(str(len(received)))

    async def main() -> None:
        async with connected(take, compression=compression) as client:
            for number in range(5000):
                await client.send(f"message {number}")
            await client.send("last")
            assert await client.recv() == "5001"

    run(main())
    assert received[:-1] == [f"message {number}" for number in range(5000)]


def test_asyncio_too_big() -> None:
    async def main() -> None:
        async with connected(max_size=1000) as client:
            await client.send("x" * 1000)
            assert await client.recv() == "x" * 1000
            await client.send("x" * 1001)
            with pytest.raises(ConnectionClosedError) as raised:
                await client.recv()
            assert raised.value.rcvd is not None
            assert raised.value.rcvd.code == 1009

    run(main())


def test_asyncio_invalid_text() -> None:
    async def main() -> None:
        async with connected() as client:
            async with client.send_context():
                client.protocol.send_text(b"\xff")
            with pytest.raises(ConnectionClosedError) as raised:
                await client.recv()
            assert raised.value.rcvd is not None
            # 13.x does not tell invalid text from a fault of the handler.
            assert raised.value.rcvd.code == (1007 if VERSION >= (14,) else 1011)

    run(main())


def test_open_connections_survive_install_and_uninstall() -> None:
    async def main() -> None:
        wsfast.uninstall()
        async with connected() as client:
            for number in range(20):
                await client.send(f"{number}" * 1000)
                assert await client.recv() == f"{number}" * 1000
                if number % 2:
                    wsfast.uninstall()
                else:
                    install("websockets")

    run(main())


@COMPRESSION
def test_threads(compression: str | None) -> None:
    def handler(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    with websockets.sync.server.serve(handler, "127.0.0.1", 0, compression=compression) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            with websockets.sync.client.connect(
                f"ws://127.0.0.1:{port}", compression=compression, open_timeout=TIMEOUT
            ) as client:
                for message in MESSAGES:
                    client.send(message)
                    assert client.recv(timeout=TIMEOUT) == message
                client.send(["Gr", "ü", "ße"])
                assert client.recv(timeout=TIMEOUT) == "Grüße"
                assert client.ping().wait(TIMEOUT)
                assert "_wsfast" in vars(client.protocol)
        finally:
            server.shutdown()
            thread.join()
