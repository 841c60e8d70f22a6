"""autobahn with wsfast inside, against itself without: same bytes in, same calls, writes and state out.

What wsfast is known to do better is listed in :data:`BETTER`, and each has a test of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("autobahn.websocket")  # tests/autobahn is on the path too
if "twisted.internet.reactor" in sys.modules:  # one process has one of the two
    pytest.skip("Twisted is in use here", allow_module_level=True)

import autobahn.websocket.protocol as protocol
import txaio
from autobahn.exception import PayloadExceededError
from autobahn.websocket.compress_deflate import PerMessageDeflate
from autobahn_streams import (
    STYLES,
    Recorder,
    Streaming,
    connect,
    conversation,
    deflated,
    live,
    opened,
    same,
    wire,
)
from deflate_blocks import Blocks
from implementations import compiled_module
from installing import install
from streams import bytewise, random_cuts, random_stream, two_way

import wsfast
from wsfast import _fallback, adapters
from wsfast.adapters import AdapterError
from wsfast.adapters import _autobahn_frames as fast

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")

#: What is not the same, on purpose, and the test that shows it.
BETTER = {
    "messages behind a block with BFINAL are not lost": "test_messages_behind_a_final_block",
    "masking keys cannot be foretold": "test_keys_cannot_be_foretold",
    "many small fragments take the memory of their bytes": "test_small_fragments_take_little_memory",
    "data received inside a callback waits for its turn": "test_data_received_inside_a_callback",
    "after a callback has raised, the next message is the next": "test_callbacks_that_raise",
}


def test_differences_have_tests() -> None:
    assert all(callable(globals()[test]) for test in BETTER.values())


@pytest.fixture(autouse=True)
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    # Each connection has all its options printed, for a log that nobody reads: that is most of the time.
    monkeypatch.setattr(protocol, "pformat", lambda value: "")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    txaio.config.loop = loop
    yield loop
    wsfast.uninstall()
    txaio.config.loop = None
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("FrameDecoder", "Utf8Validator", "apply_mask", "encode_frame", "is_utf8", "mask_key"):
        monkeypatch.setattr(fast, name, getattr(module, name))


SIDES = pytest.mark.parametrize("server", [True, False], ids=["server", "client"])
BOTH_STYLES = pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)


@SIDES
@BOTH_STYLES
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
def test_every_split_of_a_conversation(server: bool, style: type[Recorder], deflate: bool) -> None:
    stream = conversation(server, deflate)
    # Once with all of it to see that it was a conversation.
    found = same([stream], server=server, style=style, deflate=deflate)
    # A client goes on to read behind the close frame, until the server drops the connection.
    told = [call[0] for call in found[0][1]]
    assert told.count("end" if style is Streaming else "message") == 5 + 3 * deflate + (not server)
    assert found[0][5]["remoteCloseCode"] == 1000
    cuts = list(two_way(stream))[:: 1 if style is Recorder and server else 5]
    same(*cuts, bytewise(stream), server=server, style=style, deflate=deflate)


@SIDES
@pytest.mark.parametrize("fail_by_drop", [True, False], ids=["drop", "close"])
def test_random_streams(server: bool, fail_by_drop: bool) -> None:
    """Legal ones and mutated ones; text that is not UTF-8 in there, too."""
    rng = random.Random(7)
    for i in range(90):
        stream = random_stream(rng, mask=server)
        if pings_in_a_row(server, stream):
            continue  # see test_pings_in_a_row
        same(
            [stream] if i % 3 == 0 else random_cuts(stream, rng),
            server=server,
            style=rng.choice(list(STYLES.values())),
            failByDrop=fail_by_drop,
            deflate=rng.random() < 0.5,
            maxMessagePayloadSize=rng.choice([0, 0, 100]),
            maxFramePayloadSize=rng.choice([0, 0, 70]),
            utf8validateIncoming=rng.random() < 0.8,
        )


def pings_in_a_row(server: bool, stream: bytes) -> bool:
    decoder = wsfast.FrameDecoder("server" if server else "client", max_size=None, rsv1=True)
    try:
        frames = decoder.feed(stream)
    except wsfast.ProtocolError as exc:
        frames = exc.events
    return any(one.opcode == two.opcode == 9 for one, two in itertools.pairwise(frames))


@SIDES
def test_pings_in_a_row(server: bool) -> None:
    """All are told of. Of those that come together the last is answered, before what follows."""

    def f(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        return wire(server, opcode, payload, **options)

    stream = f(9, b"1") + f(9) + f(9, b"2") + f(1, b"a", fin=False) + f(9, b"3") + f(9, b"4") + f(0, b"b")
    stream += f(9, b"5") + f(9, b"6") + f(8, b"\x03\xe8")
    install("autobahn")
    every = [b"1", b"", b"2", b"3", b"4", b"5", b"6"]
    many = [b"%d" % number for number in range(200)]
    flood = b"".join(f(9, payload) for payload in many)
    table: list[tuple[list[bytes], list[bytes], list[bytes]]] = [
        ([stream], every, every),
        ([stream[:1], stream[1:]], every, every),
        # Of very many in a row in a read, the last 64.
        ([flood], many, many[-64:]),
        ([f(1, b"a") + flood[:-1], flood[-1:]], many, [*many[-65:-1], many[-1]]),
    ]
    for pieces, told, answers in table:
        connection = connect(server)
        for piece in pieces:
            connection._dataReceived(piece)
        pings = [call[1] for call in connection.calls if call[0] == "ping"]
        assert pings == told
        written = b"".join(connection.transport.written)
        decoder = wsfast.FrameDecoder("client" if server else "server")
        frames = decoder.feed(written)
        assert [frame.payload for frame in frames if frame.opcode == 10] == answers
        if pieces[0] == stream:
            assert frames[-1].opcode == 8
    # Who sends a pong by oneself sends it at once.
    connection = connect(server)
    connection.sendPong(b"x")
    connection.sendPong(b"y")
    assert len(connection.transport.written) == 2
    with pytest.raises(Exception, match="invalid payload for PONG"):
        connection.sendPong(bytes(126))


@SIDES
@pytest.mark.parametrize("takeover", [True, False], ids=["takeover", "no-takeover"])
def test_random_compressed_streams(server: bool, takeover: bool) -> None:
    rng = random.Random(8)
    for i in range(40):
        texts = [bytes(rng.choices(b"abc\xc3\xa9", k=rng.choice([0, 1, 40, 300]))) for _ in range(4)]
        texts += ["Grüße, Grüße".encode() * 3]
        stream = bytearray()
        for payload in deflated(texts, takeover):
            opcode = rng.choice([1, 2, 2])
            cut = rng.randrange(len(payload) + 1)
            if rng.random() < 0.5:
                stream += wire(server, opcode, payload, rsv=4)
            else:
                stream += wire(server, opcode, payload[:cut], rsv=4, fin=False)
                stream += wire(server, 9, b"inside") + wire(server, 0, payload[cut:])
        if rng.random() < 0.4:
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        same(
            [bytes(stream)] if i % 3 == 0 else random_cuts(bytes(stream), rng),
            server=server,
            deflate=True,
            takeover=takeover,
            style=rng.choice(list(STYLES.values())),
            failByDrop=rng.random() < 0.5,
            maxMessagePayloadSize=rng.choice([0, 0, 100, 36]),
        )


ILLEGAL = {
    "reserved bit": lambda server: wire(server, 1, b"x", rsv=1),
    "compressed, not negotiated": lambda server: wire(server, 1, b"x", rsv=4),
    "reserved opcode": lambda server: wire(server, 3, b"x"),
    "reserved control opcode": lambda server: wire(server, 11, b"x"),
    "wrong mask bit": lambda server: wire(not server, 1, b"x"),
    "fragmented ping": lambda server: wire(server, 9, b"x", fin=False),
    "long ping": lambda server: wire(server, 9, b"x" * 126),
    "close of one byte": lambda server: wire(server, 8, b"x"),
    "close code": lambda server: wire(server, 8, b"\x03\xec"),
    "close reason": lambda server: wire(server, 8, b"\x03\xe8\xff"),
    "continuation of nothing": lambda server: wire(server, 0, b"x"),
    "message inside another": lambda server: wire(server, 1, b"x", fin=False) + wire(server, 1, b"y"),
    "not the shortest length": lambda server: (
        b"\x82\xfe\0\x05" + b"\0" * 9 if server else b"\x82\x7e\0\x05" + b"\0" * 5
    ),
    "not the shortest long length": lambda server: (
        (b"\x82\xff" if server else b"\x82\x7f") + (300).to_bytes(8, "big") + bytes(304)
    ),
    "length beyond 2**63": lambda server: (b"\x82\xff" if server else b"\x82\x7f") + b"\xff" * 20,
    "not UTF-8": lambda server: wire(server, 1, b"abc\xffdef"),
    "ends inside a code point": lambda server: wire(server, 1, b"abc\xc3"),
    "not UTF-8 across fragments": lambda server: (
        wire(server, 1, b"ab\xe2\x82", fin=False)
        + wire(server, 0, b"\xacc\xe2", fin=False)
        + wire(server, 0, b"x")
    ),
    "too big": lambda server: wire(server, 2, bytes(2001)),
    "too big by fragments": lambda server: (
        wire(server, 2, bytes(1500), fin=False) + wire(server, 0, bytes(1500))
    ),
}


@SIDES
@pytest.mark.parametrize("fail_by_drop", [True, False], ids=["drop", "close"])
@pytest.mark.parametrize("fault", ILLEGAL)
def test_what_is_illegal(server: bool, fail_by_drop: bool, fault: str) -> None:
    wrong = ILLEGAL[fault](server)
    before = wire(server, 1, b"before")
    behind = wire(server, 1, b"behind") + wire(server, 8, b"\x03\xe8")
    options: dict[str, Any] = {"failByDrop": fail_by_drop, "maxMessagePayloadSize": 2000, "server": server}
    found = same([before + wrong + behind], **options)
    assert found[0][1][0][2] == b"before"
    assert found[0][5]["state"] != protocol.WebSocketProtocol.STATE_OPEN
    stream = before + wrong + behind
    if len(wrong) < 100:
        same(*list(two_way(stream))[:: 1 if fail_by_drop and server else 5], **options)
    else:
        same(*(random_cuts(stream, random.Random(i)) for i in range(5)), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"requireMaskedClientFrames": False},
        {"server": False, "acceptMaskedServerFrames": True},
        {"applyMask": False, "utf8validateIncoming": False},
        {"trackTimings": True},
        {"logFrames": True},
        {"autoPingInterval": 1, "autoPingTimeout": 1},
    ],
    ids=lambda options: next(reversed(options)),
)
def test_options(options: dict[str, Any]) -> None:
    server = options.get("server", True)
    stream = wire(server, 1, b"Hello") + wire(not server, 2, b"World") + conversation(server)
    same(*list(two_way(stream))[::5], **options)


def test_data_frames_take_the_fast_path() -> None:
    install("autobahn")
    counts = adapters.counts("autobahn")
    for deflate in (False, True):
        for pieces in ([b""], list(two_way(b"x" * 40))[20], [b"x" * 5] * 40):
            connection = connect(deflate=deflate)
            fast_before, slow_before = counts.fast, counts.slow
            payload = next(deflated([b"Hello" * 20]))
            stream = (wire(True, 1, payload, rsv=4) if deflate else b"") + wire(True, 1, b"Hello") * 50
            stream += wire(True, 2, b"a", fin=False) + wire(True, 9) + wire(True, 0, b"b")
            sizes = [len(piece) for piece in pieces]
            at = 0
            for size in sizes:
                connection._dataReceived(stream[at : at + size])
                at += size
            connection._dataReceived(stream[at:])
            assert sum(call[0] == "message" for call in connection.calls) == 51 + deflate
            assert (counts.fast - fast_before, counts.slow - slow_before) == (52 + deflate, 0)


def test_steps_are_left_out_only_where_nobody_sees() -> None:
    """The library's own steps are not called for a message, unless somebody has overridden one of them."""
    install("autobahn")
    called: list[str] = []

    class Watching(Recorder):
        def onMessageFrameEnd(self) -> None:
            called.append("frame ends")
            super().onMessageFrameEnd()  # type: ignore[misc]

    connection = connect(style=Watching)
    connection._dataReceived(wire(True, 1, b"one") + wire(True, 1, b"two"))
    assert called == ["frame ends"] * 2
    assert [call[2] for call in connection.calls] == [b"one", b"two"]

    plain = connect()
    begun: list[bool] = []
    plain._dataReceived(wire(True, 1, b"one"))

    def begin(isBinary: bool) -> None:
        begun.append(isBinary)
        type(plain).onMessageBegin(plain, isBinary)

    plain.onMessageBegin = begin
    plain._dataReceived(wire(True, 1, b"two"))
    assert begun == [False]
    assert [call[2] for call in plain.calls] == [b"one", b"two"]


