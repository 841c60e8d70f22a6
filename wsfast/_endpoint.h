/* The methods of Endpoint that are called once a message, entered as _entry.h tells. */
#ifndef WSFAST_ENDPOINT_H
#define WSFAST_ENDPOINT_H

#include "_entry.h"

/* The references to what only an attribute and a variable of ours have; with other threads, nobody knows. */
#ifdef Py_GIL_DISABLED
#define WSF_ALONE -1
#else
#define WSF_ALONE 2
#endif

static PyObject *wsf_send(PyObject *endpoint, PyObject *message, PyObject *text);
static PyObject *wsf_recv(PyObject *endpoint, PyObject *decode);

static PyObject *wsf_send_entry(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                PyObject *names) {
    static char *keywords[] = {(char *)"message", (char *)"text", NULL};
    PyObject *message, *text = Py_None;
    if (n == 1 && names == NULL) {
        return wsf_send(self, args[0], Py_None);
    }
    if (!wsf_parse(args, n, names, "O|O:send", keywords, &message, &text)) {
        return NULL;
    }
    return wsf_send(self, message, text);
}

static PyObject *wsf_recv_entry(PyObject *self, PyObject *const *args, Py_ssize_t n,
                                PyObject *names) {
    static char *keywords[] = {(char *)"decode", NULL};
    PyObject *decode = Py_None;
    if (n == 0 && names == NULL) {
        return wsf_recv(self, Py_None);
    }
    if (!wsf_parse(args, n, names, "|O:recv", keywords, &decode)) {
        return NULL;
    }
    return wsf_recv(self, decode);
}

static PyMethodDef wsf_endpoint_methods[] = {
    {"send", (PyCFunction)(void (*)(void))wsf_send_entry, METH_FASTCALL | METH_KEYWORDS,
     "send($self, message, text=None)\n--\n\n"
     "Send a message, and wait while the peer reads more slowly than it is sent to.\n\n"
     "In full: help(wsfast._fallback.Endpoint.send)."},
    {"recv", (PyCFunction)(void (*)(void))wsf_recv_entry, METH_FASTCALL | METH_KEYWORDS,
     "recv($self, decode=None)\n--\n\n"
     "Return the next message, when there is one.\n\n"
     "In full: help(wsfast._fallback.Endpoint.recv)."},
    {NULL, NULL, 0, NULL},
};

static int wsf_add_methods(PyObject *type, PyMethodDef *methods) {
    for (; methods->ml_name != NULL; methods++) {
        PyObject *method = PyDescr_NewMethod((PyTypeObject *)type, methods);
        int failed = method == NULL || PyDict_SetItemString(((PyTypeObject *)type)->tp_dict,
                                                            methods->ml_name, method) < 0;
        Py_XDECREF(method);
        if (failed) {
            return -1;
        }
    }
    PyType_Modified((PyTypeObject *)type);
    return 0;
}

#endif
