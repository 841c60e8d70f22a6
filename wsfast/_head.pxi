# Heads of HTTP/1.1 messages.

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char *source, Py_ssize_t size, const char *errors)


def find_head_end(data, size_t start, /):
    """Return where the empty line ends, or 0. In full: help(wsfast._fallback.find_head_end)."""
    cdef Source source
    borrow(data, &source, b"data")
    end = wsf_head_end(source.data, source.size, start)
    give_back(&source)
    return end


def split_head(head, /):
    """Take a head apart; None when it is not well-formed. In full: help(wsfast._fallback.split_head)."""
    if not PyBytes_CheckExact(head):
        raise arguments.not_bytes("head", head)
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(head)
    cdef size_t n = <size_t>PyBytes_GET_SIZE(head)
    cdef wsf_head_field_parts parts
    cdef dict fields = {}
    cdef Py_ssize_t count = 0
    cdef size_t at = wsf_head_line(p, n)
    if at == 0:
        return None
    line = PyUnicode_DecodeLatin1(<const char *>p, <Py_ssize_t>at - 2, NULL)
    while not (n - at == 2 and p[at] == 0x0D and p[at + 1] == 0x0A):
        if not wsf_head_field(p + at, n - at, &parts):
            return None
        name = in_small_letters(p + at, parts.name_size)
        value = PyUnicode_DecodeLatin1(
            <const char *>p + at + parts.value, <Py_ssize_t>parts.value_size, NULL
        )
        if name in fields:
            (<list>fields[name]).append(value)
        else:
            fields[name] = [value]
        count += 1
        at += parts.size
    return line, fields, count


cdef object in_small_letters(const uint8_t *name, size_t n):
    cdef PyObject *made = PyUnicode_New(<Py_ssize_t>n, 0x7F)
    cdef uint8_t *out = <uint8_t *>PyUnicode_DATA(made)
    cdef size_t i
    for i in range(n):
        out[i] = name[i] | 0x20 if c"A" <= name[i] <= c"Z" else name[i]
    return wsf_hand_over(made)