def test_own_frame_loops_are_left_alone() -> None:
    class Own(Recorder):
        data: bytes

        def processData(self) -> bool:
            self.calls.append(len(self.data))
            self.data = b""
            return False

    found = same([conversation(True)], style=Own)
    assert found[0][1] == [len(conversation(True))]


def test_coroutines_and_listeners(loop: asyncio.AbstractEventLoop) -> None:
    heard: list[Any] = []

    class Awaited(Recorder):
        async def onMessage(self, payload: bytes, isBinary: bool) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            heard.append((payload, isBinary))

    def run() -> list[Any]:
        heard.clear()
        connection = connect(style=Awaited)
        connection.on("message", lambda payload, is_binary: heard.append(("listener", payload, is_binary)))
        connection._dataReceived(wire(True, 1, b"one") + wire(True, 2, b"two"))
        loop.run_until_complete(asyncio.sleep(0.01))
        return heard[:]

    expected = run()
    assert len(expected) == 4
    install("autobahn")
    assert run() == expected


def test_callbacks_that_close() -> None:
    class Leaving(Recorder):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            super().onMessage(payload, isBinary)
            if payload == b"leave":
                self.sendClose(3000, "Grüße")  # type: ignore[attr-defined]
            elif payload == b"drop":
                self.dropConnection(abort=True)  # type: ignore[attr-defined]
            elif payload == b"lax":
                self.utf8validateIncoming = False
            elif payload == b"small":
                self.maxMessagePayloadSize = 3

    for first in (b"leave", b"drop", b"lax", b"small"):
        stream = wire(True, 1, first) + wire(True, 1, b"\xff") + wire(True, 2, b"2") + wire(True, 2, b"3333")
        same(*two_way(stream), style=Leaving)


