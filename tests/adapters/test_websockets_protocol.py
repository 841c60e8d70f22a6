"""The websockets drop-in against the library itself: the same bytes, cut the same way, must do the same."""

from __future__ import annotations

import logging
import random
import secrets
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest

import wsfast
from wsfast import _fallback
from wsfast.adapters import websockets as adapter

pytest.importorskip("websockets")

from implementations import compiled_module
from installing import install
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from wsfast.adapters import _websockets_deflate as deflate
from wsfast.adapters import _websockets_frames as fast

# By number: PyPy has the members in another order.
CONT, TEXT, BINARY, CLOSE, PING, PONG = (Opcode(number) for number in (0, 1, 2, 8, 9, 10))
SERVER, CLIENT = Side.SERVER, Side.CLIENT
SIDES = [pytest.param(SERVER, id="server"), pytest.param(CLIENT, id="client")]
KEY = b"\x37\xfa\x21\x3d"
pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
STRICTER = "payload length not in its shortest form"
TWO_LIMITS = hasattr(Protocol(SERVER), "max_fragment_size")


# How often a block with BFINAL has been met. What the library makes of what follows is the one fault that is
# mended without being asked to.
blocks_with_bfinal: list[None] = []
go_on = deflate.Stream._go_on


def go_on_and_say_so(self: Any, out: bytes, max_length: int) -> bytes:
    blocks_with_bfinal.append(None)
    return go_on(self, out, max_length)


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs on both backends, starts and ends uninstalled, and knows the masking keys."""
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("FrameDecoder", "apply_mask", "encode_frame", "take_messages"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    monkeypatch.setattr(adapter, "apply_mask", module.apply_mask)
    monkeypatch.setattr(deflate, "decode_utf8", module.decode_utf8)
    monkeypatch.setattr(deflate.Stream, "_go_on", go_on_and_say_so)
    # The twin would leave masks to the library if that has its C function.
    monkeypatch.setattr(fast, "their_masks", False)
    monkeypatch.setattr(secrets, "token_bytes", lambda n: (KEY * n)[:n])
    yield
    wsfast.uninstall()


def wire(
    side: Side,
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
) -> bytes:
    """A frame for ``side`` to receive; ``length`` is the one declared, if not that of the payload."""
    masked = 0x80 if side is SERVER else 0
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length < 126:
        head += bytes([masked | length])
    elif length < 65536:
        head += bytes([masked | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + length.to_bytes(8, "big")
    if masked:
        return head + KEY + bytes(byte ^ KEY[i & 3] for i, byte in enumerate(payload))
    return head + payload


def conversation(side: Side, text: str = "Grüße") -> bytes:
    """A bit of everything that is legal, the close frame and what comes too late."""
    return b"".join(
        [
            wire(side, TEXT, b"Hello"),
            wire(side, BINARY, b""),
            wire(side, TEXT, text.encode()[:3], fin=False),
            wire(side, PING, b"are you there?"),
            wire(side, CONT, b"", fin=False),
            wire(side, CONT, text.encode()[3:]),
            wire(side, PONG, b"yes"),
            wire(side, BINARY, bytes(range(126))),
            wire(side, TEXT, b"x" * 125),
            wire(side, CLOSE, b"\x03\xe8bye"),
            wire(side, TEXT, b"too late"),
        ]
    )


def state_of(connection: Any) -> dict[str, Any]:
    """What an application can see of a connection, besides events and writes."""
    return {
        "state": connection.state,
        "parser_exc": (type(connection.parser_exc), str(connection.parser_exc)),
        "close_rcvd": connection.close_rcvd,
        "close_sent": connection.close_sent,
        "close_rcvd_then_sent": connection.close_rcvd_then_sent,
        "close_expected": connection.close_expected(),
        "eof_sent": connection.eof_sent,
        "current_size": getattr(connection, fast._CURRENT_SIZE),
    }


def seen(frame: Any) -> Any:
    """A frame with the types of all that is in it."""
    if not isinstance(frame, Frame):
        return type(frame)
    return (
        type(frame),
        [(type(value), value) for value in (frame.opcode, frame.data, frame.fin)],
        [frame.rsv1, frame.rsv2, frame.rsv3],
        frame.opcode is Opcode(frame.opcode),
        repr(frame),
    )


def live(
    connection: Any, pieces: Iterable[bytes], *, before: Callable[[int], object] = lambda i: None
) -> list[Any]:
    """Feed pieces, then the end of the stream; return all that happened, step by step."""
    history: list[Any] = []
    for i, piece in enumerate(pieces):
        before(i)
        connection.receive_data(piece)
        history.append(
            (
                [seen(frame) for frame in connection.events_received()],
                connection.data_to_send(),
                state_of(connection),
            )
        )
    connection.receive_eof()
    history.append((connection.events_received(), connection.data_to_send(), state_of(connection)))
    return history


def assert_same(make: Callable[[], Any], pieces: list[bytes]) -> None:
    """Compare the library to itself with the drop-in."""
    stock = live(make(), pieces)
    blocks_with_bfinal.clear()
    with install("websockets"):
        ours = live(make(), pieces)
    if not blocks_with_bfinal:
        assert ours == stock, f"fed {pieces}"


def cut(data: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def random_cuts(rng: random.Random, data: bytes) -> list[bytes]:
    return cut(data, *(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6))))


# ---- The same as the library, byte by byte -------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_every_split_of_a_conversation(side: Side) -> None:
    data = conversation(side)
    for place in range(len(data) + 1):
        assert_same(lambda: Protocol(side), cut(data, place))
    assert_same(lambda: Protocol(side), [bytes([byte]) for byte in data])


@pytest.mark.parametrize("side", SIDES)
def test_truncated_anywhere(side: Side) -> None:
    data = conversation(side)
    for place in range(len(data)):
        assert_same(lambda: Protocol(side), [data[:place]])
        assert_same(lambda: Protocol(side), cut(data[:place], place // 2))


@pytest.mark.parametrize("in_message", [False, True], ids=["alone", "in_message"])
@pytest.mark.parametrize("side", SIDES)
def test_every_first_byte(side: Side, in_message: bool, exhaustive: bool) -> None:
    lengths = [(5, b""), (126, b"\x00\x7e"), (127, bytes(5) + b"\x01\x00\x00")]
    if exhaustive:
        lengths += [(0, b""), (125, b""), (126, b"\x40\x00"), (127, bytes(5) + b"\x20\x00\x00")]
    before = wire(side, TEXT, b"fine") + (wire(side, BINARY, b"part", fin=False) if in_message else b"")
    for first in range(256):
        for second, extended in lengths:
            for mask in (0, 0x80):
                header = bytes([first, second | mask]) + extended
                data = before + header + bytes(140) + wire(side, TEXT, b"next")
                assert_same(lambda: Protocol(side), [data])
                assert_same(lambda: Protocol(side), cut(data, len(before) + 1, len(before) + len(header)))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])
def test_random_damage(side: Side, compressed: bool, rng: random.Random) -> None:
    sender = Protocol(CLIENT if side is SERVER else SERVER)

    def extensions() -> list[Any]:
        return [PerMessageDeflate(False, False, 15, 15)] if compressed else []

    sender.extensions = extensions()
    for size in (0, 5, 125, 126, 300):
        sender.send_text(b"a" * size)
    sender.send_text(b"be", fin=False)
    sender.send_ping(b"p")
    sender.send_continuation(b"gun", fin=True)
    sender.send_binary(bytes(range(200)))
    sender.send_close(1001, "going")
    data = b"".join(sender.data_to_send())

    def make() -> Any:
        connection = Protocol(side, max_size=250)
        connection.extensions = extensions()
        return connection

    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.choice([0, 1, 1, 2])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        assert_same(make, random_cuts(rng, bytes(damaged)))


# ---- Long frames, limits -------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [126, 16_383, 16_384, 65_535, 65_536, 200_000])
def test_long_frames(side: Side, size: int, rng: random.Random) -> None:
    payload = rng.randbytes(size)
    data = (
        wire(side, BINARY, payload)
        + wire(side, PING, b"p")
        + wire(side, TEXT, b"x" * size, fin=False)
        + wire(side, CONT, payload)
        + wire(side, TEXT, b"short")
    )
    for step in (1000, 16_384, 65_536, len(data)):
        assert_same(lambda: Protocol(side), [data[i : i + step] for i in range(0, len(data), step)])


LIMITS: list[Any] = [None, 0, 4, 5, 9, 10, 11]
if TWO_LIMITS:
    LIMITS += [(10, None), (None, 5), (10, 5), (10, 4), (5, 10), (None, None)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])
def test_limits(side: Side, limit: Any, compressed: bool) -> None:
    sender = Protocol(CLIENT if side is SERVER else SERVER)
    if compressed:
        sender.extensions = [PerMessageDeflate(False, False, 15, 15)]
    sender.send_text(b"1234")
    sender.send_ping(b"1234")
    sender.send_text(b"12345", fin=False)
    sender.send_continuation(b"", fin=False)
    sender.send_ping(b"")
    sender.send_continuation(b"67890", fin=True)
    sender.send_binary(b"1" * 10)
    sender.send_binary(b"1" * 11)
    data = b"".join(sender.data_to_send())

    def make() -> Any:
        connection = Protocol(side, max_size=limit)
        if compressed:
            connection.extensions = [PerMessageDeflate(False, False, 15, 15)]
        return connection

    assert_same(make, [bytes([byte]) for byte in data])
    for place in range(0, len(data), 3):
        assert_same(make, cut(data, place))


@pytest.mark.parametrize("side", SIDES)
def test_long_declared_lengths(side: Side) -> None:
    for length in (1 << 20, (1 << 20) + 1, 1 << 31, (1 << 63) - 1):
        for before in (b"", wire(side, BINARY, b"part", fin=False)):
            for opcode in (BINARY, CONT, PING):
                data = before + wire(side, opcode, b"few bytes", length=length)
                assert_same(lambda: Protocol(side), [data])
                assert_same(lambda: Protocol(side), [bytes([byte]) for byte in data])


def test_limit_of_another_type_is_left_to_the_library() -> None:
    def make() -> Any:
        connection = Protocol(SERVER)
        setattr(connection, "max_message_size" if TWO_LIMITS else "max_size", 5.5)
        return connection

    assert_same(make, cut(wire(SERVER, TEXT, b"12345") + wire(SERVER, TEXT, b"123456"), 3))


# ---- Extensions, subclasses, logging -------------------------------------------------------------


class Rsv2(Extension):
    """Uses a reserved bit, turns the payload round."""

    name: Any = "x-rsv2"

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        return Frame(frame.opcode, bytes(frame.data)[::-1], frame.fin, frame.rsv1, not frame.rsv2, frame.rsv3)

    encode = decode


def test_extension_with_a_reserved_bit() -> None:
    def make() -> Any:
        connection = Protocol(SERVER)
        connection.extensions = [Rsv2()]
        return connection

    data = b"".join(
        wire(SERVER, opcode, b"abc", rsv=rsv) for opcode in (TEXT, BINARY, PING) for rsv in (2, 2)
    ) + wire(SERVER, TEXT, b"bad")
    for place in range(len(data)):
        assert_same(make, cut(data, place))


@pytest.mark.parametrize("takeover", [False, True])
def test_compressed_messages(takeover: bool, rng: random.Random) -> None:
    def deflate() -> list[Any]:
        return [PerMessageDeflate(takeover, takeover, 12, 12)]

    sender = Protocol(CLIENT)
    sender.extensions = deflate()
    for size in (0, 10, 3000, 100_000):
        sender.send_text(b"ab" * size)
        sender.send_binary(rng.randbytes(size), fin=False)
        sender.send_continuation(rng.randbytes(size), fin=False)
        sender.send_ping(b"")
        sender.send_continuation(b"", fin=True)
    data = b"".join(sender.data_to_send())

    def make(max_size: int | None = None) -> Any:
        connection = Protocol(SERVER, max_size=max_size)
        connection.extensions = deflate()
        return connection

    for step in (61, 1000, 65_536, len(data)):
        assert_same(make, [data[i : i + step] for i in range(0, len(data), step)])
    # A bomb: small on the wire.
    assert_same(lambda: make(199_999), [data])


def test_overridden_recv_frame_sees_every_frame() -> None:
    class Recording(Protocol):
        def __init__(self) -> None:
            super().__init__(SERVER)
            self.got: list[Any] = []

        def recv_frame(self, frame: Frame) -> None:
            self.got.append(frame)
            if frame.data == b"refuse":
                raise ProtocolError("refused")
            if frame.data == b"fail":
                self.fail(4000, "failed")
                return
            super().recv_frame(frame)

    with install("websockets"):
        connection = Recording()
        connection.receive_data(conversation(SERVER))
        assert len(connection.got) == 10
    for word in (b"refuse", b"fail"):
        data = wire(SERVER, TEXT, b"1") + wire(SERVER, BINARY, word) + wire(SERVER, TEXT, b"2") + b"\x81"
        assert_same(Recording, [data])
        assert_same(Recording, cut(data, 3, 12, 20))


def test_error_in_recv_frame_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Protocol):
        def recv_frame(self, frame: Frame) -> None:
            raise ZeroDivisionError("oops")

    assert_same(lambda: Broken(SERVER), [wire(SERVER, TEXT, b"1") * 2])
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "parser failed"
    ] * 2
    assert all(record.exc_info for record in caplog.records if record.levelno == logging.ERROR)


@pytest.mark.parametrize("side", SIDES)
def test_debug_log(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="websockets")
    data = conversation(side, "Gruss")  # older versions cannot log a part of a code point
    logs = []
    for _ in range(2):
        caplog.clear()
        connection = Protocol(side)
        connection.receive_data(data[:50])
        connection.receive_data(data[50:])
        connection.receive_eof()
        logs.append([record.getMessage() for record in caplog.records])
        install("websockets")
    assert logs[0] == logs[1]
    assert sum(line.startswith("< ") for line in logs[0]) >= 10


def test_patched_parser_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    data = wire(SERVER, TEXT, b"1") + wire(SERVER, TEXT, b"2")

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("BOOM")

    with install("websockets"):
        connection = Protocol(SERVER)
        connection.receive_data(data[:-1])
        with monkeypatch.context() as patch:
            patch.setattr(struct, "unpack", broken)
            connection.receive_data(data[-1:])
        assert connection.close_sent is not None
        assert connection.close_sent.code == 1011
    calls = []
    parse = Frame.__dict__["parse"]

    def parse_frame(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return parse.__get__(None, Frame)(*args, **kwargs)

    with install("websockets"):
        monkeypatch.setattr(Frame, "parse", parse_frame)
        connection = Protocol(SERVER)
        connection.receive_data(data)
        assert len(connection.events_received()) == 2
    assert calls


# ---- Handshakes, install and uninstall under way -------------------------------------------------

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Accepting(ServerProtocol):
    """A server that accepts as soon as it has the request."""

    def receive_data(self, data: bytes) -> None:  # type: ignore[override]
        super().receive_data(data)
        if self.state is State.CONNECTING and self.events:
            response = self.accept(self.events[0])  # type: ignore[arg-type]
            del response.headers["Date"]
            self.send_response(response)


def test_frames_right_behind_the_handshake() -> None:
    data = REQUEST + conversation(SERVER)
    for place in range(len(REQUEST) - 5, len(data)):
        assert_same(Accepting, cut(data, place))
        assert_same(Accepting, cut(data, len(REQUEST), place))


def test_client_handshake() -> None:
    with install("websockets"):
        server, client = ServerProtocol(), ClientProtocol(parse_uri("ws://localhost/"))
        client.send_request(client.connect())
        server.receive_data(b"".join(client.data_to_send()))
        (request,) = server.events_received()
        server.send_response(server.accept(request))  # type: ignore[arg-type]
        server.send_text(b"welcome")
        client.receive_data(b"".join(server.data_to_send()))
        _, frame = client.events_received()
        assert frame == Frame(TEXT, b"welcome")
        assert "_wsfast" in vars(client)  # so it was wsfast that read it
        client.send_text(b"thanks")
        server.receive_data(b"".join(client.data_to_send()))
        assert server.events_received() == [Frame(TEXT, b"thanks")]
        assert "_wsfast" in vars(server)
        client.receive_data(b"\x81\x02hi")
        assert client.events_received() == [Frame(TEXT, b"hi")]
        assert "_wsfast" in vars(client)


@pytest.mark.parametrize("side", SIDES)
def test_switched_on_and_off_on_an_open_connection(side: Side, rng: random.Random) -> None:
    data = conversation(side)

    def toggle(i: int) -> None:
        if rng.random() < 0.5:
            install("websockets")
        else:
            wsfast.uninstall("websockets")

    for _ in range(200):
        pieces = random_cuts(rng, data)
        wsfast.uninstall()
        stock = live(Protocol(side), pieces)
        assert live(Protocol(side), pieces, before=toggle) == stock
    wsfast.uninstall()
    stock = live(Protocol(side), [bytes([byte]) for byte in data])
    assert live(Protocol(side), [bytes([byte]) for byte in data], before=toggle) == stock


def test_fast_path_is_taken_up_again_in_a_busy_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that the library had begun, or must judge, must not leave the rest to it."""
    taken = []
    decode = fast._decode

    def counted(*args: Any) -> None:
        taken.append(args)
        decode(*args)

    monkeypatch.setattr(fast, "_decode", counted)
    data = wire(SERVER, TEXT, b"x" * 70) * 100
    connection = Protocol(SERVER)
    connection.receive_data(data[:10])
    with install("websockets"):
        for start in range(10, len(data), 333):
            connection.receive_data(data[start : start + 333])
    assert len(connection.events_received()) == 100
    assert len(taken) > 20


