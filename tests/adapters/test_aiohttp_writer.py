"""What aiohttp's connections send, through wsfast and without: the same frames, errors and waits."""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _backend, _fallback
from wsfast.adapters import counts

pytest.importorskip("aiohttp")

from aiohttp import WSMsgType
from aiohttp._websocket import writer as theirs
from aiohttp.client_ws import ClientWebSocketResponse
from aiohttp.web_ws import WebSocketResponse
from implementations import compiled_module
from installing import install

from wsfast.adapters import _aiohttp_writer as out

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_backend, "encode_frame", module.encode_frame)
        importlib.reload(out)
        counts("aiohttp").fast = counts("aiohttp").slow = 0
        yield
        wsfast.uninstall()
    importlib.reload(out)


class Text(str):
    pass


class Transport:
    """A transport and the protocol of its connection."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.closing = self._paused = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.log.append(bytes(data))

    async def _drain_helper(self) -> None:
        self.log.append("drained")
        await asyncio.sleep(0)


def connect(client: bool, transport: Any, **options: Any) -> Any:
    made: Any = object.__new__(ClientWebSocketResponse if client else WebSocketResponse)
    made._writer = theirs.WebSocketWriter(transport, transport, use_mask=client, **options)
    return made


def frames(log: list[Any], client: bool) -> list[Any]:
    """What was sent, masks taken off, since keys differ; where it was waited."""
    decoder = wsfast.FrameDecoder("server" if client else "client", max_size=None, rsv1=True)
    found: list[Any] = []
    for entry in log:
        found += [entry] if isinstance(entry, str) else decoder.feed(entry)
    return found


def told(exc: Exception) -> tuple[str, str]:
    return type(exc).__name__, str(exc)


async def send_all(connection: Any, transport: Transport) -> None:
    rest: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("text", lambda: connection.send_str("Grüße 🎉")),
        ("ascii", lambda: connection.send_str("x" * 5000)),
        ("empty", lambda: connection.send_str("")),
        ("a subclass", lambda: connection.send_str(Text("text"))),
        ("long text", lambda: connection.send_str("ä" * 40_000)),
        ("bytes", lambda: connection.send_bytes(b"\xff" * 300)),
        ("bytearray", lambda: connection.send_bytes(bytearray(b"abc"))),
        ("a view", lambda: connection.send_bytes(memoryview(b"abcdef")[2:])),
        ("long bytes", lambda: connection.send_bytes(bytes(70_000))),
        ("compressed alone", lambda: connection.send_str("abc" * 100, compress=9)),
        ("ping", lambda: connection.ping(b"?")),
        ("no text", lambda: connection.send_str(b"x")),
        ("no bytes", lambda: connection.send_bytes("x")),
        ("a surrogate", lambda: connection.send_str("\ud800")),
    ]
    for name, send in rest:
        transport.log.append(name)
        try:
            await send()
        except Exception as exc:
            transport.log.append(str(told(exc)))
    transport._paused = True
    for _ in range(3):
        await connection.send_str("y" * 130_000)
    transport.closing = True
    for send_late, data in ((connection.send_str, "late"), (connection.send_bytes, b"late")):
        try:
            await send_late(data)
        except Exception as exc:
            transport.log.append(str(told(exc)))
    connection._writer._closing = True
    try:
        await connection.send_str("later")
    except Exception as exc:
        transport.log.append(str(told(exc)))


def both(client: bool, act: Callable[[Any, Transport], Any], **options: Any) -> list[list[Any]]:
    stories = []
    for adapt in (False, True):
        if adapt:
            install("aiohttp")

        async def talk() -> list[Any]:
            transport = Transport()
            await act(connect(client, transport, **options), transport)
            return frames(transport.log, client)

        stories.append(asyncio.run(talk()))
    return stories


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@pytest.mark.parametrize(
    "options",
    [{}, {"limit": 1000}, {"compress": 15}, {"compress": 11, "notakeover": True}],
    ids=["plain", "small limit", "deflate", "no takeover"],
)
def test_everything_that_is_sent(client: bool, options: dict[str, Any]) -> None:
    stock, ours = both(client, send_all, **options)
    assert ours == stock
    assert "compress" in options or "drained" in ours
    assert counts("aiohttp").fast >= 9


def test_keys_are_not_the_librarys() -> None:
    """They come from a Mersenne Twister there, also for what is not sent as a plain message."""

    async def talk() -> list[Any]:
        transport = Transport()
        connection = connect(True, transport)
        await connection.send_str("x")
        await connection.send_bytes(memoryview(b"y"))
        await connection.ping(b"z")
        await connection.pong(b"z")
        await connection._writer.send_frame(b"number", 2)
        return frames(transport.log, True)

    generator = theirs.WebSocketWriter.__init__.__kwdefaults__["random"]  # type: ignore[index]
    install("aiohttp")
    before = generator.getstate()
    sent = asyncio.run(talk())
    assert generator.getstate() == before
    assert [frame.payload for frame in sent] == [b"x", b"y", b"z", b"z", b"number"]
    wsfast.uninstall()
    assert asyncio.run(talk()) == sent
    assert generator.getstate() != before


def test_keys_of_ones_own() -> None:
    """A writer with a generator of its own makes the keys that it says."""
    keys = []
    for adapt in (False, True):
        if adapt:
            install("aiohttp")

        async def talk() -> bytes:
            transport = Transport()
            connection = connect(True, transport, random=random.Random(5))
            await connection.send_str("x")
            await connection.send_bytes(b"y")
            return b"".join(transport.log)

        keys.append(asyncio.run(talk()))
    assert keys[0] == keys[1]


@pytest.mark.parametrize("compress", [0, 15])
def test_large_and_small_at_once(compress: int) -> None:
    """Small messages do not overtake a large one that is compressed in an executor."""

    async def act(connection: Any, transport: Transport) -> None:
        sends = [connection.send_str("z" * 300_000)]
        sends += [connection.send_str(f"message {n}" * 5) for n in range(5)]
        sends += [connection.send_bytes(bytes(200_000)), connection.send_str("last")]
        await asyncio.gather(*sends)

    stock, ours = both(False, act, compress=compress)
    assert ours == stock
    assert len(ours) == 8


@pytest.mark.parametrize("name", ["send_frame", "_write_websocket_frame"])
def test_who_replaces_a_step_is_called(name: str) -> None:
    install("aiohttp")
    calls: list[Any] = []

    async def send_frame(message: Any, opcode: int, compress: int | None = None) -> None:
        calls.append((message, opcode, compress))

    def write(message: Any, opcode: int, rsv: int) -> None:
        calls.append((message, opcode, rsv))

    async def main() -> None:
        connection = connect(False, Transport())
        setattr(connection._writer, name, send_frame if name == "send_frame" else write)
        await connection.send_str("ü")

    asyncio.run(main())
    assert calls == [("ü".encode(), WSMsgType.TEXT, None if name == "send_frame" else 0)]


def test_generators_that_are_no_methods() -> None:
    class Bits:
        getrandbits = staticmethod(lambda count: 0x61626364)

    sent = []
    for adapt in (False, True):
        if adapt:
            install("aiohttp")

        async def talk() -> bytes:
            transport = Transport()
            connection = connect(True, transport, random=Bits())
            await connection.send_str("x")
            connection._writer.get_random_bits = lambda: 5
            await connection.send_bytes(b"y")
            return b"".join(transport.log)

        sent.append(asyncio.run(talk()))
    assert sent[0] == sent[1] == b"\x81\x81abcd\x19\x82\x81\x00\x00\x00\x05y"