def test_callbacks_that_raise() -> None:
    class Raising(Recorder):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            super().onMessage(payload, isBinary)
            if payload == b"bad":
                raise RuntimeError("bad")

    install("autobahn")
    connection = connect(style=Raising)
    with pytest.raises(RuntimeError, match=r"^bad$"):
        connection._dataReceived(wire(True, 1, b"good") + wire(True, 1, b"bad") + wire(True, 1, b"next"))
    assert [call[2] for call in connection.calls] == [b"good", b"bad"]
    connection._dataReceived(wire(True, 1, b"last"))
    assert [call[2] for call in connection.calls] == [b"good", b"bad", b"next", b"last"]


def test_data_received_inside_a_callback() -> None:
    class Reentrant(Recorder):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.calls.append(payload)
            if payload == b"1":
                self._dataReceived(wire(True, 1, b"4") + wire(True, 1, b"5"))  # type: ignore[attr-defined]

    install("autobahn")
    connection = connect(style=Reentrant)
    connection._dataReceived(b"".join(wire(True, 1, text) for text in (b"1", b"2", b"3")))
    assert connection.calls == [b"1", b"2", b"3", b"4", b"5"]


def sent(server: bool, deflate: bool, action: Callable[[Any], object], **options: Any) -> Any:
    connection = connect(server, deflate=deflate, **options)
    try:
        result: Any = action(connection)
    except Exception as exc:
        result = (type(exc), str(exc))
    written = connection.transport.written
    frames = written if server else opened(b"".join(written))
    return result, frames, vars(connection.trafficStats), connection.state


