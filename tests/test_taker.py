"""MessageTaker and MessageQueue: whole messages off the front of a buffer, into a queue."""

from __future__ import annotations

import zlib
from collections import deque, namedtuple
from typing import Any

import pytest

import wsfast

Note = namedtuple("Note", "kind data extra")
KEY = b"\x11\x22\x33\x44"


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False, mask: Any = KEY
) -> bytes:
    return wsfast.encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=mask)


def taker(impl: Any, **options: Any) -> Any:
    return impl.MessageTaker(
        Note("t", None, "!"), Note("b", None, "!"), Note("i", None, ""), Note("o", None, ""), **options
    )


def take(made: Any, data: Any, room: int = 1 << 40, start: int = 0) -> Any:
    entries: list[Any] = []
    return *made.take(data, start, room, entries), entries


def test_messages(impl: Any) -> None:
    data = frame(1, "Grüße".encode()) + frame(2, b"\xff") + frame(9, b"p") + frame(10, b"q", mask=False)
    used, total, frames, entries = take(taker(impl, overhead=10), data)
    assert (used, total, frames) == (len(data), 7 + 1 + 1 + 1 + 40, 2)
    assert entries == [
        (("t", "Grüße", "!"), 7),
        (("b", b"\xff", "!"), 1),
        (("i", b"p", ""), 1),
        (("o", b"q", ""), 1),
    ]
    assert [type(entry[0]) for entry in entries] == [Note] * 4
    assert [type(entry[0].data) for entry in entries] == [str, bytes, bytearray, bytes]


def test_any_tuple_is_a_template(impl: Any) -> None:
    made = impl.MessageTaker(("t", None), ("b", None, 1, 2, 3))
    assert take(made, frame(1, b"a") + frame(2, b"b"))[3] == [(("t", "a"), 1), (("b", b"b", 1, 2, 3), 1)]
    assert made.need(frame(9)) == 0


def test_entries_are_added_to(impl: Any) -> None:
    entries: list[Any] = ["before"]
    taker(impl).take(frame(1, b"a"), 0, 100, entries)
    assert entries == ["before", (("t", "a", "!"), 1)]


def test_sizes(impl: Any) -> None:
    made = taker(impl)
    for size in (0, 1, 125, 126, 127, 65535, 65536, 100_000):
        for mask in (KEY, False):
            data = frame(2, bytes(size), mask=mask)
            assert made.need(data) == len(data)
            assert take(made, data)[3] == [(("b", bytes(size), "!"), size)]


def test_stops_when_there_is_no_more_room(impl: Any) -> None:
    made = taker(impl, overhead=100)
    one = frame(1, b"abc")
    for room, n in ((-1, 0), (0, 1), (102, 1), (103, 2), (205, 2), (206, 3)):
        used, total, frames, entries = take(made, one * 5, room)
        assert (used, total, frames, len(entries)) == (n * len(one), n * 103, n, n)


def test_begins_anywhere(impl: Any) -> None:
    made = taker(impl)
    data = b"zzz" + frame(1, b"a")
    assert take(made, data, start=3)[0] == len(data)
    assert take(made, data, start=100)[:3] == (len(data), 0, 0)
    assert made.need(data, 3) == len(data) - 3
    assert made.need(data, 1000) == 2


def test_every_prefix(impl: Any) -> None:
    made = taker(impl)
    for payload, heads in ((b"a" * 9, [2, 6]), (b"a" * 200, [2, 4, 8]), (b"a" * 70_000, [2, 10, 14])):
        for mask in (KEY, False):
            data = frame(1, payload, mask=mask)
            ends = heads if mask else heads[:-1]
            for n in {*range(min(15, len(data))), len(data) - 1}:
                expected = next((end for end in ends if end > n), len(data))
                assert made.need(data[:n]) == expected
                assert take(made, data[:n])[:3] == (0, 0, 0)


NOT_TAKEN = {
    "close": frame(8),
    "RSV2": b"\xa1\x00",
    "RSV3": b"\x91\x00",
    "opcode 3": b"\x83\x00",
    "opcode 11": b"\x8b\x00",
    "RSV1": b"\xc1\x00",
    "RSV1 on a ping": b"\xc9\x00",
    "continuation of nothing": b"\x80\x00",
    "fragmented ping": b"\x09\x00",
    "long ping": b"\x89\x7e\x00\x7e",
    "longer form": b"\x81\x7e\x00\x01a",
    "longest form": b"\x81\x7f" + (200).to_bytes(8, "big"),
    "top bit": b"\x81\x7f\x80" + bytes(7),
    "over the limit": b"\x81\x7e\x03\xe9",
}


