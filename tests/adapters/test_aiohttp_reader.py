"""The aiohttp drop-in against aiohttp's own reader: the same bytes, cut the same way, must do the same."""

from __future__ import annotations

import importlib
import random
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _backend, _fallback

pytest.importorskip("aiohttp")

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, compression_utils
from aiohttp._websocket import reader as bound
from aiohttp._websocket import reader_py, writer
from aiohttp.http_websocket import WebSocketError
from aiohttp.web_protocol import RequestHandler
from implementations import compiled_module
from installing import install

from wsfast.adapters import _aiohttp_frames as fast
from wsfast.adapters import _aiohttp_writer as out

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
KEY = b"\x37\xfa\x21\x3d"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = ("MessageDecoder", "MessageQueue", "MessageTaker", "apply_mask", "encode_frame", "parse_header")
# Up to 3.14.4 it refuses RSV1 on a control frame.
TAKES_RSV1 = aiohttp.__version__ not in ("3.14.4",)
STOCK = {
    "as installed": (bound.WebSocketReader, bound.WebSocketDataQueue),
    "in Python": (reader_py.WebSocketReader, reader_py.WebSocketDataQueue),
}


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(_backend, name, getattr(module, name))
        importlib.reload(fast)
        importlib.reload(out)
        yield request.param
        wsfast.uninstall()
    importlib.reload(fast)
    importlib.reload(out)


@pytest.fixture
def ours(backend: str) -> tuple[Any, Any]:
    install("aiohttp")
    return bound.WebSocketReader, bound.WebSocketDataQueue


def wire(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    form: int | None = None,
) -> bytes:
    """A frame. ``length`` is the one declared, if not that of the payload; ``form`` the bytes it takes."""
    length = len(payload) if length is None else length
    if form is None:
        form = 0 if length < 126 else 2 if length < 65536 else 8
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    flag = 0x80 if masked else 0
    head += bytes([flag | {0: length, 2: 126, 8: 127}[form]]) + (
        length.to_bytes(form, "big") if form else b""
    )
    return head + KEY + wsfast.apply_mask(payload, KEY) if masked else head + payload


def close(code: int, reason: bytes = b"", **options: Any) -> bytes:
    return wire(CLOSE, code.to_bytes(2, "big") + reason, **options)


class Deflater:
    def __init__(self) -> None:
        self.context = zlib.compressobj(1, zlib.DEFLATED, -15)

    def __call__(self, payload: bytes, final: bool = False) -> bytes:
        if final:
            done = self.context.compress(payload) + self.context.flush(zlib.Z_FINISH) + b"\0"
            self.context = zlib.compressobj(1, zlib.DEFLATED, -15)
            return done
        done = self.context.compress(payload) + self.context.flush(zlib.Z_SYNC_FLUSH)
        assert done.endswith(b"\0\0\xff\xff")
        return done[:-4]


class Protocol:
    """What a queue needs of a connection; it writes down what it is told."""

    def __init__(self) -> None:
        self._reading_paused = False
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self._reading_paused = True
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self._reading_paused = False
        self.calls.append("resume")


def read(queue: Any) -> Any:
    coroutine = queue.read()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        coroutine.close()
    raise RuntimeError("the queue waits")


def described(error: BaseException | None) -> Any:
    if error is None:
        return None
    return type(error), getattr(error, "code", None), str(error), described(error.__cause__)