SENDING: dict[str, Callable[[Any], object]] = {
    "text": lambda c: c.sendMessage("Grüße".encode()),
    "nothing": lambda c: c.sendMessage(b"", True),
    "long": lambda c: [c.sendMessage(bytes(n), isBinary=True) for n in (125, 126, 65535, 65536, 1 << 18)],
    "fragments": lambda c: c.sendMessage(bytes(10), True, fragmentSize=4),
    "not compressed": lambda c: c.sendMessage(b"xx", doNotCompress=True),
    "str": lambda c: c.sendMessage("text"),
    "bytearray": lambda c: c.sendMessage(bytearray(b"x")),
    "flag of another type": lambda c: c.sendMessage(b"x", 1),
    "ping": lambda c: c.sendPing(b"x" * 125),
    "long ping": lambda c: c.sendPing(b"x" * 126),
    "pong": lambda c: c.sendPong(),
    "close": lambda c: c.sendClose(1000, "bye"),
    "streaming": lambda c: (
        c.beginMessage(True),
        c.beginMessageFrame(7),
        c.sendMessageFrameData(b"abc"),
        c.sendMessageFrameData(b"defg"),
        c.sendMessageFrame(b"hij"),
        c.endMessage(),
    ),
    "prepared": lambda c: c.sendPreparedMessage(c.factory.prepareMessage(b"x" * 300, True)),
    "frame": lambda c: c.sendFrame(opcode=2, payload=b"x", fin=False, rsv=4),
    "illegal frames": lambda c: [
        c.sendFrame(opcode=9, payload=b"x" * 126) or c.transport.written.clear(),
        c.sendFrame(opcode=3, payload=b"x") or c.transport.written.clear(),
    ],
    "given mask": lambda c: c.sendFrame(opcode=2, payload=b"x", mask=b"abcd") or c.transport.written.clear(),
    "repeated": lambda c: c.sendFrame(opcode=2, payload=b"abc", payload_len=8),
    "after closing": lambda c: (c.sendClose(), c.sendMessage(b"late")),
}


