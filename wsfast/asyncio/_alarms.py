"""The deadlines of connections: many of them on one timer of the event loop."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._timer import make_timer

if TYPE_CHECKING:
    from ._connection import Connection

    Action = Callable[[Any], object]

__all__ = ["Alarms"]

#: Deadlines nearer than this, in seconds, are kept exactly. Those further away come up to a step late: nobody
#: minds whether a ping is sent after 20.0 seconds or after 20.2, and thousands of connections share a timer.
_NEAR = 5.0
_STEP = 0.25

_current = threading.local()


class Alarms:
    """The deadlines on an event loop. A connection has one at a time: of its handshake, ping or close."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # What the tasks are resumed with that wait for a message.
        self.resumed: asyncio.Future[None] = loop.create_future()
        self.resumed.set_result(None)
        # Who is to be looked at, by the step: when the far deadline is due, or before.
        self.due: dict[int, dict[Connection, None]] = {}
        # Rings at a step, or at none.
        self.timer = make_timer(loop, self._ring)
        self.timer_step: int | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Alarms:
        """Return those of the loop that this thread runs."""
        alarms: Alarms | None = getattr(_current, "alarms", None)
        if alarms is None or alarms.loop is not loop:
            if alarms is not None and alarms.loop.is_closed():
                alarms.timer.close()
            alarms = _current.alarms = cls(loop)
        return alarms

    def set(self, connection: Connection, delay: float, action: Action) -> None:
        """Have ``action`` called with the connection after a while, instead of what was set before.

        Args:
            connection: keeps what was set, as its ``_due``: a timer of its own, a step, or ``None``; and as
                its ``_action``. At the step that is its ``_noted`` it is looked at. Most deadlines are put
                off again and again, and never met: then that step stays.
            delay: seconds; infinity is never.
            action: a plain function.

        """
        due = connection._due
        if due is not None and type(due) is not int:
            due.cancel()  # type: ignore[union-attr]  # a timer
        connection._due = None
        if delay == math.inf:
            return
        if delay < _NEAR:
            connection._due = self.loop.call_later(delay, self._ring_one, connection, action)
            return
        step = connection._due = math.ceil((self.loop.time() + delay) / _STEP)
        connection._action = action
        if connection._noted is None or step < connection._noted:
            self._note(connection, step)

    def clear(self, connection: Connection) -> None:
        """Forget what was set."""
        due, connection._due = connection._due, None
        if due is not None and type(due) is not int:
            due.cancel()  # type: ignore[union-attr]  # a timer
        if connection._noted is not None:
            self._forget(connection, connection._noted)
        if not self.due and self.timer_step is not None:
            # After the last connection nothing is due in the loop.
            self.timer_step = None
            self.timer.stop()

    def _note(self, connection: Connection, step: int) -> None:
        """Look at a connection at a step."""
        if connection._noted is not None:
            self._forget(connection, connection._noted)
        waiting = self.due.get(step)
        if waiting is None:
            self._wait_for(step)
            waiting = self.due[step] = {}
        waiting[connection] = None
        connection._noted = step

    def _forget(self, connection: Connection, step: int) -> None:
        connection._noted = None
        del self.due[step][connection]
        if not self.due[step]:
            del self.due[step]

    def _ring_one(self, connection: Connection, action: Action) -> None:
        connection._due = None
        action(connection)

    def _wait_for(self, step: int) -> None:
        """Have the timer ring at a step, if it does not ring before."""
        if self.timer_step is None or step < self.timer_step:
            self.timer.set(step * _STEP)
            self.timer_step = step

    def _ring(self) -> None:
        """Call what is due."""
        self.timer_step = None
        now = self.loop.time() / _STEP + 0.01  # the loop may be early by the resolution of its clock
        looked_at: list[Connection] = []
        for step in sorted(step for step in self.due if step <= now):
            looked_at += self.due.pop(step)
        for connection in looked_at:
            connection._noted = None
        for connection in looked_at:
            due = connection._due
            if type(due) is not int or connection._noted is not None:
                continue  # another one's action has cleared it, or set it again
            if due > now:
                self._note(connection, due)
                continue
            connection._due = None
            action = connection._action
            try:
                action(connection)
            except Exception as exc:
                context = {"message": f"{action.__qualname__} failed", "exception": exc}
                self.loop.call_exception_handler({**context, "protocol": connection})
        if self.due:
            # An action may have set the timer already, to what is due later.
            self._wait_for(min(self.due))
