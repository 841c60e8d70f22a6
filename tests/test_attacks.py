"""What a hostile peer can make a connection do: its memory and its work stay in proportion to what it sent.

The same attacks, at full size and with a clock, are measured by bench/targets.py.
"""

from __future__ import annotations

import gc
import sysconfig
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import pytest
from handshakes import request
from implementations import Implementation
from linear import by_the_clock, check_linear, lines_run, on_its_own
from streams import frame

from wsfast import Close, Deflate, Ping, ProtocolError, Rejected, Request, State

tracemalloc: Any = pytest.importorskip("tracemalloc", reason="this interpreter does not trace allocations")

KIB = 1024
MIB = 1024 * KIB
READ = 64 * KIB
DEFLATE = "permessage-deflate"
# Without a GIL, the interpreter frees what lists and dicts have outgrown later, many at a time.
LATE = 128 * KIB if sysconfig.get_config_var("Py_GIL_DISABLED") else 0


class Memory:
    """What Python's allocators have given out, above what they had at the beginning."""

    peak = 0

    def __init__(self) -> None:
        self._before = tracemalloc.get_traced_memory()[0]

    @property
    def now(self) -> int:
        gc.collect()
        return int(tracemalloc.get_traced_memory()[0] - self._before)


@contextmanager
def measured() -> Iterator[Memory]:
    gc.collect()
    tracemalloc.start()
    try:
        memory = Memory()
        tracemalloc.reset_peak()
        yield memory
        memory.peak = tracemalloc.get_traced_memory()[1] - memory._before
    finally:
        tracemalloc.stop()