@SIDES
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("what", SENDING)
def test_sending(server: bool, deflate: bool, what: str) -> None:
    for options in ({}, {"autoFragmentSize": 3}, {"maxMessagePayloadSize": 100}, {"logFrames": True}):
        if what == "long" and "autoFragmentSize" in options:
            continue
        wsfast.uninstall()
        expected = sent(server, deflate, SENDING[what], **options)
        install("autobahn")
        assert sent(server, deflate, SENDING[what], **options) == expected
        assert (
            expected[1]
            or "x" * 0
            or what
            in (
                "str",
                "bytearray",
                "flag of another type",
                "long ping",
                "illegal frames",
                "given mask",
                "long",
            )
        )


def test_too_large_to_send() -> None:
    install("autobahn")
    connection = connect(maxMessagePayloadSize=10)
    with pytest.raises(PayloadExceededError, match="size 11 exceeding payload limit of 10 octets"):
        connection.sendMessage(bytes(11), True)
    assert connection.wasMaxMessagePayloadSizeExceeded
    assert connection.transport.written == []


def test_keys_cannot_be_foretold() -> None:
    def keys() -> list[bytes]:
        connection = connect(False)
        random.seed(1)
        connection.sendMessage(b"x")
        connection.sendMessage(b"x", fragmentSize=1)
        connection.beginMessage()
        connection.beginMessageFrame(1)
        connection.sendFrame(opcode=3, payload=b"x")
        connection.transport.write(connection.factory.prepareMessage(b"x").payloadHybi)
        return [written[2:6] for written in connection.transport.written]

    assert keys() == keys()  # what the library does by itself
    install("autobahn")
    first, second = keys(), keys()
    assert len({*first, *second}) == len(first) + len(second) >= 10


