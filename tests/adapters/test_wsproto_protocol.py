"""The wsproto drop-in against the library itself: the same bytes, cut the same way, must do the same."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _fallback
from wsfast.adapters import counts
from wsfast.adapters import wsproto as adapter

pytest.importorskip("wsproto")

from implementations import compiled_module
from installing import install
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection
from wsproto.frame_protocol import FrameProtocol, Opcode
from wsproto.utilities import LocalProtocolError
from wsproto_streams import (
    BINARY,
    CLIENT,
    CLOSE,
    CONT,
    OUT,
    PING,
    PONG,
    SERVER,
    TEXT,
    Mended,
    Packer,
    Way,
    Xor,
    assert_same,
    by_events,
    by_frames,
    conversation,
    deflate,
    illegal,
    none,
    one_by_one,
    randomly,
    seen,
    two_way,
    wire,
)

from wsfast.adapters import _wsproto_frames as fast

SIDES = [pytest.param(SERVER, id="server"), pytest.param(CLIENT, id="client")]
WAYS = [pytest.param(by_events, id="events"), pytest.param(by_frames, id="frames")]


pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("apply_mask", "apply_mask_into", "decode_utf8", "encode_frame", "split_frames"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    adapter.HOST.counts.fast = adapter.HOST.counts.slow = 0
    yield
    wsfast.uninstall()


# ---- The same in, the same out ---------------------------------------------------------------------


@pytest.mark.parametrize("way", [*WAYS, pytest.param(one_by_one, id="one by one")])
@pytest.mark.parametrize("side", SIDES)
def test_every_two_way_split(side: ConnectionType, way: Way) -> None:
    stream = conversation(side, None)
    assert_same(way, side, [*two_way(stream), [bytes([byte]) for byte in stream]])


@pytest.mark.parametrize("side", SIDES)
def test_one_by_one_compressed(side: ConnectionType) -> None:
    stream = conversation(side, Packer())
    assert_same(one_by_one, side, list(two_way(stream))[::5], lambda: [deflate()])


@pytest.mark.parametrize(
    ("way", "takeover"),
    [
        pytest.param(by_events, True, id="events"),
        pytest.param(by_frames, True, id="frames"),
        pytest.param(by_events, False, id="no takeover"),
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_every_two_way_split_compressed(side: ConnectionType, way: Way, takeover: bool) -> None:
    # Without takeover the stream makes no sense after its first message: a fault to be found the same way.
    stream = conversation(side, Packer())
    no_takeover: Any = {
        "client_no_context_takeover": not takeover,
        "server_no_context_takeover": not takeover,
    }
    make = lambda: [deflate(**no_takeover)]  # noqa: E731
    assert_same(way, side, [*two_way(stream, 2), [bytes([byte]) for byte in stream]], make)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_illegal(side: ConnectionType, way: Way) -> None:
    before, behind = wire(side, TEXT, b"before"), wire(side, TEXT, b"behind")
    cuts: list[list[bytes]] = []
    for bad in illegal(side).values():
        stream = before + bad + behind
        cuts += [[before, bad, behind], [stream, b"", behind], [stream]]
        cuts += [[stream[:at], stream[at:]] for at in range(len(before), min(len(stream), len(before) + 20))]
    assert_same(way, side, cuts)
    assert_same(way, side, cuts, lambda: [deflate()], lambda: [deflate(Mended)])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_random_streams(side: ConnectionType, way: Way, compressed: bool, rng: random.Random) -> None:
    for _ in range(4):
        pack = Packer()
        frames: list[bytes] = []
        while len(frames) < 30:
            opcode = rng.choice((TEXT, BINARY))
            size = rng.choice((0, 1, 5, 60, 125, 126, 300, 2000))
            data = "".join(rng.choices("abcü€🎉", k=size)).encode() if opcode == TEXT else rng.randbytes(size)
            rsv = 4 if compressed and rng.random() < 0.6 else 0
            data = pack(data) if rsv else data
            cuts = sorted(rng.choices(range(len(data) + 1), k=rng.choice((0, 0, 0, 1, 2, 5))))
            parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            for number, part in enumerate(parts):
                last = number == len(parts) - 1
                frames.append(
                    wire(side, CONT if number else opcode, part, fin=last, rsv=0 if number else rsv)
                )
                if rng.random() < 0.1:
                    frames.append(wire(side, rng.choice((PING, PONG)), rng.randbytes(rng.randint(0, 125))))
        stream = b"".join(frames)
        cut = [randomly(stream, rng, most) for most in (7, 100, 3000, 100_000)]
        if compressed:
            assert_same(way, side, cut, lambda: [deflate()], lambda: [deflate(Mended)])
        else:
            assert_same(way, side, cut)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_mutated_streams(side: ConnectionType, way: Way, compressed: bool, rng: random.Random) -> None:
    """Single bits are changed anywhere; with compression, a block with BFINAL ends the comparison."""
    original = conversation(side, Packer() if compressed else None)
    streams = []
    for _ in range(30):
        mutated = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 4))):
            mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        streams.append(bytes(mutated))
    if not compressed:
        assert_same(way, side, [randomly(stream, rng, 60) for stream in streams])
        return
    same = 0
    for stream in streams:
        extension = deflate(Mended)
        context: list[Any] = []
        by_frames(side, [extension], Observed([stream], extension, context))
        if any(decompressor.eof for decompressor in context):
            continue
        same += 1
        cut = [randomly(stream, rng, 60), [stream]]
        assert_same(way, side, cut, lambda: [deflate()], lambda: [deflate(Mended)])
    assert same > 20


class Observed:
    """Pieces, and afterwards the decompressor of the connection that they went to."""

    def __init__(self, pieces: list[bytes], extension: Any, found: list[Any]) -> None:
        self.pieces = pieces
        self.extension = extension
        self.found = found

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.extension._decompressor is not None:
            self.found.append(self.extension._decompressor)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_large_messages(side: ConnectionType, compressed: bool, rng: random.Random) -> None:
    pack = Packer()
    frames = []
    for size in (65_535, 65_536, 300_000):
        text = "".join(rng.choices("abcdefghijü€", k=size // 2)).encode()
        for opcode, data in ((TEXT, text), (BINARY, rng.randbytes(size))):
            frames.append(wire(side, opcode, pack(data) if compressed else data, rsv=4 if compressed else 0))
    stream = b"".join(frames)
    make = (lambda: [deflate()]) if compressed else none
    assert_same(
        by_events, side, [[stream], randomly(stream, rng, 1 << 16), randomly(stream, rng, 1 << 18)], make
    )


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_input(kind: Any) -> None:
    """What is not bytes may change, so it must not be kept."""
    stream = conversation(SERVER, None)

    def way(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
        connection = Connection(side, extensions)
        storage = bytearray(len(stream))
        history = []
        for piece in pieces:
            storage[: len(piece)] = piece
            connection.receive_data(kind(memoryview(storage)[: len(piece)]))
            storage[:] = bytes(len(storage))
            history += [seen(event) for event in connection.events()]
        return history

    assert_same(way, SERVER, [[stream], [stream[:50], stream[50:]]])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_extensions_of_others(side: ConnectionType, way: Way) -> None:
    stream = (
        wire(side, TEXT, b"Hello", rsv=2)
        + wire(side, BINARY, b"", rsv=2)
        + wire(side, PING, b"p")
        + wire(side, TEXT, b"He", fin=False)
        + wire(side, CONT, b"llo")
        + wire(side, CLOSE, b"\x02\xe9")
    )
    assert_same(way, side, two_way(stream), lambda: [Xor()])
    assert_same(way, side, two_way(stream), lambda: [Xor(), deflate()])
    with install("wsproto"):
        before = counts("wsproto").slow
        by_events(side, [Xor()], [stream])
        assert counts("wsproto").slow == before + 4


# ---- What is asked for, and how much of it is fast -------------------------------------------------


def test_the_count() -> None:
    """Of data frames at most one in twenty may take the library's own way: here none does."""
    stream = conversation(SERVER, Packer())
    data_frames = 18
    with install("wsproto"):
        for pieces in ([stream], [bytes([byte]) for byte in stream]):
            before = counts("wsproto").fast
            by_events(SERVER, [deflate()], pieces)
            assert counts("wsproto").fast == before + data_frames
        assert counts("wsproto").slow == 0
        before = counts("wsproto").fast
        connection = Connection(CLIENT)
        for event in OUT[:10]:
            connection.send(event)
        assert counts("wsproto").fast == before + 8
        assert counts("wsproto").slow == 1  # the memoryview


