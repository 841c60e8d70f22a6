"""The tornado drop-in against tornado's own code: the same bytes, cut the same way, must do the same."""

from __future__ import annotations

import asyncio
import importlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _backend, _fallback
from wsfast.adapters import counts

pytest.importorskip("tornado")

from implementations import compiled_module
from installing import install
from streams import CASES, KEY, Case, bytewise, close, frame, random_cuts, random_stream, two_way
from tornado import version_info, websocket
from tornado.iostream import IOStream
from tornado_streams import Handler, Packer, converse, nothing, run

from wsfast.adapters import _tornado_frames as fast

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
Protocol = websocket.WebSocketProtocol13
NAMES = ("MessageTaker", "apply_mask", "encode_frame", "parse_header")
NO_LIMIT = 2**63
# Then, what ends the receiving loop by an exception leaves the connection open, and tells nobody.
TELLS_NOBODY = version_info < (6, 6)

# Where the library itself is wrong, and what it does then; see test_faults_fixed.
REASON = {f"{role}: close reason{what}" for role in ("server", "client") for what in ("", ", surrogate")}
PINGS = {f"{role}: {what}" for role in ("server", "client") for what in ("at the limit", "no room")}


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(_backend, name, getattr(module, name))
        importlib.reload(fast)
        counted = counts("tornado")
        counted.fast = counted.slow = 0
        yield request.param
        wsfast.uninstall()
    importlib.reload(fast)


def both(role: str, pieces: list[list[bytes]], **options: Any) -> tuple[list[Any], list[Any]]:
    """What the library makes of ``pieces``, and what it makes of them with wsfast."""
    wsfast.uninstall()
    stock = run(role, pieces, **options)
    install("tornado")
    return stock, run(role, pieces, **options)


def assert_same(role: str, pieces: list[list[bytes]], **options: Any) -> None:
    stock, ours = both(role, pieces, **options)
    assert ours == stock


def limit_of(case: Case) -> int:
    return NO_LIMIT if case.limit is None else case.limit