@SIDES
@pytest.mark.parametrize("limit", [0, 5000])
@pytest.mark.parametrize("takeover", [True, False], ids=["takeover", "no-takeover"])
@pytest.mark.parametrize("padded", [True, False], ids=["padded", "bare"])
def test_messages_behind_a_final_block(server: bool, limit: int, takeover: bool, padded: bool) -> None:
    texts = [b"Hello, hello, hello", b"x" * 3000, b"Hello again, hello"]
    if takeover:
        # What refers to the messages before, behind the end of what zlib takes for the stream.
        first = Blocks().stored(texts[0]).fixed(b"!", final=True)
        second = Blocks().fixed((19, 20))
        payloads = [first.payload() if padded else first.raw(), second.payload()]
        expected = [texts[0] + b"!", texts[0]]
    else:
        blocks = Blocks().fixed(b"ab", final=True).fixed(b"c", final=True).stored(b"def")
        payloads = [blocks.payload(), next(deflated([texts[2]]))]
        expected = [b"abcdef", texts[2]]
    stream = b"".join(wire(server, 2, payload, rsv=4) for payload in payloads)
    for cut in range(0, len(stream), 5):
        for installed in (False, True):
            wsfast.uninstall()
            if installed:
                install("autobahn")
            connection = connect(server, deflate=True, takeover=takeover, maxMessagePayloadSize=limit)
            for piece in (stream[:cut], stream[cut:]):
                connection._dataReceived(piece)
            found = [call[2] for call in connection.calls]
            assert (found == expected) is installed


def test_many_final_blocks() -> None:
    """A message of nothing but ends of streams takes time in proportion; the limit holds there too."""
    install("autobahn")
    blocks = Blocks().fixed(b"a", final=True).raw()
    connection = connect(deflate=True)
    connection._dataReceived(wire(True, 2, blocks * 5000 + b"\0", rsv=4))
    assert [call[2] for call in connection.calls] == [b"a" * 5000]
    connection = connect(deflate=True, maxMessagePayloadSize=20_000)
    connection._dataReceived(
        wire(True, 2, (Blocks().stored(bytes(3000), final=True).raw() + b"") * 6 + b"\0", rsv=4)
    )
    assert connection.calls[0][2] == bytes(18_000)
    connection._dataReceived(
        wire(True, 2, Blocks().stored(bytes(3000), final=True).raw() * 6 + blocks * 2001, rsv=4)
    )
    assert len(connection.calls) == 1
    assert connection.wasMaxMessagePayloadSizeExceeded


def test_small_fragments_take_little_memory() -> None:
    install("autobahn")
    connection = connect()
    connection._dataReceived(wire(True, 2, b"x", fin=False))
    block = wire(True, 0, b"yz", fin=False) * 1000
    for _ in range(20):
        connection._dataReceived(block)
    pieces = connection.message_data
    assert sum(map(len, pieces)) == 40_001
    assert sum(map(sys.getsizeof, pieces)) + sys.getsizeof(pieces) < 60_000
    connection._dataReceived(wire(True, 0, b"!"))
    (call,) = connection.calls
    assert (call[1], call[2]) == (bytes, b"x" + b"yz" * 20_000 + b"!")


