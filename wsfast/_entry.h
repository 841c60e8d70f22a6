/*
 * The two functions that are called once a message, entered without Cython's argument parsing.
 *
 * Cython looks its module state up for each keyword name that a function declares, on every call, with two
 * atomic operations each since Python 3.12. For a 64-byte frame that would be a third of the time. Here the
 * usual calls go straight to the implementation; whatever else a caller writes is parsed by CPython.
 */
#ifndef WSFAST_ENTRY_H
#define WSFAST_ENTRY_H

#include <Python.h>

/* Implemented in _encoder.pxi. NULL stands for an argument that was left out. */
static PyObject *wsf_apply_mask(PyObject *data, PyObject *mask);
static PyObject *wsf_encode_frame(PyObject *opcode, PyObject *payload, PyObject *fin,
                                  PyObject *rsv1, PyObject *mask);

/* Parses the arguments of a vector call as PyArg_ParseTupleAndKeywords() does. */
static int wsf_parse(PyObject *const *args, Py_ssize_t n, PyObject *names, const char *format,
                     char **keywords, ...) {
    PyObject *positional = PyTuple_New(n);
    PyObject *named = PyDict_New();
    int parsed = 0;
    va_list targets;
    va_start(targets, keywords);
    if (positional != NULL && named != NULL) {
        const Py_ssize_t name_count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
        Py_ssize_t i;
        for (i = 0; i < n; i++) {
            Py_INCREF(args[i]);
            PyTuple_SET_ITEM(positional, i, args[i]);
        }
        for (i = 0; i < name_count; i++) {
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(names, i), args[n + i]) < 0) {
                break;
            }
        }
        /* The objects stay alive after this: `args` holds them, not only the tuple and the dict. */
        parsed = i == name_count &&
                 PyArg_VaParseTupleAndKeywords(positional, named, format, keywords, targets);
    }
    va_end(targets);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return parsed;
}

static PyObject *wsf_apply_mask_entry(PyObject *module, PyObject *const *args, Py_ssize_t n,
                                      PyObject *names) {
    static char *keywords[] = {(char *)"data", (char *)"mask", NULL};
    PyObject *data, *mask;
    (void)module;
    if (n == 2 && names == NULL) {
        return wsf_apply_mask(args[0], args[1]);
    }
    if (!wsf_parse(args, n, names, "OO:apply_mask", keywords, &data, &mask)) {
        return NULL;
    }
    return wsf_apply_mask(data, mask);
}

static PyObject *wsf_encode_frame_entry(PyObject *module, PyObject *const *args, Py_ssize_t n,
                                        PyObject *names) {
    static char *keywords[] = {(char *)"opcode", (char *)"payload", (char *)"fin",
                               (char *)"rsv1",   (char *)"mask",    NULL};
    PyObject *opcode, *payload = NULL, *fin = NULL, *rsv1 = NULL, *mask = NULL;
    (void)module;
    if (n == 2) {
        const Py_ssize_t name_count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
        Py_ssize_t i;
        for (i = 0; i < name_count; i++) {
            PyObject *name = PyTuple_GET_ITEM(names, i);
            PyObject *value = args[n + i];
            if (PyUnicode_CompareWithASCIIString(name, "mask") == 0) {
                mask = value;
            } else if (PyUnicode_CompareWithASCIIString(name, "fin") == 0) {
                fin = value;
            } else if (PyUnicode_CompareWithASCIIString(name, "rsv1") == 0) {
                rsv1 = value;
            } else {
                break;
            }
        }
        if (i == name_count) {
            return wsf_encode_frame(args[0], args[1], fin, rsv1, mask);
        }
    }
    if (!wsf_parse(args, n, names, "O|O$OOO:encode_frame", keywords, &opcode, &payload, &fin, &rsv1,
                   &mask)) {
        return NULL;
    }
    return wsf_encode_frame(opcode, payload, fin, rsv1, mask);
}

static PyMethodDef wsf_entries[] = {
    {"apply_mask", (PyCFunction)(void (*)(void))wsf_apply_mask_entry, METH_FASTCALL | METH_KEYWORDS,
     "apply_mask(data, mask)\n--\n\n"
     "Return bytes masked, or unmasked (RFC 6455 §5.3).\n\n"
     "data: a bytes-like object of any length; it is copied. mask: 4 bytes.\n"
     "In full: help(wsfast._fallback.apply_mask)."},
    {"encode_frame", (PyCFunction)(void (*)(void))wsf_encode_frame_entry,
     METH_FASTCALL | METH_KEYWORDS,
     "encode_frame(opcode, payload=b'', *, fin=True, rsv1=False, mask=False)\n--\n\n"
     "Return a frame as it goes over the wire (RFC 6455 §5.2).\n\n"
     "opcode: an Opcode. payload: a str or a bytes-like object. mask: True for a fresh key, 4 "
     "bytes\n"
     "for that key, False for none. In full: help(wsfast._fallback.encode_frame)."},
    {NULL, NULL, 0, NULL},
};

#endif
