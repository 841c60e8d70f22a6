"""Timing one thing against another in the same process: interleaved, with the garbage collector on."""

from __future__ import annotations

import gc
import platform
import statistics
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import wsfast

__all__ = ["KIB", "MIB", "Measured", "Side", "Timed", "call_side", "compare", "machine", "size_name"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Side:
    """One of the things to compare.

    Attributes:
        name: what it is, for the table.
        statement: Python statements that do the work once.
        names: the global names that the statement uses.
        operations: how many operations (calls, messages) the statement does.

    """

    name: str
    statement: str
    names: dict[str, Any] = field(repr=False)
    operations: int = 1

    def timer(self) -> timeit.Timer:
        # timeit switches the garbage collector off; programs run with it on.
        return timeit.Timer(self.statement, "gc.enable()", globals={"gc": gc, **self.names})


class Timed(Protocol):
    """The fixture that times a side with pytest-benchmark, as a member of ``group``.

    ``payload_bytes`` is how many bytes of payload one operation of the side deals with.
    """

    def __call__(self, group: str, side: Side, *, payload_bytes: int) -> None: ...


def call_side(name: str, statement: str, names: dict[str, Any]) -> Side:
    """Time a call ten times a loop, so that the loop itself weighs little."""
    return Side(name, "; ".join([statement] * 10), names, 10)


@dataclass(frozen=True)
class Measured:
    """The outcome of comparing wsfast with the fastest of its peers.

    Attributes:
        peer: the peer that was fastest.
        ours: least time of wsfast, in seconds per operation.
        theirs: least time of the peer, in seconds per operation.
        ratios: of each repeat, the peer's time divided by that of wsfast.

    """

    peer: str
    ours: float
    theirs: float
    ratios: list[float] = field(repr=False)

    @property
    def ratio(self) -> float:
        """How many times faster wsfast is, by the least times."""
        return self.theirs / self.ours

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.ratios), max(self.ratios)


def compare(ours: Side, peers: Sequence[Side], *, repeats: int, duration: float) -> Measured:
    """Time all sides in turn, ``repeats`` times over.

    Args:
        ours: the side of wsfast.
        peers: the others; the one with the least time is compared with.
        repeats: how often each side is timed.
        duration: seconds that each timing takes at least.

    """
    sides = [ours, *peers]
    timers = [side.timer() for side in sides]
    numbers = [loops(timer, duration) for timer in timers]
    times: list[list[float]] = [[] for _ in sides]
    order = list(range(len(sides)))
    for _ in range(repeats):
        for index in order:
            seconds = timers[index].timeit(numbers[index])
            times[index].append(seconds / numbers[index] / sides[index].operations)
        # Whoever went first goes last: a drift of the machine then favours neither.
        order.reverse()
    fastest = min(range(1, len(sides)), key=lambda index: min(times[index]))
    ratios = [theirs / ours for ours, theirs in zip(times[0], times[fastest], strict=True)]
    return Measured(sides[fastest].name, min(times[0]), min(times[fastest]), ratios)


def loops(timer: timeit.Timer, duration: float) -> int:
    """Find how often to run a statement to fill ``duration`` seconds."""
    number = 1
    while True:
        seconds = timer.timeit(number)
        if seconds >= duration:
            return number
        number = max(number + 1, min(number * 10, int(number * duration * 1.1 / max(seconds, 1e-9))))


def size_name(size: int) -> str:
    for unit, factor in [("MiB", MIB), ("KiB", KIB)]:
        if size >= factor:
            return f"{size // factor} {unit}"
    return f"{size} B"


def machine() -> dict[str, str]:
    """Describe where figures were measured."""
    return {
        "cpu": cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "wsfast": f"{wsfast.__version__}, backend {wsfast.backend}, {wsfast.isa}",
    }


def cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