def behaviour(
    classes: tuple[Any, Any],
    pieces: list[bytes],
    *,
    limit: int = 1 << 18,
    reads: int = 0,
    max_msg_size: int = 1 << 20,
    compress: bool = True,
    decode_text: bool = True,
) -> list[Any]:
    """What a reader and its queue do with pieces of a stream; after each, so many messages are read."""
    protocol = Protocol()
    queue = classes[1](protocol, limit, loop=None)
    reader = classes[0](queue, max_msg_size, compress=compress, decode_text=decode_text)
    seen: list[Any] = []

    def note(message: Any) -> None:
        seen.append((type(message), tuple(message), type(message[1])))

    for piece in pieces:
        seen.append(reader.feed_data(piece))
        seen.append((queue._size, len(queue._buffer), queue._stalled_reader is None, queue.is_eof()))
        seen.append(described(queue.exception()))
        for _ in range(reads):
            if queue._buffer:
                note(read(queue))
                seen.append((queue._size, len(queue._buffer), queue._stalled_reader is None))
        seen.append(tuple(protocol.calls))
    while queue._buffer:
        note(read(queue))
        seen.append((queue._size, queue._stalled_reader is None, tuple(protocol.calls)))
    reader.feed_eof()
    with pytest.raises(Exception) as caught:
        read(queue)
    seen.append(type(caught.value))
    return seen


def same(ours: tuple[Any, Any], pieces: list[bytes], **options: Any) -> list[Any]:
    expected = behaviour(STOCK["as installed"], pieces, **options)
    assert behaviour(ours, pieces, **options) == expected
    return expected


deflate = Deflater()
# Streams that aiohttp accepts. Compressed ones are each of a connection's own.
LEGAL = {
    "text": wire(TEXT, "Grüße, 世界 😀".encode()) + wire(TEXT, b"ascii"),
    "binary": wire(BINARY, bytes(range(200))) + wire(BINARY, b""),
    "empty text": wire(TEXT) * 3,
    "unmasked": wire(TEXT, b"from a server", masked=False) + wire(BINARY, b"\xff", masked=False),
    "masked or not": wire(TEXT, b"a") + wire(TEXT, b"b", masked=False) + wire(TEXT, b"c"),
    "fragments": wire(TEXT, b"one ", fin=False) + wire(CONT, b"\xc3", fin=False) + wire(CONT, b"\xa4"),
    "many fragments": wire(BINARY, b"", fin=False) + wire(CONT, b"x", fin=False) * 9 + wire(CONT, b"y"),
    "ping inside": wire(TEXT, b"a", fin=False) + wire(PING, b"p") + wire(CONT, b"b") + wire(PONG, b"q"),
    "unmasked ping": wire(PING, b"p", masked=False) + wire(PONG, b"", masked=False),
    "close": wire(TEXT, b"bye") + close(1000, "tschüß".encode()),
    "close without code": wire(CLOSE) + wire(TEXT, b"after"),
    "close 4999": close(4999),
    "close 9999": close(9999),
    "16 bits": wire(TEXT, b"x" * 126) + wire(BINARY, b"y" * 300),
    "longer forms": wire(TEXT, b"a", form=2) + wire(BINARY, b"b", form=8) + wire(TEXT, b"c"),
    "text in an empty message": wire(TEXT, fin=False)
    + wire(TEXT, b"whole")
    + wire(CONT, b"c")
    + wire(TEXT, b"d"),
    "ping with RSV1": wire(PING, b"p", rsv=4) + wire(TEXT, b"x"),
    "close with RSV1": close(1001, rsv=4),
    "compressed": wire(TEXT, deflate(b"Hello"), rsv=4) + wire(TEXT, deflate(b"Hello"), rsv=4),
    "compressed fragments": wire(TEXT, deflate(b"one two three")[:4], rsv=4, fin=False) + wire(PING, b"p"),
}
deflate = Deflater()
_packed = deflate("Grüße ".encode() * 9)
LEGAL["compressed fragments"] = (
    wire(TEXT, _packed[:3], rsv=4, fin=False)
    + wire(PING, b"inside")
    + wire(CONT, _packed[3:6], fin=False)
    + wire(CONT, _packed[6:])
    + wire(BINARY, b"plain")
    + wire(BINARY, deflate(b"Hello"), rsv=4)
)
deflate = Deflater()
LEGAL["BFINAL"] = b"".join(
    wire(TEXT, deflate(text, final), rsv=4) for text, final in ((b"one", True), (b"two", False), (b"", True))
) + wire(TEXT, b"plain")

