"""Connections that use wsfast by the library's own parameter, and installed ones, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from installing import install

import wsfast
from wsfast.adapters import websockets as adapter

pytest.importorskip("websockets")

import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.server
from websockets.exceptions import ConnectionClosedError
from websockets.version import version

from wsfast.adapters import _websockets_frames as fast

VERSION = tuple(int(number) for number in version.split(".")[:2])
if VERSION < (16, 0):
    pytest.skip("connections are left alone before 16.0", allow_module_level=True)

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
MESSAGES: list[Any] = [
    "",
    "Hello",
    b"",
    "Grüße 🎉" * 3,
    bytes(range(126)),
    "y" * 65_536,
    "0123456789" * 100_000,
]
COMPRESSION = pytest.mark.parametrize("compression", [None, "deflate"])
MODES = pytest.mark.parametrize("mode", ["installed", "classes"])


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fast, "their_masks", False)
    adapter.COUNTS.fast = adapter.COUNTS.slow = 0
    yield
    wsfast.uninstall()


def options_for(mode: str, prefix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """For connect() and serve()."""
    if mode == "installed":
        install("websockets")
        return {}, {}
    return (
        {"create_connection": getattr(adapter, f"{prefix}ClientConnection")},
        {"create_connection": getattr(adapter, f"{prefix}ServerConnection")},
    )


def check_counts() -> None:
    counts = wsfast.adapters.counts("websockets")
    assert counts.fast >= 2 * len(MESSAGES)
    assert counts.slow <= counts.fast / 20


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def connected(
    client: dict[str, Any], server: dict[str, Any], handler: Any = echo
) -> AsyncIterator[Any]:
    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0, **server) as serving:
        port = next(iter(serving.sockets)).getsockname()[1]
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}", **client) as connection:
            yield connection


@MODES
@COMPRESSION
def test_asyncio(mode: str, compression: str | None) -> None:
    client, server = options_for(mode)

    async def main() -> None:
        for options in (client, server):
            options["compression"] = compression
        async with connected(client, server) as connection:
            for message in MESSAGES:
                await connection.send(message)
                received = await connection.recv()
                assert (type(received), received) == (type(message), message)
            for message in MESSAGES:
                await connection.send(message)
            assert [await connection.recv() for _ in MESSAGES] == MESSAGES
            await connection.send(["frag", "men", "ted"])
            assert await connection.recv() == "fragmented"
            await connection.send("text")
            assert await connection.recv(decode=False) == b"text"
            await (await connection.ping())
            await connection.send("bye")
            assert [piece async for piece in connection.recv_streaming()] == ["bye"]
        assert connection.close_code == 1000

    asyncio.run(asyncio.wait_for(main(), 20))
    check_counts()


@MODES
def test_asyncio_invalid_text(mode: str) -> None:
    client, server = options_for(mode)

    async def main() -> None:
        async with connected(client, server) as connection:
            await connection.send(b"\xff", text=True)
            with pytest.raises(ConnectionClosedError, match="invalid start byte"):
                await connection.recv()
            assert connection.close_code == 1007

    asyncio.run(asyncio.wait_for(main(), 20))


def test_asyncio_broadcast_and_flow_control() -> None:
    client, server = options_for("classes")
    everybody = set()

    async def handler(connection: Any) -> None:
        everybody.add(connection)
        async for message in connection:
            for _ in range(200):
                websockets.asyncio.server.broadcast(everybody, message)

    async def main() -> None:
        # Far more than the queue holds: reading has to be paused and resumed.
        async with connected({**client, "max_queue": 2}, server, handler) as connection:
            await connection.send("x" * 10_000)
            await asyncio.sleep(0.1)
            for _ in range(200):
                assert await connection.recv() == "x" * 10_000
            assert not connection.recv_messages.paused

    asyncio.run(asyncio.wait_for(main(), 20))


@MODES
@COMPRESSION
def test_sync(mode: str, compression: str | None) -> None:
    client, server = options_for(mode, "Sync")

    def handler(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    with websockets.sync.server.serve(handler, "127.0.0.1", 0, compression=compression, **server) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            port = serving.socket.getsockname()[1]
            with websockets.sync.client.connect(
                f"ws://127.0.0.1:{port}", compression=compression, **client
            ) as connection:
                for message in MESSAGES:
                    connection.send(message)
                    received = connection.recv(timeout=20)
                    assert (type(received), received) == (type(message), message)
                for _ in range(50):
                    connection.send("many")
                assert [connection.recv(timeout=20) for _ in range(50)] == ["many"] * 50
                connection.send(["frag", "men", "ted"])
                assert connection.recv(timeout=20) == "fragmented"
                connection.send("text")
                assert connection.recv(timeout=20, decode=False) == b"text"
                connection.send(b"text")
                assert connection.recv(timeout=20, decode=True) == "text"
                connection.send("bye")
                assert list(connection.recv_streaming()) == ["bye"]
                with pytest.raises(TimeoutError):
                    connection.recv(timeout=0.01)
                connection.send("late")
                assert connection.recv(timeout=20) == "late"
                with pytest.raises(TypeError):
                    connection.send(5)
            assert connection.close_code == 1000
        finally:
            serving.shutdown()
            thread.join(20)
    check_counts()


@MODES
@COMPRESSION
def test_trio(mode: str, compression: str | None) -> None:
    trio = pytest.importorskip("trio")
    if version == "17.0":
        pytest.skip("its own flow control fails")
    client_module = pytest.importorskip("websockets.trio.client")
    server_module = pytest.importorskip("websockets.trio.server")
    client, server = options_for(mode, "Trio")

    async def main() -> None:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:

                async def serve(task_status: Any) -> None:
                    await server_module.serve(
                        echo, 0, host="127.0.0.1", compression=compression, task_status=task_status, **server
                    )

                serving = await nursery.start(serve)
                port = serving.listeners[0].socket.getsockname()[1]
                async with client_module.connect(
                    f"ws://127.0.0.1:{port}", compression=compression, **client
                ) as connection:
                    for message in MESSAGES:
                        await connection.send(message)
                        received = await connection.recv()
                        assert (type(received), received) == (type(message), message)
                    for _ in range(50):
                        await connection.send("many")
                    assert [await connection.recv() for _ in range(50)] == ["many"] * 50
                    await connection.send(["frag", "men", "ted"])
                    assert await connection.recv() == "fragmented"
                    await connection.send("text")
                    assert await connection.recv(decode=False) == b"text"
                    with trio.move_on_after(0.01):
                        await connection.recv()
                    await connection.send("bye")
                    assert [piece async for piece in connection.recv_streaming()] == ["bye"]
                nursery.cancel_scope.cancel()

    trio.run(main)
    check_counts()


def test_classes_change_nothing_else() -> None:
    with pytest.raises(AttributeError):
        adapter.NoSuchConnection  # type: ignore[attr-defined]  # noqa: B018
    made = adapter.ServerConnection
    assert made is adapter.ServerConnection
    assert issubclass(made, websockets.asyncio.server.ServerConnection)
    assert made.__name__ == "ServerConnection"
    assert made.__doc__
    assert wsfast.adapters.installed() == ()


def test_everything_is_put_back() -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("websockets.trio.connection")
    seams = adapter._seams(False)
    before = [seam.current for seam in seams]
    install("websockets")
    assert [seam.current for seam in seams] == [seam.new for seam in seams]
    wsfast.uninstall("websockets")
    assert all(old is seam.current for old, seam in zip(before, seams, strict=True))


RELOAD = """
import asyncio, importlib, sys
import wsfast
import websockets.protocol, websockets.asyncio.connection
import websockets.asyncio.server, websockets.asyncio.client
force = wsfast.backend == "python"
wsfast.install("websockets", force=force)
names = ["frames", "extensions.permessage_deflate", "protocol", "server", "client"]
names += ["asyncio.messages", "asyncio.connection", "asyncio.server", "asyncio.client"]
for name in {names}:
    importlib.reload(sys.modules["websockets." + name])
wsfast.install("websockets", force=force)
counts = wsfast.adapters.counts("websockets")
async def echo(connection):
    async for message in connection:
        await connection.send(message)
async def main():
    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{{port}}") as connection:
            for number in range(20):
                await connection.send(f"{{number}}")
                assert await connection.recv() == f"{{number}}"
        from wsfast.adapters import _websockets_asyncio as ours
        assert type(connection.recv_messages) is ours.Assembler, type(connection.recv_messages).__module__
asyncio.run(main())
wsfast.uninstall()
assert websockets.asyncio.connection.Connection.recv.__module__ == "websockets.asyncio.connection"
print("fine", counts.fast >= 40 or "their masks")
"""


@pytest.mark.parametrize("names", ["names", "names[6:]"])
def test_reloaded_library(names: str) -> None:
    code = RELOAD.format(names=names)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("fine"), done.stderr


def test_importing_the_adapter_does_not_import_the_library() -> None:
    code = "import sys, wsfast.adapters.websockets; print('websockets' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"