def test_many_frames_do_not_wait_decoded() -> None:
    """However much is received before anybody asks, only so many frames at a time are taken from it."""
    with install("wsproto"):
        connection = Connection(SERVER)
        connection.receive_data(
            wire(SERVER, BINARY, b"x", fin=False) + wire(SERVER, CONT, b"y", fin=False) * 10_000
        )
        events = connection.events()
        next(events)
        assert len(list(connection._proto._wsfast.ready)) < 300  # type: ignore[attr-defined]


def test_what_is_received_while_events_are_read() -> None:
    def way(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
        connection = Connection(side, extensions)
        pieces = list(pieces)
        connection.receive_data(pieces.pop(0))
        history = []
        for event in connection.events():
            history.append(seen(event))
            if pieces:
                connection.receive_data(pieces.pop(0))
        return history

    stream = conversation(SERVER, None)
    rng = random.Random(3)
    assert_same(way, SERVER, [randomly(stream, rng, 30) for _ in range(50)])


def test_the_end_and_what_comes_after() -> None:
    def way(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
        connection = Connection(side, extensions)
        history: list[Any] = []
        for piece in pieces:
            try:
                connection.receive_data(piece or None)
            except LocalProtocolError as exc:
                history.append(str(exc))
            history += [seen(event) for event in connection.events()]
            history.append(connection.state)
            if connection.state is ConnectionState.REMOTE_CLOSING:
                history.append(connection.send(CloseConnection(1000)))
        return history

    text, close = wire(SERVER, TEXT, b"x"), wire(SERVER, CLOSE)
    assert_same(way, SERVER, [[text, close, text], [text[:4], b""], [close, b""], [text + close + text]])


def test_a_reference_to_the_opcode() -> None:
    with install("wsproto"):
        proto = FrameProtocol(False, [])
        proto.receive_bytes(conversation(SERVER, None))
        opcodes = [frame.opcode for frame in proto.received_frames()]
    assert all(opcode is Opcode(opcode) for opcode in opcodes)


@pytest.mark.parametrize("owner", ["class", "instance"])
def test_somebody_who_watches_frames(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces received_frames() goes on to see all frames."""
    with install("wsproto"):
        connection = Connection(SERVER)
        seen_frames: list[Any] = []
        stock: Any = FrameProtocol.received_frames

        def received_frames(self: Any = connection._proto) -> Iterator[Any]:
            for frame in stock(self):
                seen_frames.append(frame)
                yield frame

        monkeypatch.setattr(
            FrameProtocol if owner == "class" else connection._proto, "received_frames", received_frames
        )
        connection.receive_data(conversation(SERVER, None))
        assert len(list(connection.events())) == len(seen_frames) == 13
