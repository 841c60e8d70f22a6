# cython: language_level=3, binding=False
"""The compiled backend of wsfast: the names of its pure-Python twin, over the kernels in csrc/.

``wsfast._fallback`` documents every name in full; what is here returns and raises the same. The parts:

- ``_buffers.pxi``: bytes in, whatever object holds them
- ``_text.pxi``: UTF-8 to ``str`` and back
- ``_encoder.pxi``: masking, masking keys and frames out
- ``_lent.pxi``: memory to read into
- ``_decoder.pxi``: frames and messages in
- ``_channel.pxi``: the data phase of a connection
- ``_take.pxi``, ``_split.pxi``: whole messages, and frames, out of another library's buffer
- ``_taker.pxi``: whole messages, made into what another library queues
- ``_endpoint.pxi``: between a protocol of an event loop and the tasks that use it
- ``_timer.pxi``: a timer that an event loop can watch
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FULL_RO,
    PyBUF_SIMPLE,
    PyBuffer_FillInfo,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyBuffer_ToContiguous,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport SIZE_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from wsfast._kernels cimport *

import os
import sys
from operator import index as _index

from wsfast import arguments, rules
from wsfast.errors import ProtocolError
from wsfast.frames import Frame, FrameHeader, Opcode

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030C0000
        /* Every str is ready since PEP 623. */
        #define WSF_READY(s) 0
    #else
        #define WSF_READY(s) PyUnicode_READY(s)
    #endif
    """
    int WSF_READY(str s) except -1

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    bint PyUnicode_CheckExact(PyObject *value) noexcept
    bint PyLong_Check(object value) noexcept
    bint PyLong_CheckExact(object value) noexcept
    long PyLong_AsLongAndOverflow(object value, int *overflow) except? -1
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    PyObject *PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar) except NULL
    int PyUnicode_Resize(PyObject **text, Py_ssize_t size) except -1
    void *PyUnicode_DATA(PyObject *text) noexcept
    int PyUnicode_KIND(PyObject *text) noexcept
    bint PyUnicode_IS_ASCII(PyObject *text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text) noexcept
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *source, Py_ssize_t size) except NULL
    char *bytes_data "PyBytes_AS_STRING"(PyObject *value) noexcept
    int resize_bytes "_PyBytes_Resize"(PyObject **value, Py_ssize_t size) except -1
    object PyMemoryView_FromObject(object exporter)
    PyObject *Py_True
    PyObject *Py_False
    ctypedef struct PyMethodDef:
        pass
    int PyModule_AddFunctions(object module, PyMethodDef *functions) except -1

cdef extern from *:
    """
    /* A str or bytes that was made here and is whole: hand its only reference on. */
    static inline PyObject *wsf_hand_over(PyObject *owned) { return owned; }

    /* An instance of a class made by namedtuple(), for n fields that the caller fills in. */
    static PyObject *wsf_new_namedtuple(PyTypeObject *type, Py_ssize_t n) {
    #if PY_VERSION_HEX < 0x03100000
        PyObject *made = type->tp_alloc(type, n);
    #if PY_VERSION_HEX >= 0x030E0000
        if (made != NULL) {
            ((PyTupleObject *)made)->ob_hash = -1; /* not computed yet */
        }
    #endif
        return made;
    #else
        /* A Python whose tuples may hold more than this knows of: let it make them. */
        PyObject *fields = PyTuple_New(n), *arguments, *made = NULL;
        Py_ssize_t i;
        if (fields == NULL) {
            return NULL;
        }
        for (i = 0; i < n; i++) {
            PyTuple_SET_ITEM(fields, i, Py_NewRef(Py_None));
        }
        arguments = PyTuple_Pack(1, fields);
        Py_DECREF(fields);
        if (arguments != NULL) {
            made = PyTuple_Type.tp_new(type, arguments, NULL);
            Py_DECREF(arguments);
        }
        return made;
    #endif
    }

    static inline void wsf_set_field(PyObject *made, Py_ssize_t i, PyObject *value) {
        PyObject *before = PyTuple_GET_ITEM(made, i);
        Py_INCREF(value);
        PyTuple_SET_ITEM(made, i, value);
        Py_XDECREF(before);
    }
    """
    object wsf_hand_over(PyObject *owned)
    object wsf_new_namedtuple(PyTypeObject *type, Py_ssize_t n)
    void wsf_set_field(object made, Py_ssize_t i, object value) noexcept


# In a function, since Cython keeps the variables of a module's comprehensions in C, which subinterpreters
# would share.
cdef tuple opcode_table():
    table = [None] * 16
    for opcode in Opcode:
        table[opcode] = opcode
    return tuple(table)


# Opcode members by number; None where there is none.
_opcodes = opcode_table()

include "_buffers.pxi"
include "_text.pxi"
include "_encoder.pxi"
include "_lent.pxi"
include "_decoder.pxi"
include "_take.pxi"
include "_channel.pxi"
include "_split.pxi"
include "_taker.pxi"
include "_endpoint.pxi"
include "_timer.pxi"
include "_head.pxi"
include "_events.pxi"

PyModule_AddFunctions(sys.modules[__name__], wsf_entries)

# ---- Kernel sets -------------------------------------------------------------------------------


def available_isas():
    """Return the names of the kernel sets that this CPU can run, best first."""
    cdef const wsf_kernels *tables[8]
    cdef size_t count = wsf_available(tables, 8)
    return tuple([tables[i].name.decode() for i in range(count)])


def _select(name):
    """Make the named kernel set the active one for the whole process (tests do)."""
    global isa
    cdef bytes encoded = name.encode("utf-8", "surrogateescape")
    if wsf_select(encoded) == NULL:
        raise ImportError(
            f"WSFAST_ISA={name} is unknown or not supported by this CPU; available:"
            f" {', '.join(available_isas())}, python"
        )
    isa = wsf_active().name.decode()


isa = wsf_active().name.decode()
if os.environ.get("WSFAST_ISA"):
    _select(os.environ["WSFAST_ISA"])
