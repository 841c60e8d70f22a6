"""Memory and time of an attack, in a process of its own: ``python bench/memory.py SCENARIO``.

Prints a line of JSON: "traced", what Python's allocator gave at most (tracemalloc; 0 without ``--trace``);
"held", what of it was in use at most between two reads, when their events were gone; "resident", by how many
bytes the peak of the resident set rose (Linux counts in batches of pages: compare with the scenario
"nothing"); "seconds", how long it took. When the scenario is a kind of idle connection, there are a thousand
of them, and the figures are of one.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import sys
import time
import tracemalloc
from pathlib import Path

# Run from a checkout, measure that checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attacks import ATTACKS, IDLE, idle
from peers import backends

COUNT = 1000
"""How many idle connections are made."""


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


def attack(scenario: str, backend: str, trace: bool) -> dict[str, float]:
    chosen, module = ATTACKS[scenario], backends()[backend]
    # What is loaded at the first use of anything is not the stream's doing.
    chosen.run(module, itertools.islice(chosen.reads(chosen.n), 3))
    chosen.run(module, chosen.reads(min(chosen.n, 1024)))
    reads = chosen.reads(chosen.n)
    gc.collect()
    forget_peak()
    before = peak_resident()
    base = held = traced = 0
    if trace:

        def watch() -> None:
            nonlocal held
            held = max(held, tracemalloc.get_traced_memory()[0])

        tracemalloc.start()
        tracemalloc.reset_peak()
        base = held = tracemalloc.get_traced_memory()[0]
    start = time.perf_counter()
    tally = chosen.run(module, reads, watch if trace else None)
    seconds = time.perf_counter() - start
    if trace:
        traced = tracemalloc.get_traced_memory()[1]
    resident = peak_resident() - before
    if dict(tally) != chosen.outcome(chosen.n):
        raise SystemExit(f"{dict(tally)} came out, not {chosen.outcome(chosen.n)}")
    return {"traced": traced - base, "held": held - base, "resident": resident, "seconds": seconds}


def connections(kind: str, backend: str, trace: bool) -> dict[str, float]:
    module, options = backends()[backend], IDLE[kind]
    kept = [idle(module, **options) for _ in range(3)]
    gc.collect()
    forget_peak()
    before = peak_resident()
    base = held = 0
    if trace:
        tracemalloc.start()
        base = tracemalloc.get_traced_memory()[0]
    start = time.perf_counter()
    kept = [idle(module, **options) for _ in range(COUNT)]
    seconds = time.perf_counter() - start
    if trace:
        gc.collect()
        held = (tracemalloc.get_traced_memory()[0] - base) // len(kept)
    resident = (peak_resident() - before) // len(kept)
    return {"traced": held, "held": held, "resident": resident, "seconds": seconds / len(kept)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and time of an attack, or of idle connections.")
    parser.add_argument("scenario", choices=[*ATTACKS, *IDLE])
    parser.add_argument("--backend", choices=backends(), default=next(iter(backends())))
    parser.add_argument("--trace", action="store_true", help="use tracemalloc, which costs time")
    options = parser.parse_args()
    measure = attack if options.scenario in ATTACKS else connections
    print(json.dumps(measure(options.scenario, options.backend, options.trace)))


if __name__ == "__main__":
    main()
