"""A timer that an event loop watches as it watches sockets: timerfd, which Linux has."""

from __future__ import annotations

import errno
import os
import sys
import time

__all__ = ["new_timer", "set_timer"]

if sys.platform == "linux" and sys.version_info >= (3, 13):

    def new_timer() -> int:
        """Return a descriptor that becomes readable when :func:`set_timer` says; ``os.close()`` ends it.

        Raises:
            OSError: there are no such timers here (in Python without compiled module, before 3.13), or the
                process has too many descriptors.

        """
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def set_timer(descriptor: int, seconds: float, /) -> None:
        """Have it become readable after a while, and until it is read. What was set before is forgotten.

        Args:
            descriptor: what :func:`new_timer` returned.
            seconds: at most 1e9, which is 30 years; more is taken for that.

        Raises:
            OSError: it is no such descriptor.

        """
        if descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        os.timerfd_settime(descriptor, initial=min(max(seconds, 1e-9), 1e9))  # 0 would mean never

else:

    def new_timer() -> int:
        """Raise OSError: there are no such timers here."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def set_timer(descriptor: int, seconds: float, /) -> None:
        """Raise OSError: there are no such timers here."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