def in_reads(first: bytes, unit: bytes, count: int, last: bytes) -> Iterator[bytes]:
    """`count` equal frames between two others, in reads of up to 64 KiB."""
    each = READ // len(unit)
    return chain([first], repeat(unit * each, count // each), [unit * (count % each)], [last])


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def feed(connection: Any, reads: Iterable[bytes]) -> list[Any]:
    events: list[Any] = []
    for read in reads:
        events += connection.receive_data(read)
    return events


def compressed(payload: bytes, opcode: int = 2) -> bytes:
    return frame(opcode, payload, rsv=4)


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def zeros(mebibytes: int) -> bytes:
    """So many MiB of zeros, compressed a thousandfold; all pieces behind the first give the same bytes."""
    compressor = zlib.compressobj(9, wbits=-15)
    first, piece = (compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH) for _ in range(2))
    return (first + piece * (mebibytes - 1))[:-4]


def head_of(n: int) -> bytes:
    """A good request of about `n` bytes, in fields of 600."""
    return request(*(f"X-{i}: {'v' * 590}" for i in range(n // 600)))


# ---- Memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "binary"])
@pytest.mark.parametrize("payload", [b"x", b""], ids=["one byte", "empty"])
def test_fragments(impl: Implementation, opcode: int, payload: bytes, exhaustive: bool) -> None:
    """10**6 of one byte: 4 MB at most. 2 * 10**6 empty ones: 0.5 MB. By default fewer, and less."""
    n = (1_000_000 if payload else 2_000_000) if exhaustive else 30_000
    first, last = frame(opcode, payload, fin=False), frame(0, payload)
    reads = in_reads(first, frame(0, payload, fin=False), n - 2, last)
    connection = impl.Connection.established("server")
    with measured() as memory:
        (message,) = feed(connection, reads)
    assert message == n * (payload.decode() if opcode == 1 else payload)
    assert memory.peak <= 3 * len(message) + 64 * KIB


@pytest.mark.parametrize("cut", [READ, 1000, 1], ids=lambda size: f"reads of {size}")
@pytest.mark.parametrize("fragments", [1, 50])
def test_a_bomb(impl: Implementation, cut: int, fragments: int, exhaustive: bool) -> None:
    """A compressed GiB, a MiB on the wire, with a limit of 1 MiB: 2.2 MB at most."""
    payload = zeros(1000 if exhaustive and cut > 1 else 20)
    assert len(payload) <= MIB + 20 * KIB
    size = -(-len(payload) // fragments)
    parts = [payload[i : i + size] for i in range(0, len(payload), size)]
    wire = b"".join(
        frame(0 if i else 2, part, fin=i == len(parts) - 1, rsv=0 if i else 4) for i, part in enumerate(parts)
    )
    reads = [wire[i : i + cut] for i in range(0, len(wire), cut)]
    connection = impl.Connection.established("server", extensions=DEFLATE)
    with measured() as memory:
        (event,) = feed(connection, reads)
    assert isinstance(event, Close)
    assert event.code == 1009
    assert isinstance(connection.error, ProtocolError)
    assert connection.should_close
    assert memory.peak <= 2_200_000


def test_a_bomb_after_a_bomb(impl: Implementation) -> None:
    """Each message below the limit, each a thousandfold: nothing of them stays."""
    connection = impl.Connection.established("server", extensions=DEFLATE)
    wire = compressed(zeros(1))
    with measured() as memory:
        for _ in range(5):
            assert connection.receive_data(wire) == [bytes(MIB)]
        held = memory.now
    assert held <= 128 * KIB  # zlib's state and window, and the window that is kept beside them
    assert memory.peak <= 2_500_000


@pytest.mark.parametrize("payload", [b"", bytes(125)], ids=["empty", "long"])
@pytest.mark.parametrize("each", [False, True], ids=["reads of 64 KiB", "each a read"])
def test_pings_that_nobody_answers(
    impl: Implementation, payload: bytes, each: bool, exhaustive: bool
) -> None:
    """data_to_send() is never called: what is queued does not grow."""
    n = 1_000_000 if exhaustive else 5_000
    ping = frame(9, payload)
    reads = repeat(ping, n) if each else in_reads(b"", ping, n, b"")
    connection = impl.Connection.established("server")
    count = most = 0
    with measured() as memory:
        for read in reads:
            events = connection.receive_data(read)
            count += len(events)
            assert not events or events[0] == events[-1] == Ping(payload)
            del events
            most = max(most, tracemalloc.get_traced_memory()[0])
        held = memory.now
    assert count == n
    assert held <= 32 * KIB
    # The rest of the peak is the events of one read, which are the caller's.
    assert memory.peak <= 64 * KIB + LATE + (0 if each else READ // len(ping) * 400)
    # The newest is answered in any case.
    assert connection.data_to_send().endswith(b"\x8a" + bytes([len(payload)]) + payload)


def test_pings_between_fragments(impl: Implementation) -> None:
    connection = impl.Connection.established("server")
    unit = frame(0, b"", fin=False) + frame(9, b"ping")
    with measured() as memory:
        connection.receive_data(frame(1, b"a", fin=False))
        for _ in range(5_000):
            assert connection.receive_data(unit) == [Ping(b"ping")]
        assert connection.receive_data(frame(0, b"b")) == ["ab"]
    assert memory.peak <= 64 * KIB


@pytest.mark.parametrize("size", [1, 1000, READ], ids=lambda size: f"reads of {size}")
def test_a_head_without_end(impl: Implementation, size: int) -> None:
    """It is refused as soon as it is too long, and never held beyond that."""
    endless = request(*("X: " + "y" * 1000 for _ in range(100)))[:-2]
    impl.Connection("server").receive_data(b"\0")  # refused: whatever the first refusal imports
    connection = impl.Connection("server")
    pieces = [endless[i : i + size] for i in range(0, len(endless), size)]
    with measured() as memory:
        (event,) = feed(connection, pieces)
        assert isinstance(event, Rejected)
        assert event.status == 431
    assert memory.peak <= 3 * 16 * KIB + 2 * size + LATE
    assert connection.should_close


def test_bytes_behind_a_request(impl: Implementation) -> None:
    """A client that does not wait for the answer is put off at 64 KiB."""
    connection = impl.Connection("server")
    assert isinstance(connection.receive_data(request())[0], Request)
    with measured() as memory:
        events = feed(connection, repeat(bytes(1000), 1000))
    assert [type(event) for event in events] == [Rejected]
    assert memory.peak <= 3 * READ + 32 * KIB
    assert connection.state is State.CLOSING


@pytest.mark.parametrize("kind", ["text", "ping", "after a close frame", "after a fault"])
def test_a_closed_connection_keeps_nothing(impl: Implementation, kind: str) -> None:
    """What follows a close frame or a fault is discarded."""
    connection = impl.Connection.established("server")
    if kind == "after a fault":
        connection.receive_data(b"\xff\xff")
    else:
        connection.receive_data(frame(8, b"\x03\xe8"))
    data = frame(9 if kind == "ping" else 1, b"x" * 100) * 500
    with measured() as memory:
        for _ in range(50):
            assert connection.receive_data(data) == []
        held = memory.now
    assert held <= KIB + LATE
    assert memory.peak <= len(data) + 8 * KIB + LATE


IDLE: dict[str, tuple[dict[str, Any], bool, int]] = {
    "as it is made": ({}, False, 2 * KIB),
    "after a message each way": ({}, True, 2 * KIB),
    "with deflate, as it is made": ({"extensions": DEFLATE}, False, 4 * KIB),
    # Two windows of 32 KiB, one of them zlib's, and a compressor with the smaller ones of Deflate().
    "with deflate, after a message each way": ({"extensions": DEFLATE}, True, 128 * KIB),
}


@pytest.mark.parametrize("kind", IDLE)
def test_an_idle_connection_is_small(impl: Implementation, kind: str) -> None:
    options, used, limit = IDLE[kind]
    text = "x" * 200
    wire = compressed(deflated(text.encode()), 1) if options else frame(1, text.encode())

    def make() -> Any:
        connection = impl.Connection.established("server", **options)
        if used:
            assert connection.receive_data(wire) == [text]
            connection.send_text(text)
        return connection

    make()
    with measured() as memory:
        connections = [make() for _ in range(50)]
        each = memory.now / len(connections)
    assert each <= limit


def test_deflate_without_context_keeps_nothing(impl: Implementation) -> None:
    options = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)
    agreed = f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover"
    text = "x" * 200
    wire = compressed(deflated(text.encode()), 1)
    with measured() as memory:
        connections = [
            impl.Connection.established("server", extensions=agreed, compression=options) for _ in range(50)
        ]
        for connection in connections:
            assert connection.receive_data(wire) == [text]
            connection.send_text(text)
        each = memory.now / len(connections)
    assert each <= 4 * KIB


# ---- Work ------------------------------------------------------------------------------------------

Attack = tuple[Callable[[Implementation], Any], Callable[[int], list[bytes]]]


def server(**options: Any) -> Callable[[Implementation], Any]:
    return lambda impl: impl.Connection.established("server", **options)


def new_server(impl: Implementation) -> Any:
    return impl.Connection("server", max_header_size=MIB, max_header_count=10**6)


def new_client(impl: Implementation) -> Any:
    return impl.Connection("client", "ws://localhost/", max_header_size=MIB, max_header_count=10**6)


def number(n: int) -> bytes:
    """`n` bytes that compress like text."""
    return b" ".join(b"%d" % (i * 2654435761 % 2**32) for i in range(n // 8))


ATTACKS: dict[str, Attack] = {
    "fragments": (
        server(),
        lambda n: [frame(1, b"x", fin=False), *in_reads(b"", frame(0, b"x", fin=False), n // 7, frame(0))],
    ),
    "empty fragments": (
        server(),
        lambda n: [frame(2, b"", fin=False), *in_reads(b"", frame(0, b"", fin=False), n // 6, frame(0))],
    ),
    "fragments, byte by byte": (
        server(),
        lambda n: bytewise(frame(1, b"x", fin=False) + frame(0, b"x", fin=False) * (n // 7)),
    ),
    "a binary message, byte by byte": (server(), lambda n: bytewise(frame(2, bytes(n)))),
    "a text, byte by byte": (server(), lambda n: bytewise(frame(1, "天".encode() * (n // 3)))),
    "a compressed message, byte by byte": (
        server(extensions=DEFLATE),
        lambda n: bytewise(compressed(deflated(number(2 * n)))),
    ),
    "compressed fragments of one byte": (
        server(extensions=DEFLATE),
        lambda n: [
            frame(0 if i else 2, bytes([byte]), fin=False, rsv=0 if i else 4)
            for i, byte in enumerate(deflated(number(2 * n)))
        ],
    ),
    # Each block with BFINAL is a new stream for zlib, which is given the window anew.
    "a compressed message of final blocks": (
        server(extensions=DEFLATE),
        lambda n: [compressed(b"\x03\x00" * (n // 20) + b"\x00")],
    ),
    "pings": (server(), lambda n: list(in_reads(b"", frame(9, b"x" * 125), n // 131, b""))),
    "pings, each a read": (server(), lambda n: [frame(9)] * (n // 10)),
    "pings, byte by byte": (server(), lambda n: bytewise(frame(9, b"x" * 125) * (n // 131 + 1))),
    "a request, byte by byte": (new_server, lambda n: bytewise(head_of(n))),
    "a request of one field, byte by byte": (
        new_server,
        lambda n: bytewise(request("X: " + "y" * n)),
    ),
    "a request of tiny fields": (new_server, lambda n: [request(*["x:"] * (n // 4))]),
    "a request of tiny fields, byte by byte": (
        new_server,
        lambda n: bytewise(request(*["x:"] * (n // 4))),
    ),
    "empty lines": (new_server, lambda n: bytewise(request("X: " + "\r" * n))),
    "a response, byte by byte": (
        new_client,
        lambda n: bytewise(b"HTTP/1.1 404 No\r\nX: " + b"y" * n + b"\r\nContent-Length: 0\r\n\r\n"),
    ),
    "interim responses": (new_client, lambda n: bytewise(b"HTTP/1.1 100 Go on\r\n\r\n" * (n // 25))),
    "bytes behind a request": (new_server, lambda n: [request(), *bytewise(bytes(min(n, READ)))]),
    "bytes behind a close frame": (server(), lambda n: [frame(8), *bytewise(bytes(n))]),
}


@on_its_own
@pytest.mark.parametrize("kind", ATTACKS)
def test_lines(backend: Implementation, kind: str) -> None:
    """The lines of Python that run: what one of them does is seen by the clock."""
    make, reads_of = ATTACKS[kind]

    def work(n: int) -> int:
        connection, reads = make(backend), reads_of(n)
        return lines_run(lambda: feed(connection, reads))

    work(100)
    once, twice = work(6000), work(12_000)
    assert twice <= 2.2 * once + 300


@by_the_clock
@pytest.mark.parametrize("kind", ATTACKS)
def test_time(backend: Implementation, kind: str) -> None:
    make, reads_of = ATTACKS[kind]

    def prepare(n: int) -> Callable[[], object]:
        connection, reads = make(backend), reads_of(n)
        return lambda: [connection.receive_data(read) for read in reads]

    check_linear(prepare, 20_000)
