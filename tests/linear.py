"""Work in proportion to the input, told by the lines of Python that run or by a clock."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

# The time of this thread alone, where that clock is fine enough: others may have the processor meanwhile.
_fine = time.get_clock_info("thread_time").resolution <= 1e-6
clock = time.thread_time if _fine else time.perf_counter

#: For tests that measure: threads at work at the same time disturb the tracing of lines.
on_its_own = pytest.mark.thread_unsafe(reason="what is measured is this thread's work")
#: For tests that ask a clock, which a busy machine makes lie: run with --clock alone.
by_the_clock = pytest.mark.clock


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python `work` runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def check_linear(prepare: Callable[[int], Callable[[], object]], size: int, noise: float = 5e-6) -> None:
    """Fail if doubling the work three times, up to `2 * size`, takes 2.5 times as long each time.

    `prepare(size)` returns the work to measure. Over three doublings what is linear takes 8 times as
    long, what is quadratic 64 times, and the limit is 15.6: caches and allocators, which have their steps
    somewhere between, do not decide. What counts is the shortest time of each, as long as it takes to see
    it: work that is not linear never gets there. Less than `noise` seconds count as that.
    """
    sizes = (size // 4, 2 * size)
    limit = 2.5**3
    best = [float("inf")] * 2
    collecting = gc.isenabled()
    gc.disable()
    try:
        for attempt in range(50):
            for i, n in enumerate(sizes):
                work = prepare(n)
                start = clock()
                work()
                best[i] = min(best[i], clock() - start)
            if attempt and best[1] <= limit * max(best[0], noise):
                return
    finally:
        if collecting:
            gc.enable()
    pytest.fail(f"{best[1] / best[0]:.2f} times as long for {sizes[1]} as for {sizes[0]}")