def test_memory_of_a_frame_that_does_not_arrive() -> None:
    with install("websockets"):
        connection: Any = Protocol(SERVER)
        connection.receive_data(wire(SERVER, BINARY, b"", length=1 << 20))
        assert len(connection.reader.buffer) < 100
        assert connection._wsfast.decoder is None


# ---- Stricter than the library -------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_lengths_not_in_their_shortest_form(side: Side) -> None:
    masked = 0x80 if side is SERVER else 0
    for header in [
        bytes([0x81, masked | 126, 0, 5]),
        bytes([0x82, masked | 126, 0, 125]),
        bytes([0x81, masked | 127]) + (65535).to_bytes(8, "big"),
        bytes([0x81, masked | 127]) + (1 << 63).to_bytes(8, "big"),
        bytes([0x89, masked | 126, 0, 5]),
        bytes([0x89, masked | 127]) + (5).to_bytes(8, "big"),
    ]:
        before = wire(side, TEXT, b"before")
        for pieces in ([header], [bytes([byte]) for byte in header], [header + bytes(70_000)]):
            assert_same(lambda: Protocol(side), [before, *pieces])
            with install("websockets", strict=True):
                connection = Protocol(side)
                for piece in [before, *pieces]:
                    connection.receive_data(piece)
                assert connection.events_received() == [Frame(TEXT, b"before")]
                assert isinstance(connection.parser_exc, ProtocolError)
                assert str(connection.parser_exc) == STRICTER
                assert connection.close_sent is not None
                assert (connection.close_sent.code, connection.close_sent.reason) == (1002, STRICTER)