# Streams that it does not accept, or not with these options.
ILLEGAL = {
    "RSV2": wire(TEXT, b"x", rsv=2),
    "RSV3 after text": wire(TEXT, b"ok") + wire(TEXT, b"x", rsv=1),
    "opcode 3": wire(TEXT, b"ok") + wire(3),
    "opcode 11": wire(11),
    "continuation of nothing": wire(TEXT, b"ok") + wire(CONT, b"x"),
    "text inside text": wire(TEXT, b"a", fin=False) + wire(TEXT, b"b"),
    "fragment inside text": wire(TEXT, b"a", fin=False) + wire(BINARY, b"b", fin=False),
    "fragmented ping": wire(PING, b"p", fin=False),
    "long ping": wire(PING, b"p" * 126),
    "RSV1 on a continuation": wire(TEXT, b"", rsv=4, fin=False) + wire(CONT, b"", rsv=4),
    "not UTF-8": wire(TEXT, b"ok") + wire(TEXT, b"a\xff") + wire(TEXT, b"never"),
    "cut UTF-8": wire(TEXT, b"\xe2\x82"),
    "fragments not UTF-8": wire(TEXT, b"\xe2", fin=False) + wire(CONT, b"\x28"),
    "compressed not UTF-8": wire(TEXT, Deflater()(b"a\xff"), rsv=4),
    "not deflated": wire(TEXT, b"ok") + wire(BINARY, b"\xff" * 9, rsv=4),
    "close of 1 byte": wire(CLOSE, b"\x03"),
    "close 1005": close(1005),
    "close 2999": wire(TEXT, b"ok") + close(2999),
    "close not UTF-8": close(1000, b"\xff"),
    "top bit of length": wire(TEXT, b"", length=1 << 63, form=8),
    "too long": wire(TEXT, b"ok") + wire(TEXT, b"x" * 10, length=1 << 30),
    "too long together": wire(TEXT, b"x" * 90, fin=False) + wire(CONT, b"", length=(1 << 20) - 90, form=8),
}


@pytest.mark.parametrize("compress", [True, False], ids=["compress", "plain"])
@pytest.mark.parametrize("stream", [*LEGAL.values(), *ILLEGAL.values()], ids=[*LEGAL, *ILLEGAL])
def test_every_split_in_two(ours: tuple[Any, Any], stream: bytes, compress: bool) -> None:
    for cut in range(len(stream)):
        same(ours, [stream[:cut], stream[cut:]], compress=compress)
    same(ours, [stream[i : i + 1] for i in range(len(stream))], compress=compress)