@pytest.mark.parametrize("data", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_not_taken(impl: Any, data: bytes) -> None:
    made = taker(impl, max_size=1000)
    before = frame(1, b"before")
    assert made.need(data) == 0
    assert take(made, before + data)[:3] == (len(before), 6, 1)
    assert made.need(before + data, len(before)) == 0


def test_masked_one_way_only(impl: Any) -> None:
    for masked in (True, False):
        made = taker(impl, masked=masked)
        assert take(made, frame(1, b"a", mask=masked))[2] == 1
        assert take(made, frame(1, b"a", mask=not masked))[:3] == (0, 0, 0)
        assert made.need(frame(9, b"a", mask=not masked)) == 0


def test_fragments(impl: Any) -> None:
    made = taker(impl, max_size=10)
    assert (made.opcode, made.partial, made.begun) == (-1, b"", False)
    assert take(made, frame(1, b"\xe4\xb8", fin=False) + frame(9) + frame(0, fin=False))[1:] == (
        0,
        2,
        [(("i", b"", ""), 0)],
    )
    assert (made.opcode, made.compressed, made.partial, made.begun) == (1, False, b"\xe4\xb8", True)
    assert made.need(frame(1)) == made.need(frame(2, fin=False)) == 0
    assert made.need(frame(0, bytes(9))) == 0
    assert made.need(frame(0, bytes(8))) == 14
    _, total, frames, entries = take(made, frame(0, b"\x96!") + frame(2, bytes(10)))
    assert (total, frames, entries) == (14, 2, [(("t", "世!", "!"), 4), (("b", bytes(10), "!"), 10)])
    assert (made.opcode, made.partial) == (-1, b"")


def test_somebody_else_goes_on(impl: Any) -> None:
    made = taker(impl, inflate=lambda payload: payload.upper())
    mine = bytearray(b"one ")
    made.partial, made.opcode, made.compressed = mine, 2, True
    assert made.partial is mine
    assert take(made, frame(0, b"two"))[3] == [(("b", b"ONE TWO", "!"), 7)]
    assert mine == b""
    made.opcode = -5
    assert made.opcode == -1


def test_inflates(impl: Any) -> None:
    inflater = zlib.decompressobj(-15)
    pack = zlib.compressobj(wbits=-15)

    def packed(data: bytes) -> bytes:
        return (pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH))[:-4]

    made = taker(impl, inflate=lambda payload: inflater.decompress(payload + b"\0\0\xff\xff"), overhead=1)
    first, second = packed("Grüße".encode() * 50), packed("Grüße".encode() * 50)
    data = (
        frame(1, first, rsv1=True)
        + frame(2, second[:2], rsv1=True, fin=False)
        + frame(9)
        + frame(0, second[2:])
        + frame(1, b"plain")
    )
    used, total, frames, entries = take(made, data)
    assert (used, total, frames) == (len(data), 350 + 350 + 0 + 5 + 4, 4)
    assert [entry[0].data for entry in entries] == ["Grüße" * 50, b"", "Grüße".encode() * 50, "plain"]


def test_raw_text(impl: Any) -> None:
    assert take(taker(impl, decode=False), frame(1, b"\xff"))[3] == [(("t", b"\xff", "!"), 1)]