@pytest.mark.parametrize("side", SIDES)
def test_close_between_fragments(side: Side) -> None:
    """RFC 6455 §5.4 allows it; the library answers with 1002."""
    stream = wire(side, TEXT, b"a", fin=False) + wire(side, CLOSE, b"\x0f\xa0bye")
    for cut in range(1, len(stream) + 1):
        pieces = [stream[:cut], stream[cut:]] if cut < len(stream) else [stream]
        assert_same(lambda: Protocol(side), pieces)
        with install("websockets", strict=True):
            connection = Protocol(side)
            for piece in pieces:
                connection.receive_data(piece)
            assert connection.parser_exc is None
            assert connection.close_sent == connection.close_rcvd
            assert connection.close_rcvd is not None
            assert (connection.close_rcvd.code, connection.close_rcvd.reason) == (4000, "bye")


# ---- Frames out ----------------------------------------------------------------------------------

PAYLOADS = [b"", b"spam", bytes(125), bytes(126), bytes(65_535), bytes(65_536), bytes(200_000)]


@pytest.mark.parametrize("mask", [False, True])
def test_serialize(mask: bool) -> None:
    frames = [
        Frame(opcode, kind(payload), fin)
        for opcode in (CONT, TEXT, BINARY)
        for payload in PAYLOADS
        for kind in (bytes, bytearray, memoryview, lambda data: memoryview(data)[::-1])
        for fin in (False, True)
        # Not contiguous: servers cannot send that, and no C function of the library's on PyPy.
        if kind in (bytes, bytearray, memoryview) or (mask and sys.implementation.name != "pypy")
    ]
    frames += [Frame(opcode, payload) for opcode in (CLOSE, PING, PONG) for payload in PAYLOADS[:3]]
    # What no check refuses, an int for an opcode and an opcode that does not exist.
    frames += [Frame(1, b"int"), Frame(3, b"reserved"), Frame(BINARY, b"fin is 1", 1)]  # type: ignore[arg-type]
    for extensions in (None, [], [Rsv2()]):
        expected = [frame.serialize(mask=mask, extensions=extensions) for frame in frames]
        with install("websockets"):
            for frame, data in zip(frames, expected, strict=True):
                result = frame.serialize(mask=mask, extensions=extensions)
                assert type(result) is bytes
                assert result == data