@pytest.mark.parametrize("stream", [*LEGAL.values(), *ILLEGAL.values()], ids=[*LEGAL, *ILLEGAL])
def test_raw_text_and_no_limit(ours: tuple[Any, Any], stream: bytes) -> None:
    for options in ({"decode_text": False}, {"max_msg_size": 0}, {"max_msg_size": 10}):
        if options.get("max_msg_size") == 0 and len(stream) > 200:
            continue
        for cut in {0, len(stream) // 3, len(stream) - 1}:
            same(ours, [stream[:cut], stream[cut:]], **options)


def test_streams_are_what_they_are_called(ours: tuple[Any, Any]) -> None:
    for name, stream in LEGAL.items():
        if "with RSV1" in name and not TAKES_RSV1:
            continue
        assert not any(failed is not None for failed in same(ours, [stream])[2:3]), name
    for name, stream in ILLEGAL.items():
        assert same(ours, [stream])[2] is not None, name


def frames_of(
    rng: random.Random,
    deflated: bool,
    sizes: tuple[int, ...] = (0, 1, 20, 125, 126, 300, 4096, 70_000, 200_000),
) -> list[bytes]:
    """Frames of a legal stream."""
    pack = Deflater()
    frames = []
    for _ in range(rng.randrange(1, 30)):
        size = rng.choice(sizes)
        letters = rng.choice(("a", "aé", "日本", "a😀"))
        payload = "".join(rng.choices(letters, k=size // 2)).encode()
        opcode = rng.choice((TEXT, TEXT, BINARY))
        masked = rng.random() < 0.8
        rsv = 4 if deflated and rng.random() < 0.7 else 0
        if rsv:
            payload = pack(payload)
        if rng.random() < 0.2 and payload:
            at = rng.randrange(len(payload))
            frames.append(wire(opcode, payload[:at], rsv=rsv, fin=False, masked=masked))
            if rng.random() < 0.3:
                frames.append(wire(PING, b"inside", masked=masked))
            opcode, payload, rsv = CONT, payload[at:], 0
        frames.append(wire(opcode, payload, rsv=rsv, masked=masked))
        if rng.random() < 0.1:
            frames.append(wire(rng.choice((PING, PONG)), rng.randbytes(rng.randrange(126)), masked=masked))
    return frames


def cut(rng: random.Random, stream: bytes) -> list[bytes]:
    most = rng.choice((3000, 20000, 66000, 262144))
    pieces, at = [], 0
    while at < len(stream):
        size = rng.randrange(1, most)
        pieces.append(stream[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("deflated", [False, True], ids=["plain", "deflate"])
def test_random_streams(ours: tuple[Any, Any], rng: random.Random, deflated: bool) -> None:
    for _ in range(12):
        stream = b"".join(frames_of(rng, deflated))
        same(
            ours,
            cut(rng, stream),
            limit=rng.choice((50, 1000, 1 << 18)),
            reads=rng.choice((0, 1, 3, 100)),
            decode_text=rng.random() < 0.8,
        )


@pytest.mark.parametrize("deflated", [False, True], ids=["plain", "deflate"])
def test_mutated_streams(ours: tuple[Any, Any], rng: random.Random, deflated: bool) -> None:
    for _ in range(150):
        stream = bytearray(b"".join(frames_of(rng, deflated, (0, 1, 20, 125, 126, 300))))
        for _ in range(rng.randrange(1, 4)):
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        # With these limits no text is so long that what is not UTF-8 is found earlier: see EARLIER.
        same(
            ours,
            cut(rng, bytes(stream)),
            limit=rng.choice((50, 1 << 18)),
            reads=rng.choice((0, 2)),
            max_msg_size=rng.choice((300, 16000)),
        )


def test_most_frames_are_fast(ours: tuple[Any, Any], rng: random.Random) -> None:
    counts = wsfast.adapters.counts("aiohttp")
    for deflated in (False, True):
        fast_before, slow_before = counts.fast, counts.slow
        frames = [frame for _ in range(6) for frame in frames_of(rng, False)]
        if deflated:
            frames = frames_of(rng, True) + frames_of(random.Random(1), False)
        data_frames = sum(frame[0] & 0x0F < 3 for frame in frames)
        behaviour(ours, cut(rng, b"".join(frames)), reads=3)
        done, left = counts.fast - fast_before, counts.slow - slow_before
        assert done + left == data_frames
        assert done >= 0.95 * data_frames


# What the drop-in does better than aiohttp, and how.
EARLIER = "text of a long frame that is not UTF-8 is refused before the rest of the frame has arrived"


def test_long_text_that_is_not_utf8(ours: tuple[Any, Any]) -> None:
    frame = wire(TEXT, b"a" * 100 + b"\xff" + b"b" * 100_000)
    pieces = [frame[:50_000], frame[50_000:]]
    theirs = behaviour(STOCK["as installed"], pieces)
    assert theirs[0] == (False, b"")
    seen = behaviour(ours, pieces)
    assert seen[0] == (True, b""), EARLIER
    assert (
        seen[2][:3]
        == theirs[6][:3]
        == (WebSocketError, WSCloseCode.INVALID_TEXT, "Invalid UTF-8 text message")
    )


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("decode_text", [True, False])
def test_long_messages(ours: tuple[Any, Any], opcode: int, decode_text: bool) -> None:
    text = ("Straße " * 60_000).encode()
    stream = wire(PING, b"p") + wire(opcode, text) + wire(TEXT, b"next") + wire(opcode, text, masked=False)
    for step in (1000, 65_536, 262_144):
        for shift in range(1, 24, 6):
            pieces = [stream[:shift], *(stream[i : i + step] for i in range(shift, len(stream), step))]
            same(ours, pieces, decode_text=decode_text, reads=1)


def test_stalls_where_aiohttp_does(ours: tuple[Any, Any]) -> None:
    stream = wire(TEXT) * 3000 + wire(TEXT, b"x" * 500) * 20 + wire(TEXT, b"a", fin=False) + wire(CONT, b"b")
    for reads in (0, 1, 10, 1000):
        for limit in (0, 100, 10_000):
            same(ours, [stream, b"", stream[:400]], limit=limit, reads=reads)


def test_input_of_other_types(ours: tuple[Any, Any]) -> None:
    frame = wire(TEXT, b"abc")
    same(ours, [bytearray(frame), memoryview(frame)])  # type: ignore[list-item]


def test_nothing_after_a_failure(ours: tuple[Any, Any]) -> None:
    same(ours, [wire(TEXT, b"ok") + wire(3), wire(TEXT, b"never"), b""])


def test_zlib_backend_is_kept(ours: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Backend:
        MAX_WBITS = zlib.MAX_WBITS
        Z_SYNC_FLUSH = zlib.Z_SYNC_FLUSH
        __name__ = "other"

        def decompressobj(self, **options: Any) -> Any:
            calls.append(options)
            return zlib.decompressobj(**options)

    monkeypatch.setattr(compression_utils.ZLibBackend, "_zlib_backend", Backend())
    seen = behaviour(ours, [wire(TEXT, Deflater()(b"Hello"), rsv=4)])
    assert (WSMsgType.TEXT, "Hello", "") in [
        entry[1] for entry in seen if isinstance(entry, tuple) and len(entry) == 3
    ]
    assert calls == [{"wbits": -15}]


def test_somebody_replaces_parts_of_it(ours: tuple[Any, Any]) -> None:
    """A subclass, or an instance, whose methods are other ones is asked for every frame."""
    queue = ours[1](Protocol(), 1 << 18, loop=None)
    frames: list[Any] = []

    base: Any = ours[0]

    class Mine(base):  # type: ignore[misc]
        def _handle_frame(self, *args: Any) -> None:
            frames.append(args)
            super()._handle_frame(*args)

    reader = Mine(queue, 1 << 20, compress=False, decode_text=True)
    stream = wire(TEXT, b"a") + wire(PING, b"p") + wire(TEXT, b"long" * 50_000)
    for i in range(0, len(stream), 60_000):
        reader.feed_data(stream[i : i + 60_000])
    assert [frame[1] for frame in frames] == [TEXT, PING, TEXT]
    assert len(queue._buffer) == 3
    reader = ours[0](queue, 1 << 20, compress=False, decode_text=True)
    reader.feed_data(wire(TEXT, b"held")[:7])
    reader._handle_frame = lambda *args: frames.append(args)
    reader._feed_data(wire(TEXT, b"held")[7:])
    assert frames[-1] == (True, TEXT, b"held", 0)


# ---- Out -----------------------------------------------------------------------------------------------


class Transport:
    def __init__(self, closing: bool = False) -> None:
        self.writes: list[bytes] = []
        self.closing = closing

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))


def written(messages: list[tuple[Any, int, int]], **options: Any) -> Any:
    transport = Transport(options.pop("closing", False))
    made: Any = object.__new__(writer.WebSocketWriter)
    made.use_mask = options.pop("use_mask", False)
    made.transport = transport
    made._output_size = 0
    made.get_random_bits = options.pop("bits", None)
    outcome: Any = None
    try:
        for message in messages:
            made._write_websocket_frame(*message)
    except Exception as exc:
        outcome = described(exc)
    return transport.writes, made._output_size, outcome


MESSAGES = [
    (data, WSMsgType(opcode), rsv)
    for data in (b"", b"x" * 125, b"y" * 126, bytearray(b"z"), b"a" * 16384, b"b" * 16385, b"c" * 70000)
    for opcode, rsv in ((TEXT, 0), (BINARY, 0x40))
] + [
    (b"p" * 5, WSMsgType.PING, 0),
    (b"p" * 200, WSMsgType.PING, 0),
    (memoryview(b"view"), WSMsgType.BINARY, 0),
    (b"number", 2, 0),
    (b"rsv3", WSMsgType.TEXT, 0x10),
]


def test_writes_as_aiohttp_does() -> None:
    expected = [written([message]) for message in MESSAGES]
    closing = written(MESSAGES, closing=True)
    refused = written([("text", WSMsgType.TEXT, 0)])
    install("aiohttp")
    assert [written([message]) for message in MESSAGES] == expected
    assert written(MESSAGES, closing=True) == closing
    assert written([("text", WSMsgType.TEXT, 0)]) == refused


def test_masks_with_unpredictable_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    default = (writer.WebSocketWriter.__init__.__kwdefaults__ or {})["random"]
    own = random.Random(1)
    messages = [message for message in MESSAGES if message[1] in (TEXT, BINARY)]
    expected = written(messages, use_mask=True, bits=partial(own.getrandbits, 32))
    install("aiohttp")
    own.seed(1)
    assert written(messages, use_mask=True, bits=partial(own.getrandbits, 32)) == expected
    default.seed(1)
    first = written(messages, use_mask=True, bits=partial(default.getrandbits, 32))
    default.seed(1)
    second = written(messages, use_mask=True, bits=partial(default.getrandbits, 32))
    assert first[1:] == second[1:] == expected[1:]
    differ = 0
    for one, other, message in zip(first[0], second[0], expected[0], strict=True):
        assert len(one) == len(other) == len(message)
        differ += one != other
        (decoded,) = wsfast.FrameDecoder("server", rsv1=True, rsv3=True).feed(one)
        (again,) = wsfast.FrameDecoder("server", rsv1=True, rsv3=True).feed(message)
        assert decoded == again
    assert differ >= len(messages) - 4


# ---- strict --------------------------------------------------------------------------------------------

STRICT = {
    "unmasked": wire(TEXT, b"x", masked=False),
    "longer form": wire(TEXT, b"x", form=2),
    "longer form, compressed": wire(TEXT, Deflater()(b"x"), rsv=4, form=8),
    "ping with RSV1": wire(PING, b"p", rsv=4),
    "close with RSV1": close(1000, rsv=4),
    "text in an empty message": LEGAL["text in an empty message"],
    "close 1006": close(1006),
    "close 9999": close(9999),
}


@pytest.mark.parametrize("stream", STRICT.values(), ids=STRICT)
def test_strict(backend: str, stream: bytes) -> None:
    def outcome(strict: bool, pieces: list[bytes]) -> Any:
        protocol = object.__new__(RequestHandler)
        protocol._reading_paused = False
        with install("aiohttp", strict=strict):
            queue = bound.WebSocketDataQueue(protocol, 1 << 18, loop=None)  # type: ignore[arg-type]
            reader = bound.WebSocketReader(queue, 1 << 20, compress=True, decode_text=True)
        for piece in pieces:
            reader.feed_data(piece)
        return queue.exception()

    before = wire(TEXT, b"ok")
    for at in range(len(stream)):
        pieces = [before + stream[:at], stream[at:]]
        assert outcome(False, pieces) is None or (stream[0] & 0x48 == 0x48 and not TAKES_RSV1)
        error = outcome(True, pieces)
        assert isinstance(error, WebSocketError)
        assert error.code == 1002
        assert "RFC 6455" in str(error) or "RFC 7692" in str(error)


@pytest.mark.parametrize("name", [name for name in LEGAL if name not in STRICT and "mask" not in name])
def test_strict_takes_what_is_right(backend: str, name: str) -> None:
    if name in ("close 4999", "longer forms", "close 9999"):
        pytest.skip("not right, or tested above")
    stream = LEGAL[name]
    with install("aiohttp", strict=True):
        strict = bound.WebSocketReader, bound.WebSocketDataQueue
        for at in range(len(stream)):
            pieces = [stream[:at], stream[at:]]
            assert behaviour(strict, pieces) == behaviour(STOCK["as installed"], pieces)


def test_strictly_a_server_masks_nothing(backend: str) -> None:
    from aiohttp.client_proto import ResponseHandler

    protocol: Any = object.__new__(ResponseHandler)
    protocol._reading_paused = False
    with install("aiohttp", strict=True):
        queue = bound.WebSocketDataQueue(protocol, 1 << 18, loop=None)  # type: ignore[arg-type]
        reader = bound.WebSocketReader(queue, 1 << 20, compress=True, decode_text=True)
    reader.feed_data(wire(TEXT, b"ok", masked=False))
    assert queue.exception() is None
    reader.feed_data(wire(TEXT, b"ok"))
    assert "masked frame from a server" in str(queue.exception())


# ---- In and out of place -------------------------------------------------------------------------------

PLACES = [
    ("aiohttp._websocket.reader", "WebSocketReader"),
    ("aiohttp._websocket.reader", "WebSocketDataQueue"),
    ("aiohttp.http_websocket", "WebSocketReader"),
    ("aiohttp.http", "WebSocketReader"),
    ("aiohttp.client", "WebSocketReader"),
    ("aiohttp.client", "WebSocketDataQueue"),
    ("aiohttp.client_ws", "WebSocketReader"),
    ("aiohttp.client_ws", "WebSocketDataQueue"),
    ("aiohttp.web_ws", "WebSocketReader"),
    ("aiohttp.web_ws", "WebSocketDataQueue"),
]


def snapshot() -> dict[str, Any]:
    from aiohttp import ClientWebSocketResponse, web

    found = {f"{module}.{name}": getattr(sys.modules[module], name) for module, name in PLACES}
    for owner, name in (
        (web.WebSocketResponse, "receive"),
        (web.WebSocketResponse, "__anext__"),
        (ClientWebSocketResponse, "receive"),
        (ClientWebSocketResponse, "__anext__"),
        (writer.WebSocketWriter, "_write_websocket_frame"),
        (writer.WebSocketWriter, "send_frame"),
        (web.WebSocketResponse, "send_str"),
        (ClientWebSocketResponse, "send_str"),
    ):
        found[f"{owner.__name__}.{name}"] = owner.__dict__[name]
    return found


def test_everything_is_put_back() -> None:
    before = snapshot()
    with install("aiohttp"):
        during = snapshot()
        assert [name for name in before if during[name] is before[name]] == []
    after = snapshot()
    assert [name for name in before if after[name] is not before[name]] == []


def test_a_reader_for_a_queue_from_before() -> None:
    """Whoever has a queue of the compiled reader gets the compiled reader."""
    queue = bound.WebSocketDataQueue(Protocol(), 1 << 18, loop=None)  # type: ignore[arg-type]
    install("aiohttp")
    reader = bound.WebSocketReader(queue, 1 << 20, compress=False, decode_text=True)
    reader.feed_data(wire(TEXT, b"x"))
    assert len(queue._buffer) == 1


def test_the_library_is_loaded_anew(run_python: Any) -> None:
    program = """
import importlib, sys
import aiohttp, wsfast
from aiohttp import web
from aiohttp._websocket import reader, reader_py
first = wsfast.install("aiohttp", force=True)
old = reader.WebSocketReader
importlib.reload(reader_py)
importlib.reload(reader)
stock = reader.WebSocketReader
assert stock is not old
wsfast.install("aiohttp", force=True)
new = reader.WebSocketReader
assert new is not old and new is not stock and new.__mro__[1] is reader_py.WebSocketReader
class Protocol:
    _reading_paused = False
queue = reader.WebSocketDataQueue(Protocol(), 1000, loop=None)
new(queue, 1000, compress=False, decode_text=True).feed_data(b"\\x81\\x01a")
assert queue._buffer[0][0].data == "a" and wsfast.adapters.counts("aiohttp").fast == 1
wsfast.uninstall()
assert reader.WebSocketReader is stock
print("done")
"""
    assert run_python(program).stdout == "done\n"
