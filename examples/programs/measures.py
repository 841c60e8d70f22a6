"""What the programs measure about themselves."""

from __future__ import annotations

import time
from collections import deque

__all__ = ["Rate", "Samples"]


class Samples:
    """The latest samples of something, and what they come to."""

    def __init__(self, size: int = 300) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        self._values.append(value)

    def summary(self) -> dict[str, float]:
        """Return median, 99th percentile and maximum, by the nearest rank; zeros if there are no samples."""
        ordered = sorted(self._values) or [0.0]
        last = len(ordered) - 1
        return {"p50": ordered[last // 2], "p99": ordered[round(last * 0.99)], "max": ordered[last]}


class Rate:
    """How often something happens in a second, since it was asked the last time."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.perf_counter()

    def add(self, count: int = 1) -> None:
        self._count += count

    def take(self) -> float:
        now = time.perf_counter()
        rate = self._count / max(now - self._since, 1e-9)
        self._count, self._since = 0, now
        return rate
