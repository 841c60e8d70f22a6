"""One timer of an event loop, which costs nothing while it is not due."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable

from .._backend import new_timer, set_timer

__all__ = ["Timer", "make_timer"]

#: The kernel's timer may ring some time early, in seconds: the loop's clock is another one than its.
_EARLY = 0.001


class Timer:
    """A timer of the event loop.

    Args:
        loop: the event loop.
        ring: is called when the timer is due. It may be called before.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self.loop = loop
        self.ring = ring
        self.handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Be due at a time of the loop's clock, and not when it was set to be before."""
        self.stop()
        self.handle = self.loop.call_at(when, self.ring)

    def stop(self) -> None:
        """Be due no more. It can be set again."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def close(self) -> None:
        """Let go of what it has, once the loop is closed."""


class _WatchedTimer(Timer):
    """The same, of the kernel's, which the loop watches as it watches sockets.

    A loop in Python that has any timer reads the clock twice and compares heads and limits in every turn,
    which is as much work as decoding and answering a small message.
    """

    descriptor = -1
    due = False
    when = 0.0
    #: When the kernel's rings: that need not be the time at which this is due, but before.
    armed = math.inf

    def set(self, when: float) -> None:
        if self.descriptor < 0 and not self._watch():
            super().set(when)
            return
        self.due = True
        self.when = when
        if when < self.armed:
            self._arm()

    def _arm(self) -> None:
        set_timer(self.descriptor, self.when - self.loop.time())
        self.armed = self.when

    def _watch(self) -> bool:
        """Have the loop watch a descriptor; whether it does."""
        try:
            descriptor = new_timer()
        except OSError:  # there is no such thing here, or the process has no descriptor left
            return False
        try:
            self.loop.add_reader(descriptor, self._readable)
        except Exception:  # the loop may have a limit of its own; if it is closed, its timers will say so
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def stop(self) -> None:
        super().stop()
        # Connections come and go: it rings once more, and is closed then if it is not in use again.
        self.due = False

    def _readable(self) -> None:
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return  # it was set again in the same turn of the loop
        self.armed = math.inf
        if self.due and self.loop.time() < self.when - _EARLY:
            self._arm()  # it has been put off
        elif self.due:
            self.due = False
            self.ring()
        if not self.due:
            self.loop.remove_reader(self.descriptor)
            self.close()

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        self.armed = math.inf
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


def make_timer(loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> Timer:
    """Return a timer of the kind that suits the event loop.

    Args:
        loop: it may have a clock of its own, as a subclass or where its ``time`` was replaced.
        ring: is called when the timer is due. It may be called before.

    """
    usual = type(loop) is asyncio.SelectorEventLoop and "time" not in vars(loop)
    return (_WatchedTimer if usual else Timer)(loop, ring)