@SIDES
def test_strict(server: bool) -> None:
    cut_short = next(deflated([b"Hello, hello, hello!" * 3]))[:-4]
    stream = wire(server, 2, cut_short, rsv=4)
    lax = same([stream], server=server, deflate=True)
    assert [call[0] for call in lax[0][1]] == ["message"]
    wsfast.uninstall()
    install("autobahn", strict=True)
    connection = connect(server, deflate=True, failByDrop=False)
    connection._dataReceived(stream)
    assert connection.calls == []
    assert connection.localCloseCode == 1007
    # What is whole is told as before.
    connection = connect(server, deflate=True)
    for pieces in deflated([b"", b"Hello", b"Hello" * 100]):
        connection._dataReceived(wire(server, 2, pieces, rsv=4))
    assert [call[2] for call in connection.calls] == [b"", b"Hello", b"Hello" * 100]


def hooks() -> dict[str, object]:
    """The very objects that are in place."""
    places: list[Any] = [protocol, protocol.WebSocketProtocol, protocol.PreparedMessage, PerMessageDeflate]
    return {f"{place.__name__}.{name}": value for place in places for name, value in vars(place).items()}


def test_reversible() -> None:
    before = hooks()
    install("autobahn")
    during = hooks()
    changed = {name.rpartition(".")[2] for name in during if during[name] is not before.get(name)}
    assert changed == {
        "consumeData",
        "sendData",
        "sendFrame",
        "sendMessage",
        "sendPong",
        "__init__",
        "create_xor_masker",
        "Utf8Validator",
        "random",
        "decompress_message_data",
        "end_decompress_message",
    }
    wsfast.uninstall()
    after = hooks()
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


@pytest.mark.parametrize("first", [False, True], ids=["install", "uninstall"])
def test_open_connections(first: bool) -> None:
    """A connection may change sides between any two reads."""
    stream = conversation(True, deflate=True)
    expected = live(connect(deflate=True), [stream])
    for cut in range(len(stream) + 1):
        wsfast.uninstall()
        if first:
            install("autobahn")
        connection = connect(deflate=True)
        connection._dataReceived(stream[:cut])
        wsfast.uninstall() if first else install("autobahn")
        connection._dataReceived(stream[cut:])
        assert [call[:4] for call in connection.calls] == [call[:4] for call in expected[0][1]]
        assert connection.transport.written == expected[0][2]


def test_reloaded() -> None:
    """After a reload the library is as it was; install() adapts what is new."""
    old = dict(vars(protocol))
    install("autobahn")
    try:
        importlib.reload(protocol)
        assert protocol.WebSocketProtocol.consumeData is not fast.consumeData
        assert install("autobahn").hosts == ()
        assert protocol.WebSocketProtocol.consumeData is fast.consumeData
        wsfast.uninstall()
        assert protocol.WebSocketProtocol.consumeData is not fast.consumeData
    finally:
        wsfast.uninstall()
        vars(protocol).update(old)
        wsfast.uninstall()
    same([conversation(True)])


def test_what_has_no_effect_is_not_left_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    try_out = adapters.host("autobahn").try_out
    assert try_out is not None
    with install("autobahn", force=True):
        counts = repr(adapters.counts("autobahn"))
        try_out()
        assert repr(adapters.counts("autobahn")) == counts
        monkeypatch.setattr(protocol.WebSocketProtocol, "_dataReceived", lambda self, data: None)
        with pytest.raises(AdapterError, match="does not behave as wsfast knows it"):
            try_out()
    if wsfast.backend != "python":
        with pytest.raises(AdapterError, match="does not behave as wsfast knows it"):
            wsfast.install("autobahn")
        assert wsfast.installed() == ()