def test_serialize_compressed() -> None:
    messages = [b"", b"spam" * 10, b"spam" * 10_000, bytes(range(256)) * 40]
    wires = []
    for _ in range(2):
        sender = Protocol(CLIENT)
        sender.extensions = [PerMessageDeflate(False, False, 15, 15)]
        for message in messages:
            sender.send_text(message)
            sender.send_binary(message, fin=False)
            sender.send_continuation(message, fin=True)
            sender.send_ping(message[:100])
        wires.append(sender.data_to_send())
        install("websockets")
    assert wires[0] == wires[1]


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as exc:
        return type(exc), str(exc) if isinstance(exc, ProtocolError) else ""


@pytest.mark.parametrize(
    "frame",
    [
        Frame(TEXT, b"", True, True),
        Frame(TEXT, b"", True, False, True),
        Frame(BINARY, b"", True, False, False, True),
        Frame(PING, bytes(126)),
        Frame(PING, b"", False),
        Frame(CLOSE, b"", True, True),
        Frame(TEXT, "text"),  # type: ignore[arg-type]
        Frame(TEXT, [1, 2]),  # type: ignore[arg-type]
    ],
    ids=["rsv1", "rsv2", "rsv3", "long_ping", "fragmented_ping", "rsv1_close", "str", "list"],
)
@pytest.mark.parametrize("mask", [False, True])
def test_serialize_refuses_what_the_library_refuses(frame: Frame, mask: bool) -> None:
    stock = outcome(lambda: frame.serialize(mask=mask))
    if isinstance(stock, bytes):
        pytest.skip("without its C function the library masks lists, too")
    with install("websockets"):
        assert outcome(lambda: frame.serialize(mask=mask)) == stock


def test_serialize_calls_check_of_a_subclass() -> None:
    class Checked(Frame):
        def check(self) -> None:
            raise ProtocolError("checked")

    with install("websockets"), pytest.raises(ProtocolError, match="checked"):
        Checked(TEXT, b"").serialize(mask=False)


def test_wide_items_are_refused() -> None:
    with install("websockets"), pytest.raises(TypeError, match="single bytes"):
        Frame(BINARY, memoryview(bytes(8)).cast("I")).serialize(mask=True)


def test_keys_are_those_of_wsfast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with install("websockets"):
        wires = {Frame(TEXT, bytes(8)).serialize(mask=True) for _ in range(100)}
    assert len({data[2:6] for data in wires}) == 100
    assert all(data[:2] == b"\x81\x88" and data[6:10] == data[2:6] for data in wires)