# ---- The same in, the same out ---------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if name not in REASON | PINGS])
def test_every_two_way_split(name: str) -> None:
    case = CASES[name]
    splits = list(two_way(case.stream))
    step = max(1, len(splits) // 60)
    assert_same(case.role, [*splits[::step], splits[-1], bytewise(case.stream)], limit=limit_of(case))


@pytest.mark.parametrize("mask", [True, False])
def test_random_streams(mask: bool, rng: random.Random) -> None:
    role = "server" if mask else "client"
    pieces = []
    for _ in range(150):
        stream = random_stream(rng, mask=mask)
        # Of the faults that are fixed none is among them: a reason is UTF-8 until it is changed.
        pieces.append(random_cuts(stream, rng))
    stock, ours = both(role, pieces)
    for before, after in zip(stock, ours, strict=True):
        if ("loop raised", UnicodeDecodeError) not in before:
            assert after == before


def conversation(mask: bool, pack: Packer | None = None) -> bytes:
    text = "Grüße 🎉".encode()

    def f(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        return frame(opcode, payload, mask=mask, **options)

    frames = [
        f(1, b"Hello"),
        f(2),
        f(1, text[:3], fin=False),
        f(9, b"are you there?"),
        f(0, b"", fin=False),
        f(0, text[3:]),
        f(10, b"yes"),
        f(2, bytes(range(126))),
        f(1, text * 20),
        f(2, bytes(70_000)),
        f(2, bytes(40_000), fin=False),
        f(0, bytes(90_000)),
    ]
    if pack is not None:
        parts = [pack(data) for data in (text * 5, text * 6, bytes(300), b"", random.Random(1).randbytes(99))]
        frames += [
            f(1, parts[0], rsv=4),
            f(9),
            f(1, parts[1][:5], fin=False, rsv=4),
            f(0, parts[1][5:]),
            f(1, b"between"),
            f(2, parts[2], rsv=4),
            f(2, parts[3], rsv=4),
            f(2, parts[4], fin=False, rsv=4),
            f(0),
        ]
    return b"".join([*frames, close(1000, b"bye", mask=mask), f(1, b"too late")])


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("deflate", [None, {}])
def test_a_conversation(role: str, deflate: dict[str, Any] | None, rng: random.Random) -> None:
    stream = conversation(role == "server", None if deflate is None else Packer())
    cuts = [[stream], *(random_cuts(stream, rng) for _ in range(30))]
    cuts += [
        [stream[:at], stream[at:]] for at in (*range(0, 400, 3), *range(len(stream) - 400, len(stream), 3))
    ]
    assert_same(role, cuts, deflate=deflate)
    counted = counts("tornado")
    assert counted.slow == 0
    assert counted.fast == (10 if deflate is None else 18) * len(cuts)


@pytest.mark.parametrize("role", ["server", "client"])
def test_lenient_frames_are_fast_too(role: str) -> None:
    """The library takes frames of either side masked or not; the lengths it takes are its own affair."""
    wrong = role != "server"
    stream = frame(1, b"a", mask=wrong) + frame(2, b"b" * 200, mask=wrong) + frame(9, b"c", mask=wrong)
    assert_same(role, [[stream], bytewise(stream)])
    assert (counts("tornado").fast, counts("tornado").slow) == (4, 0)
    long_form = (
        bytes([0x81, 126, 0, 1]) + b"a" + frame(1, b"b", fin=False) + bytes([0, 127, *bytes(7), 1]) + b"c"
    )
    stream = long_form + frame(0, b"d") + frame(1, b"e")
    assert_same(role, [[stream], *two_way(stream)])
    assert counts("tornado").slow == 2 * len(stream) + 2 * 2


@pytest.mark.parametrize("size", [65_536, 65_537, 131_072, 2**20, 5 * 2**20 + 1])
@pytest.mark.parametrize("role", ["server", "client"])
def test_large_frames(role: str, size: int) -> None:
    mask = role == "server"
    text = frame(1, "é".encode() * (size // 2), mask=mask)
    stream = frame(2, b"1", mask=mask) + text + frame(2, b"2", mask=mask)
    pieces = [[stream[i : i + 100_000] for i in range(0, len(stream), 100_000)]]
    if size < 2**20:
        pieces.append([stream[:10], stream[10 : size // 2], stream[size // 2 :]])
    assert_same(role, pieces, limit=2**23)


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_large_frame_that_does_not_end(role: str) -> None:
    part = frame(2, bytes(200_000), mask=role == "server")[:150_000]
    assert_same(role, [[part[:50], part[50:]]])


@pytest.mark.parametrize("role", ["server", "client"])
def test_limits(role: str) -> None:
    mask = role == "server"
    pack = Packer()
    bomb = frame(1, pack(b"x" * 2000), rsv=4, mask=mask)
    fits = frame(1, pack(b"y" * 999), rsv=4, mask=mask)
    assert_same(role, [[fits + bomb + fits]], limit=1000, deflate={})
    whole, parts = frame(2, bytes(1001), mask=mask), frame(2, bytes(999), fin=False, mask=mask)
    assert_same(role, [[whole], [parts, frame(0, b"22", mask=mask)], bytewise(whole[:10])], limit=1000)


# ---- Handlers --------------------------------------------------------------------------------------


async def slowly(connection: Any, message: Any) -> None:
    await asyncio.sleep(0)
    connection.handler.log.append("awaited")


async def answer(connection: Any, message: Any) -> None:
    await connection.write_message(message, binary=isinstance(message, bytes))


def answer_at_once(connection: Any, message: Any) -> None:
    connection.write_message(message, binary=isinstance(message, bytes))


def raise_at_2(connection: Any, message: Any) -> None:
    if message == "2":
        raise LookupError


async def raise_later(connection: Any, message: Any) -> None:
    await asyncio.sleep(0)
    raise_at_2(connection, message)


def close_at_2(connection: Any, message: Any) -> None:
    if message == "2":
        connection.close(4000, "enough")


def abort_at_2(connection: Any, message: Any) -> None:
    if message == "2":
        connection._abort()


def close_stream_at_2(connection: Any, message: Any) -> None:
    if message == "2":
        connection.stream.close()


ACTS = [
    nothing,
    slowly,
    answer,
    answer_at_once,
    raise_at_2,
    raise_later,
    close_at_2,
    abort_at_2,
    close_stream_at_2,
]


@pytest.mark.parametrize("deflate", [None, {}])
@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("act", ACTS)
def test_handlers(act: Callable[[Any, Any], Any], role: str, deflate: dict[str, Any] | None) -> None:
    if TELLS_NOBODY and act is raise_later:
        pytest.skip("what this version does when a coroutine raises is not kept to")
    mask = role == "server"
    stream = b"".join(frame(1, b"%d" % n, mask=mask) for n in range(5))
    stream += frame(2, b"\xff" * 300, mask=mask) + close(1001, mask=mask)
    cuts = [[stream], bytewise(stream), [stream[:9], stream[9:]]]
    assert_same(role, cuts, act=act, deflate=deflate)


def test_who_overrides_is_asked() -> None:
    class Mine(Protocol):
        def _handle_message(self, opcode: int, data: bytes) -> Any:
            self.handler.log.append(("handle", opcode))  # type: ignore[attr-defined]
            return super()._handle_message(opcode, data)

    class Writes(Protocol):
        def _write_frame(self, fin: bool, opcode: int, data: bytes, flags: int = 0) -> Any:
            self.handler.log.append(("write", opcode, data))  # type: ignore[attr-defined]
            return super()._write_frame(fin, opcode, data, flags)

    stream = conversation(True)
    for cls in (Mine, Writes):
        assert_same("server", [[stream]], cls=cls, act=answer)
        _, ours = both("server", [[stream]], cls=cls, act=answer)
        assert any(entry[0] in ("handle", "write") for entry in ours[0])


def test_others_have_their_turn() -> None:
    """The event loop goes round as often as without wsfast, while many frames are there at once."""
    turns = []

    async def count(stream: bytes) -> int:
        seen = 0

        async def tick() -> None:
            nonlocal seen
            while True:
                seen += 1
                await asyncio.sleep(0)

        ticking = asyncio.ensure_future(tick())
        near, far = socket.socketpair()
        for end, option in ((near, socket.SO_RCVBUF), (far, socket.SO_SNDBUF)):
            end.setsockopt(socket.SOL_SOCKET, option, 2 * len(stream))
        connection = connect(near)
        with far:
            # All of it is there before the first is read.
            far.settimeout(10)
            far.sendall(stream)
            far.shutdown(socket.SHUT_WR)
            before = seen
            await connection._receive_frame_loop()
            ticking.cancel()
            connection.stream.close()
            return seen - before

    stream = frame(1, b"x" * 58) * 1000
    for way in ("stock", "ours"):
        if way == "ours":
            install("tornado")
        turns.append(asyncio.run(count(stream)))
    # 1000 * (1024 + 64) bytes, in steps of 256 KiB.
    assert all(3 <= seen < 30 for seen in turns), turns


def connect(near: socket.socket, **options: Any) -> Any:
    connection: Any = Protocol(Handler([], nothing), False, websocket._WebSocketParams())
    connection.stream = IOStream(near, **options)
    return connection


# ---- Out -------------------------------------------------------------------------------------------


def test_what_a_write_returns() -> None:
    """It is done in a later turn of the loop, raises what the library raises, and may be ignored."""

    async def talk() -> list[Any]:
        near, far = socket.socketpair()
        far.settimeout(10)
        connection = connect(near)
        log: list[Any] = []
        with far:
            loop = asyncio.ensure_future(connection._receive_frame_loop())
            await asyncio.sleep(0)
            for message in ("a", b"b", {"c": 1}, "ü"):
                written = connection.write_message(message)
                log.append(written.done())
                log.append(await written)
            for wrong in (5, ["x"]):
                with pytest.raises(TypeError) as raised:
                    connection.write_message(wrong)
                log.append(str(raised.value))
            cancelled = connection.write_message("not awaited to the end")
            cancelled.cancel()
            # More than the socket takes: the rest goes out when there is room, in order.
            big = [connection.write_message(bytes([n]) * 3_000_000, binary=True) for n in range(3)]
            connection.write_message("last")
            await asyncio.sleep(0)
            log.append([write.done() for write in big])
            received = bytearray()
            executor = asyncio.get_running_loop()
            while not received.endswith(b"last"):
                received += await executor.run_in_executor(None, far.recv, 1 << 20)
            log.append([await write for write in big])
            log.append(bytes(received))
            with pytest.raises(ValueError) as refused:
                connection._write_frame(False, 9, b"")
            log.append(str(refused.value))
            with pytest.raises(ValueError) as refused:
                connection._write_frame(True, 9, bytes(126))
            log.append(str(refused.value))
            log.append(connection._wire_bytes_out)
            connection.stream.close()
            with pytest.raises(websocket.WebSocketClosedError):
                connection.write_message("x")
            await loop
        return log

    stock = asyncio.run(talk())
    install("tornado")
    assert asyncio.run(talk()) == stock
    assert stock[0:8] == [False, None] * 4
    assert counts("tornado").fast >= 8


def test_a_message_of_nothing() -> None:
    """The library has an ``assert`` for that."""
    install("tornado")
    near, far = socket.socketpair()
    with near, far, pytest.raises(TypeError, match=r"^a message must be str, bytes or dict, not None$"):
        connect(near).write_message(None)


def test_a_full_buffer() -> None:
    async def talk() -> list[str]:
        near, far = socket.socketpair()
        connection = connect(near, max_write_buffer_size=1000)
        log = []
        with far:
            loop = asyncio.ensure_future(connection._receive_frame_loop())
            await asyncio.sleep(0)
            for size in (900, 1001):
                try:
                    log.append(str(await connection.write_message("x" * size)))
                except Exception as exc:
                    log.append(repr(exc))
            far.close()
            try:
                for _ in range(3):
                    await connection.write_message("x")
            except Exception as exc:
                log.append(repr(exc))
            await loop
        return log

    stock = asyncio.run(talk())
    install("tornado")
    assert asyncio.run(talk()) == stock
    assert stock == [
        "None",
        "StreamBufferFullError('Reached maximum write buffer size')",
        "WebSocketClosedError()",
    ]


# ---- What is fixed, and what strictness brings -----------------------------------------------------


def ended(code: int | None = None, reason: str | None = None) -> tuple[Any, ...]:
    return ("end", code, reason)


def test_faults_fixed() -> None:
    deflate: dict[str, Any] = {}
    final = bytes.fromhex("f348cdc9c90700")  # RFC 7692 §7.2.3.4: "Hello" with BFINAL
    pack = Packer()
    packed = pack(b"a message that is compressed" * 3)
    half = frame(1, packed[:4], fin=False, rsv=4)
    table: dict[str, tuple[bytes, dict[str, Any], list[Any], list[Any]]] = {
        "BFINAL": (
            frame(1, final, rsv=4) + frame(1, bytes.fromhex("f248cdc9c90700"), rsv=4),
            {"deflate": deflate},
            ["Hello", "", ended()],
            ["Hello", "Hello", ended()],
        ),
        "a ping in a compressed message": (
            half + frame(9, b"") + frame(0, packed[4:]),
            {"deflate": deflate},
            [("ping", bytes, b""), ended()],
            [("ping", bytes, b""), "a message that is compressed" * 3, ended()],
        ),
        "a ping that counts": (
            frame(2, b"123", fin=False) + frame(9, b"x" * 20) + frame(0, b"45"),
            {"limit": 5},
            [ended()],
            [("ping", bytes, b"x" * 20), b"12345", ended()],
        ),
        "a reason that is not UTF-8": (
            close(1000, b"\xff"),
            {},
            [ended(1000), ("loop raised", UnicodeDecodeError)],
            [ended(1000)],
        ),
        "a message cut short": (
            frame(1, Packer()(b"a message that is cut" * 3)[:-4], rsv=4),
            {"deflate": deflate},
            ["a message that is cut`", ended()],
            [ended()],
        ),
        "no DEFLATE": (
            frame(1, b"\xff\xff", rsv=4),
            {"deflate": deflate},
            [ended(), ("loop raised", __import__("zlib").error)],
            [ended()],
        ),
    }
    for name, (stream, options, before, after) in table.items():
        for pieces in ([stream], bytewise(stream)):
            stock, ours = both("server", [pieces], **options)
            for logs, expected in ((stock, before), (ours, after)):
                if TELLS_NOBODY and logs is stock and name in ("a reason that is not UTF-8", "no DEFLATE"):
                    expected = expected[1:]
                told = [entry for entry in logs[0] if entry[:1] not in (("closed",), ("sent",), ("counted",))]
                assert told == expected, name
            assert ("closed", True) in ours[0]


STRICT = {
    "unmasked": (frame(1, b"x", mask=False), 1002, "unmasked frame from a client (RFC 6455 §5.1)"),
    "length": (
        bytes([0x81, 0xFE, 0, 1]) + KEY + b"x",
        1002,
        "payload length 1 is not in its shortest form (RFC 6455 §5.2)",
    ),
    "opcode": (frame(3, b"x"), 1002, "reserved opcode 0x3 (RFC 6455 §5.2)"),
    "rsv2": (frame(1, b"x", rsv=2), 1002, "RSV2 set, but no extension defines it (RFC 6455 §5.2)"),
    "continuation": (
        frame(0, b"x"),
        1002,
        "continuation frame without a message to continue (RFC 6455 §5.4)",
    ),
    "close code": (close(1005), 1002, "close frame with code 1005 (RFC 6455 §7.4)"),
    "close of 1 byte": (frame(8, b"x"), 1002, ""),
    "close reason": (close(1000, b"\xff"), 1007, ""),
    "text": (frame(1, b"ab\xff"), 1007, "text message is not UTF-8: byte 0xFF at index 2 (RFC 6455 §8.1)"),
    "rsv1 on a ping": (frame(9, b"x", rsv=4), 1002, "RSV1 set on a ping frame (RFC 7692 §6.1)"),
    "no DEFLATE": (frame(1, b"\xff\xff", rsv=4), 1002, ""),
}


@pytest.mark.parametrize("name", STRICT)
def test_strict(name: str) -> None:
    stream, code, reason = STRICT[name]
    deflate: dict[str, Any] | None = {} if name in ("rsv1 on a ping", "no DEFLATE") else None
    install("tornado", strict=True)
    good = frame(1, b"good")
    for pieces in ([good + stream + good], bytewise(good + stream)):
        (log,) = run("server", [pieces], deflate=deflate)
        assert log[:2] == ["good", ended()]
        [(opcode, payload, _)] = dict(log[2:-1])["sent"]
        assert (opcode, payload[:2]) == (8, code.to_bytes(2, "big"))
        if reason:
            assert payload[2:].decode() == reason
        assert ("closed", True) in log


def test_compressed_nothing_is_taken_unless_strict() -> None:
    """A payload of no bytes is no DEFLATE block (RFC 7692 §7.2.1); the library takes it for nothing."""
    for opcode, told in ((9, ("ping", bytes, b"")), (1, ""), (2, b"")):
        stream = frame(opcode, b"", rsv=4) + close(1000)
        stock = run("server", [[stream]], deflate={})
        with install("tornado"):
            assert run("server", [[stream], bytewise(stream)], deflate={}) == stock * 2
        assert stock[0][0] == told


def test_strict_takes_what_is_right() -> None:
    stream = conversation(True, Packer())
    lenient = run("server", [[stream]], deflate={})
    install("tornado", strict=True)
    assert run("server", [[stream], [*bytewise(stream[:300]), stream[300:]]], deflate={}) == lenient * 2
    assert run("server", [[frame(2, bytes(11))]], limit=10) == [
        [
            ended(),
            ("closed", True),
            ("sent", [(8, b"\x03\xf1message too big", True)]),
            ("counted", 0, 0),
        ]
    ]


def test_open_connections_keep_what_they_have() -> None:
    async def talk(before: Callable[[], object], after: Callable[[], object]) -> list[Any]:
        before()
        pieces = [frame(1, b"one"), frame(1, b"two"), b"", frame(1, b"three"), close(1000)]

        def step(connection: Any, message: Any) -> None:
            if message == "two":
                after()
            connection.write_message(message)

        return await converse("server", pieces, act=step)

    plain = asyncio.run(talk(nothing_at_all, nothing_at_all))
    assert asyncio.run(talk(nothing_at_all, lambda: install("tornado"))) == plain
    assert counts("tornado").fast == 2  # what it has sent since
    counts("tornado").fast = 0
    assert asyncio.run(talk(lambda: install("tornado"), wsfast.uninstall)) == plain
    assert counts("tornado").fast == 4  # three were received, one sent


def nothing_at_all() -> None:
    pass
