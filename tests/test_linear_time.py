"""Work grows in proportion to the input, also when it arrives byte by byte.

No clock: the interpreter counts the lines of Python that run. That sees what the twin does; what a
single line of it, or the compiled module, copies is seen by counting the bytes that are allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation
from linear import lines_run, on_its_own
from streams import frame


def feed_bytewise(decoder: Any, stream: bytes) -> None:
    for i in range(len(stream)):
        decoder.feed(stream[i : i + 1])


STREAMS: dict[str, Callable[[int], bytes]] = {
    "a binary message": lambda n: frame(2, bytes(n)),
    "a text": lambda n: frame(1, "天".encode() * (n // 3)),
    "messages": lambda n: frame(1, b"abc") * (n // 9),
    "fragments": lambda n: frame(1, b"x", fin=False) + frame(0, b"x", fin=False) * (n // 7),
    "empty fragments": lambda n: frame(2, b"", fin=False) + frame(0, b"", fin=False) * (n // 6),
    "pings": lambda n: frame(9, b"x" * 125) * (n // 131 + 1),
}


@on_its_own
@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
@pytest.mark.parametrize("kind", STREAMS)
def test_lines_bytewise(backend: Implementation, kind: str, messages: bool) -> None:
    def work(n: int) -> int:
        stream = STREAMS[kind](n)
        decoder = backend.decoder(messages, "server")
        return lines_run(lambda: feed_bytewise(decoder, stream))

    work(100)
    once, twice = work(3000), work(6000)
    assert twice <= 2.2 * once + 100


@pytest.mark.thread_unsafe(reason="what is traced is all that the process allocates")
@pytest.mark.parametrize("kind", ["a binary message", "a text", "fragments"])
def test_reallocations_bytewise(impl: Implementation, kind: str) -> None:
    """What grows by one byte must not be copied for each byte: its storage moves seldom."""
    tracemalloc: Any = pytest.importorskip("tracemalloc", reason="allocations are not traced here")
    stream = STREAMS[kind](40_000)
    decoder = impl.MessageDecoder("server")
    peaks = 0
    size = 0
    tracemalloc.start()
    try:
        for i in range(len(stream)):
            decoder.feed(stream[i : i + 1])
            if i % 16 == 0:
                now = tracemalloc.get_traced_memory()[0]
                peaks += now > size + 256  # the storage became larger
                size = max(now, size)
    finally:
        tracemalloc.stop()
    assert peaks < 200
