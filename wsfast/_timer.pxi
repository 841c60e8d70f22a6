# A timer that an event loop watches as it watches sockets.

cdef extern from "_timer.h":
    int wsf_timer_new() noexcept
    int wsf_timer_set(int descriptor, double seconds) noexcept

cdef extern from "Python.h":
    object PyErr_SetFromErrno(object kind)


def new_timer():
    """Return a descriptor that becomes readable when set_timer() says.

    In full: help(wsfast._fallback.new_timer).
    """
    cdef int descriptor = wsf_timer_new()
    if descriptor < 0:
        PyErr_SetFromErrno(OSError)
    return descriptor


def set_timer(int descriptor, double seconds, /):
    """Have it become readable after a while. In full: help(wsfast._fallback.set_timer)."""
    if wsf_timer_set(descriptor, min(max(seconds, 0.0), 1e9)) < 0:
        PyErr_SetFromErrno(OSError)
