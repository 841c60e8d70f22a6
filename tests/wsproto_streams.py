"""What the tests of the wsproto drop-in share: streams of frames, and what the library makes of them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import wsproto
from installing import install
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, ParseFailed, RsvBits

import wsfast
from wsfast import _fallback

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SERVER, CLIENT = ConnectionType.SERVER, ConnectionType.CLIENT
KEY = b"\x37\xfa\x21\x3d"
# Up to 1.2 the library hands out bytes or bytearray, as it happens; the drop-in always bytes.
OLD = wsproto.__version__.startswith("1.2")


# ---- What is fed -----------------------------------------------------------------------------------


def wire(
    side: ConnectionType,
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
    size: int | None = None,
    masked: bool | None = None,
) -> bytes:
    """A frame for ``side`` to receive; ``length`` is the one declared, in ``size`` bytes."""
    masked = side is SERVER if masked is None else masked
    bit = 0x80 if masked else 0
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size is None:
        size = 0 if length < 126 else 2 if length < 65536 else 8
    head += bytes([bit | (length if size == 0 else 126 if size == 2 else 127)])
    if size:
        head += length.to_bytes(size, "big")
    if masked:
        return head + KEY + _fallback.apply_mask(payload, KEY)
    return head + payload


class Packer:
    """Compresses messages as a peer does; with context takeover."""

    def __init__(self) -> None:
        self.context = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        return (self.context.compress(data) + self.context.flush(zlib.Z_SYNC_FLUSH))[:-4]


def conversation(side: ConnectionType, pack: Packer | None) -> bytes:
    """A bit of everything that is legal, the close frame and what comes too late."""
    text = "Grüße 🎉".encode()
    frames = [
        wire(side, TEXT, b"Hello"),
        wire(side, BINARY, b""),
        wire(side, TEXT, text[:3], fin=False),
        wire(side, PING, b"are you there?"),
        wire(side, CONT, b"", fin=False),
        wire(side, CONT, text[3:]),
        wire(side, PONG, b"yes"),
        wire(side, BINARY, bytes(range(126))),
        wire(side, BINARY, b"12", fin=False),
        wire(side, CONT, b"3"),
        wire(side, TEXT, b"x" * 125),
        wire(side, TEXT, text),
    ]
    if pack is not None:
        packed = [pack(data) for data in (text * 5, text * 6, bytes(300), b"", b"last" * 20)]
        frames += [
            wire(side, TEXT, packed[0], rsv=4),
            wire(side, PING),
            wire(side, TEXT, packed[1][:5], fin=False, rsv=4),
            wire(side, CONT, packed[1][5:]),
            wire(side, TEXT, b"between"),
            wire(side, BINARY, packed[2], rsv=4),
            wire(side, BINARY, packed[3], rsv=4),
            wire(side, BINARY, packed[4], fin=False, rsv=4),
            wire(side, CONT, b""),
        ]
    return b"".join([*frames, wire(side, CLOSE, b"\x03\xe8bye"), wire(side, TEXT, b"too late")])


def illegal(side: ConnectionType) -> dict[str, bytes]:
    """Streams that end in what a peer must not do, and one frame behind it."""
    found = {
        "opcode 3": wire(side, 3, b"x"),
        "opcode 15": wire(side, 15, b"x"),
        "rsv1": wire(side, TEXT, b"x", rsv=4),
        "rsv2": wire(side, TEXT, b"x", rsv=2),
        "rsv3": wire(side, BINARY, b"x", rsv=1),
        "rsv1 on a ping": wire(side, PING, b"x", rsv=4),
        "rsv1 on a continuation": wire(side, TEXT, b"x", fin=False) + wire(side, CONT, b"x", rsv=4),
        "fragmented ping": wire(side, PING, b"x", fin=False),
        "fragmented close": wire(side, CLOSE, b"", fin=False),
        "long ping": wire(side, PING, b"x" * 126),
        "longer close": wire(side, CLOSE, b"\x03\xe8" + b"x" * 70_000),
        "wrong direction of masking": wire(side, TEXT, b"x", masked=side is CLIENT),
        "the same, long": wire(side, TEXT, b"x" * 200, masked=side is CLIENT),
        "the same, a ping": wire(side, PING, b"x", masked=side is CLIENT),
        "2 bytes for 125": wire(side, TEXT, b"x" * 125, size=2),
        "8 bytes for 125": wire(side, TEXT, b"x" * 125, size=8),
        "8 bytes for 65535": wire(side, BINARY, b"x", length=65535, size=8),
        "top bit": wire(side, BINARY, b"x", length=1 << 63),
        "continuation of nothing": wire(side, CONT, b"x"),
        "empty continuation of nothing": wire(side, CONT),
        "continuation of nothing, open": wire(side, CONT, b"x", fin=False),
        "text in a message": wire(side, TEXT, b"x", fin=False) + wire(side, TEXT, b"y"),
        "binary in an empty message": wire(side, TEXT, b"", fin=False) + wire(side, BINARY),
        "close of 1 byte": wire(side, CLOSE, b"x"),
        "close reason not UTF-8": wire(side, CLOSE, b"\x03\xe8\xff"),
        "text not UTF-8": wire(side, TEXT, b"abc\xffdef"),
        "text cut short": wire(side, TEXT, "für".encode()[:2]),
        "surrogate": wire(side, TEXT, b"abc\xed\xa0\x80"),
        "overlong": wire(side, TEXT, b"\xc0\xaf"),
        "text in fragments, cut short": wire(side, TEXT, b"\xc3", fin=False) + wire(side, CONT),
        "text in fragments, bad": wire(side, TEXT, b"ab\xc3", fin=False) + wire(side, CONT, b"x"),
        "long text not UTF-8": wire(side, TEXT, b"x" * 300 + b"\xff" + b"x" * 300),
    }
    for code in (0, 999, 1003, 1004, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 1016, 2999, 3000, 4999, 5000):
        found[f"close {code}"] = wire(side, CLOSE, code.to_bytes(2, "big") + b"why")
    return found


def _any(value: Any) -> Any:
    return value


#: What is sent, one after the other; some of it cannot be.
OUT: list[Any] = [
    TextMessage("Hello"),
    BytesMessage(b"\x00\x01"),
    BytesMessage(bytearray(b"abc")),
    BytesMessage(_any(memoryview(b"view"))),
    Message(data="Grüße"),
    Message(data=b"x" * 126),
    TextMessage("He", message_finished=False),
    Ping(b"between"),
    TextMessage("", message_finished=False),
    TextMessage("llo"),
    BytesMessage(b"1", message_finished=False),
    TextMessage("mismatch"),
    BytesMessage(b"2"),
    TextMessage(""),
    TextMessage(""),
    TextMessage("y" * 65536),
    TextMessage("\ud800"),
    Message(data=_any(5)),
    Message(data=_any(None)),
    Ping(b"x" * 125),
    Ping(b"x" * 126),
    Pong(b"x" * 70_000),
    Ping(_any(bytearray(b"array"))),
    Ping(_any("text")),
    CloseConnection(1000, "bye" * 100),
    TextMessage("too late"),
]


# ---- What comes of it ------------------------------------------------------------------------------


class Mended(PerMessageDeflate):
    """The library's extension without one of the faults that the drop-in does not have.

    After a control frame inside a compressed message, the library forgets that it is compressed.
    """

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
        before = self._inbound_compressed
        result = super().frame_inbound_header(proto, opcode, rsv, payload_length)
        if opcode.iscontrol():
            self._inbound_compressed = before
        return result

    def frame_inbound_complete(self, proto: Any, fin: bool) -> Any:
        before = self._inbound_compressed
        result = super().frame_inbound_complete(proto, fin)
        if not self._inbound_is_compressible:
            self._inbound_compressed = before
        return result


def deflate(cls: type[PerMessageDeflate] = PerMessageDeflate, **options: Any) -> PerMessageDeflate:
    extension = cls(**options)
    extension._enabled = True
    return extension


def seen(value: Any) -> Any:
    """An event or a frame, with the types of all that is in it."""
    fields = value._asdict() if isinstance(value, tuple) else dict(vars(value))  # type: ignore[attr-defined]
    inside = fields.get("payload")
    extra = [(type(item), item) for item in inside] if isinstance(inside, tuple) else []
    if OLD:
        fields = {name: bytes(item) if type(item) is bytearray else item for name, item in fields.items()}
    return type(value), [(name, type(item), item) for name, item in fields.items()], extra


def rest_of_input(proto: FrameProtocol) -> bytes:
    link = getattr(proto, "_wsfast", None)
    chunk = b"" if link is None else link.chunk[link.at :]
    return chunk + bytes(proto._frame_decoder.buffer.buffer)


def state_of(proto: FrameProtocol) -> Any:
    """What the library keeps between two frames, and what it has not looked at."""
    decoder = proto._frame_decoder
    rest = rest_of_input(proto)
    if decoder.header.opcode >= CLOSE if decoder.header else rest[:1] >= b"\x80" and rest[0] & 0x08:
        # The drop-in leaves a control frame in the buffer until it is whole, header and all.
        return "a control frame is under way", proto._message_decoder.opcode
    return (
        decoder.header,
        decoder.effective_opcode,
        decoder.header and (decoder.payload_required, decoder.payload_consumed),
        proto._message_decoder.opcode,
        rest,
    )


def by_events(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
    connection = Connection(side, extensions)
    history: list[Any] = []
    for piece in pieces:
        connection.receive_data(piece)
        for event in connection.events():
            history.append((seen(event), connection.state))
        history.append(connection.state)
    return history


def by_frames(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
    proto = FrameProtocol(side is CLIENT, extensions)
    history: list[Any] = []
    ended = False
    for piece in pieces:
        proto.receive_bytes(piece)
        try:
            for frame in proto.received_frames():
                history.append(seen(frame))
                ended = ended or frame.opcode == CLOSE
        except ParseFailed as exc:
            history.append((type(exc), str(exc), type(exc.code), exc.code))
            ended = True
        # What nobody looks at any more does not count.
        history.append(ended or state_of(proto))
    return history


def none() -> list[Any]:
    return []


def one_by_one(side: ConnectionType, extensions: list[Any], pieces: Iterable[bytes]) -> list[Any]:
    """Ask for one event at a time, by a new generator each; every second time only after the next piece."""
    connection = Connection(side, extensions)
    history: list[Any] = []
    for number, piece in enumerate([*pieces, b"", b"", b""]):
        if connection.state is not ConnectionState.REMOTE_CLOSING:
            connection.receive_data(piece)
        for _ in range(2 if number % 2 else 1000):
            event = next(connection.events(), None)
            history.append(event and seen(event))
            if event is None:
                break
    return history


Way = Callable[[ConnectionType, list[Any], Iterable[bytes]], list[Any]]


def assert_same(
    way: Way,
    side: ConnectionType,
    cuts: Iterable[list[bytes]],
    make: Callable[[], list[Any]] = none,
    theirs: Callable[[], list[Any]] | None = None,
) -> None:
    """Compare the library to itself with the drop-in; ``theirs`` makes its extensions, if others."""
    streams = list(cuts)
    wsfast.uninstall()
    expected = [way(side, (theirs or make)(), pieces) for pieces in streams]
    with install("wsproto"):
        found = [way(side, make(), pieces) for pieces in streams]
    for pieces, one, other in zip(streams, expected, found, strict=True):
        assert other == one, [piece[:40] for piece in pieces]


def two_way(stream: bytes, step: int = 1) -> Iterator[list[bytes]]:
    yield [stream]
    for at in range(1, len(stream), step):
        yield [stream[:at], stream[at:]]


def randomly(stream: bytes, rng: random.Random, most: int) -> list[bytes]:
    pieces = []
    while stream:
        size = rng.randint(1, most)
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


class Xor(Extension):
    """An extension that the drop-in does not know; it uses RSV2 and changes every payload."""

    name = "xor"

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return True

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
        return RsvBits(False, True, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> Any:
        return bytes(byte ^ 1 for byte in data)

    def frame_outbound(self, proto: Any, opcode: Any, rsv: Any, data: bytes, fin: bool) -> Any:
        return RsvBits(rsv.rsv1, True, rsv.rsv3), bytes(byte ^ 1 for byte in data)


def outcome(side: ConnectionType, frames: list[tuple[int, bytes, bool, int]]) -> list[Any]:
    stream = b"".join([wire(side, opcode, data, fin=fin, rsv=rsv) for opcode, data, fin, rsv in frames])
    connection = Connection(side, [deflate()])
    connection.receive_data(stream)
    found: list[Any] = []
    for event in connection.events():
        if isinstance(event, Message):
            found.append(event.data)
        elif isinstance(event, CloseConnection):
            found.append(event.code)
        else:
            found.append(type(event).__name__.lower())
    return found