@pytest.mark.parametrize(
    "payload", [b"a\xff", b"\xe2\x82", b"x" * 500 + b"\xed\xa0\x80", "ä".encode() * 99 + b"\xc3"]
)
def test_text_that_is_not_utf8(impl: Any, payload: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as expected:
        payload.decode()
    entries: list[Any] = []
    made = taker(impl)
    for mask in (KEY, False):
        with pytest.raises(UnicodeDecodeError) as caught:
            made.take(frame(1, b"ok", mask=mask) + frame(1, payload, mask=mask), 0, 100, entries)
        assert str(caught.value) == str(expected.value)
        assert caught.value.object == payload
    assert [entry[0].data for entry in entries] == ["ok", "ok"]
    with pytest.raises(UnicodeDecodeError):
        made.take(frame(1, payload[:1], fin=False) + frame(0, payload[1:]), 0, 100, entries)


def test_what_inflate_raises(impl: Any) -> None:
    def fail(payload: bytes) -> bytes:
        raise ZeroDivisionError

    entries: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        taker(impl, inflate=fail).take(frame(1, b"ok") + frame(1, b"", rsv1=True), 0, 100, entries)
    assert len(entries) == 1
    with pytest.raises(TypeError, match="inflated message must be bytes, not bytearray"):
        take(taker(impl, inflate=bytearray), frame(1, b"", rsv1=True))


def test_any_buffer(impl: Any) -> None:
    data = frame(1, b"abc")
    for kind in (bytes, bytearray, memoryview):
        assert take(taker(impl), kind(data))[3] == [(("t", "abc", "!"), 3)]
    assert taker(impl).need(bytearray(data)) == len(data)


def test_what_is_handed_out_is_a_copy(impl: Any) -> None:
    data = bytearray(frame(2, b"abc", mask=False))
    (entry,) = take(taker(impl), data)[3]
    data[:] = bytes(len(data))
    assert entry[0].data == b"abc"


WRONG: list[tuple[Any, type, str]] = [
    (lambda impl: impl.MessageTaker("t", ("b", None)), TypeError, "text must be a tuple, not str"),
    (lambda impl: impl.MessageTaker(("t", 1), ("b",)), ValueError, "binary must have 2 items or more, not 1"),
    (lambda impl: impl.MessageTaker(("t", 1), ("b", 1), 5), TypeError, "ping must be a tuple, not int"),
    (
        lambda impl: impl.MessageTaker(("t", 1), ("b", 1), None, []),
        TypeError,
        "pong must be a tuple, not list",
    ),
    (
        lambda impl: taker(impl, max_size=-1),
        ValueError,
        "max_size must be 0 or more, or None for no limit, not -1",
    ),
    (lambda impl: take(taker(impl), "text"), TypeError, "data must be a bytes-like object, not str"),
    (lambda impl: take(taker(impl), b"", start=-1), ValueError, "offset must be 0 or more, not -1"),
    (lambda impl: taker(impl).take(b"", 0, 0, ()), TypeError, "entries must be a list, not tuple"),
    (lambda impl: taker(impl).need(5), TypeError, "data must be a bytes-like object, not int"),
    (lambda impl: setattr(taker(impl), "partial", b""), TypeError, "partial must be a bytearray, not bytes"),
    (lambda impl: taker(impl).__reduce__(), TypeError, "cannot pickle 'MessageTaker' object"),
]


@pytest.mark.parametrize(("call", "error", "text"), WRONG, ids=[text for _, _, text in WRONG])
def test_wrong_arguments(impl: Any, call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call(impl)
    assert str(caught.value) == text


# ---- The queue -----------------------------------------------------------------------------------------


class Source:
    def __init__(self) -> None:
        self._reading_paused = False
        self.calls = 0

    def pause_reading(self) -> None:
        self.calls += 1
        self._reading_paused = True


class Waiter:
    def __init__(self, done: bool) -> None:
        self.results = [0] if done else []

    def done(self) -> bool:
        return bool(self.results)

    def set_result(self, result: Any) -> None:
        self.results.append(result)


def queue(impl: Any, limit: int = 100) -> Any:
    made = type("Queue", (impl.MessageQueue,), {})()
    made._buffer = deque()
    made._get_buffer, made._put_buffer = made._buffer.popleft, made._buffer.append
    made._waiter = made._stalled_reader = None
    made._protocol = Source()
    made._size, made._limit = 0, limit
    return made


def test_queue(impl: Any) -> None:
    made = queue(impl)
    source = made._protocol
    reader = taker(impl, overhead=10)
    one = frame(1, b"x" * 20)
    waiter: Any = Waiter(False)
    made._waiter = waiter
    data = one * 2 + b"\x88"
    assert made.feed(reader, data) == 2 * len(one)
    assert (made._size, source.calls, waiter.results) == (60, 0, [None])
    assert made._waiter is None
    waiter = made._waiter = Waiter(True)
    assert made.feed(reader, one * 9) == 2 * len(one)
    assert (made._size, len(made._buffer), source.calls, waiter.results) == (120, 4, 1, [0])
    assert made.feed(reader, one) == 0
    assert made.feed(reader, b"") == 0
    assert source.calls == 1
    # Whoever pauses the source wants to know when there is room again.
    assert made.pop_plain(("t", "b"), 10) is None
    source._reading_paused = False
    assert made.pop_plain(("t", "b"), 10) == ("t", "x" * 20, "!")
    assert made._size == 90
    assert made.pop_plain(("b", "o"), 10) is None
    made._stalled_reader = "waits for half of the room"
    assert made.pop_plain(("t",), 10) is not None
    assert made.pop_plain(("t",), 10) is None
    assert (made._size, len(made._buffer)) == (60, 2)
    made._buffer.clear()
    assert made.pop_plain(("t",), 10) is None


def test_queue_stays_paused_while_full(impl: Any) -> None:
    made = queue(impl, limit=20)
    made.put([(("t", "x", "!"), 1)] * 5, 55)
    assert made._protocol.calls == 1
    assert [made.pop_plain(("t",), 10) is None for _ in range(4)] == [False, False, False, True]
    assert made._size == 22


def test_queue_keeps_what_came_before_an_error(impl: Any) -> None:
    made = queue(impl)
    with pytest.raises(UnicodeDecodeError):
        made.feed(taker(impl, overhead=10), frame(1, b"ok") + frame(9, b"p") + frame(1, b"\xff"))
    assert (made._size, len(made._buffer)) == (23, 2)


def test_queue_of_other_things(impl: Any) -> None:
    made = queue(impl)
    for entry in ("no pair", (1, 2, 3), ("text", 4), ((), 0)):
        made._buffer.append(entry)
        assert made.pop_plain(("t",), 0) is None
        assert made._buffer.pop() is entry
