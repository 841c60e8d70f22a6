"""Peak memory of a decoder under attack, in a process of its own: ``python bench/memory.py SCENARIO``.

Prints a line of JSON: "traced", what Python's allocator gave at most (tracemalloc; 0 without ``--trace``);
"resident", by how many bytes the peak of the resident set rose (Linux counts in batches of pages: compare
with the scenario "nothing"); "seconds", how long it took.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

import wsfast

MIB = 1024 * 1024
FRAGMENTS = 10**6
TINY_FRAME = b"\x00\x81\x01\x02\x03\x04\x60"
"""A masked continuation frame with one byte of payload, "a"."""


def fragments() -> Iterator[bytes]:
    """A million fragments of one byte, in reads of 64 KiB; the last one ends the message."""
    yield b"\x01" + TINY_FRAME[1:]
    remaining = FRAGMENTS - 2
    read = TINY_FRAME * (65536 // len(TINY_FRAME))
    while remaining:
        count = min(remaining, 65536 // len(TINY_FRAME))
        yield read if count * len(TINY_FRAME) == len(read) else TINY_FRAME * count
        remaining -= count
    yield b"\x80" + TINY_FRAME[1:]


def declared(length: int) -> Iterator[bytes]:
    """The header of a frame of ``length`` bytes, and nothing after it."""
    yield b"\x82\xff" + length.to_bytes(8, "big") + b"\x01\x02\x03\x04"


SCENARIOS: dict[str, tuple[Callable[[], Iterator[bytes]], int | None]] = {
    "nothing": (lambda: iter([b""]), MIB),
    "fragments": (fragments, 4 * MIB),
    "header-2^62": (lambda: declared(2**62), None),
    "header-limit": (lambda: declared(MIB), MIB),
}
"""The reads to feed, and the size limit of the decoder."""


def peak_resident() -> int:
    """Peak of the resident set in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            # Unlike getrusage's, this peak does not go back to the parent process.
            [line] = [line for line in status if line.startswith("VmHWM")]
            return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Make the resident set's peak what it is now, where the system can (Linux)."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as control:
            control.write("5")
    except OSError:
        pass


def run(scenario: str) -> tuple[int, float]:
    """Return the length of what was decoded and the seconds it took."""
    make, max_size = SCENARIOS[scenario]
    start = time.perf_counter()
    decoder = wsfast.MessageDecoder("server", max_size=max_size)
    length = 0
    for read in make():
        for message in decoder.feed(read):
            length += len(message)
    return length, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of a decoder under attack.")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--trace", action="store_true", help="use tracemalloc, which costs time")
    options = parser.parse_args()
    # What is loaded at the first use of anything is not the stream's doing.
    make, max_size = SCENARIOS[options.scenario]
    decoder = wsfast.MessageDecoder("server", max_size=max_size)
    for read in itertools.islice(make(), 3):
        decoder.feed(read)
    del decoder
    forget_peak()
    before = peak_resident()
    if options.trace:
        tracemalloc.start()
        tracemalloc.reset_peak()
        base = tracemalloc.get_traced_memory()[0]
    length, seconds = run(options.scenario)
    traced = tracemalloc.get_traced_memory()[1] - base if options.trace else 0
    expected = FRAGMENTS if options.scenario == "fragments" else 0
    if length != expected:
        raise SystemExit(f"decoded {length} bytes, not {expected}")
    print(json.dumps({"traced": traced, "resident": peak_resident() - before, "seconds": seconds}))


if __name__ == "__main__":
    main()
