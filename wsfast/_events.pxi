# What connections tell.

cdef extern from "Python.h":
    int PyObject_GenericSetAttr(object owner, object name, object value) except -1


def set_fields(event, tuple values not None, /):
    """Set the fields of a new event. In full: help(wsfast._fallback.set_fields)."""
    cdef tuple names = type(event).__match_args__
    cdef Py_ssize_t i
    if len(names) != len(values):
        raise ValueError("an event has one value for each field")
    for i in range(len(names)):
        PyObject_GenericSetAttr(event, names[i], values[i])
