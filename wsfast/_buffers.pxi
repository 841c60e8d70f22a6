# Bytes in, whatever object holds them.

cdef struct Source:
    const uint8_t *data
    size_t size
    Py_buffer view  # held while `pinned`
    bint pinned
    PyObject *flat  # an owned flat copy of a buffer that is not contiguous, or NULL


cdef inline int borrow(object value, Source *source, const char *name) except -1:
    """Point `source` at the bytes of `value` until give_back(), in C order whatever its layout."""
    source.pinned = False
    source.flat = NULL
    if not PyBytes_CheckExact(value):
        return borrow_buffer(value, source, name)
    source.data = <const uint8_t *>PyBytes_AS_STRING(value)
    source.size = <size_t>PyBytes_GET_SIZE(value)
    return 0


cdef int borrow_buffer(object value, Source *source, const char *name) except -1:
    if not PyObject_CheckBuffer(value):
        raise arguments.not_bytes_like(name.decode(), value)
    try:
        PyObject_GetBuffer(value, &source.view, PyBUF_SIMPLE)
    except (BufferError, ValueError):  # the latter from NumPy
        # Not contiguous, or the exporter refuses altogether and says so again.
        return borrow_flat(value, source, name)
    if source.view.itemsize != 1:
        itemsize = source.view.itemsize
        PyBuffer_Release(&source.view)
        raise arguments.not_single_bytes(name.decode(), itemsize)
    source.pinned = True
    source.data = <const uint8_t *>source.view.buf
    source.size = <size_t>source.view.len
    return 0


cdef int borrow_flat(object value, Source *source, const char *name) except -1:
    cdef Py_buffer view
    PyObject_GetBuffer(value, &view, PyBUF_FULL_RO)
    try:
        if view.itemsize != 1:
            raise arguments.not_single_bytes(name.decode(), view.itemsize)
        flat = PyBytes_FromStringAndSize(NULL, view.len)
        PyBuffer_ToContiguous(PyBytes_AS_STRING(flat), &view, view.len, b"C"[0])
    finally:
        PyBuffer_Release(&view)
    Py_INCREF(flat)
    source.flat = <PyObject *>flat
    source.data = <const uint8_t *>PyBytes_AS_STRING(flat)
    source.size = <size_t>PyBytes_GET_SIZE(flat)
    return 0


cdef inline void give_back(Source *source) noexcept:
    if source.pinned:
        PyBuffer_Release(&source.view)
    Py_XDECREF(source.flat)


cdef int load_key(object mask, wsf_key *key, size_t phase) except -1:
    """Read the four bytes of a masking key."""
    cdef Source source
    if PyBytes_CheckExact(mask) and PyBytes_GET_SIZE(mask) == 4:
        key[0] = wsf_key_load(<const uint8_t *>PyBytes_AS_STRING(mask), phase)
        return 0
    borrow(mask, &source, b"mask")
    try:
        if source.size != 4:
            raise arguments.bad_mask_length(source.size)
        key[0] = wsf_key_load(source.data, phase)
    finally:
        give_back(&source)
    return 0
