# Masking, masking keys and frames out.

# apply_mask() and encode_frame() themselves, whose arguments are parsed there.
cdef extern from "_entry.h":
    PyMethodDef *wsf_entries


cdef object apply_mask "wsf_apply_mask"(object data, object mask):
    cdef const wsf_kernels *k = wsf_active()
    cdef Source source
    cdef wsf_key key
    cdef uint8_t *target
    borrow(data, &source, b"data")
    try:
        load_key(mask, &key, 0)
        result = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>source.size)
        target = <uint8_t *>PyBytes_AS_STRING(result)
        if source.size < LET_OTHERS_RUN:
            k.mask(target, source.data, source.size, key)
        else:
            with nogil:
                k.mask(target, source.data, source.size, key)
        return result
    finally:
        give_back(&source)


cdef int key_phase(object offset) except -1:
    """The place in the key of the byte that follows `offset` masked ones: 0 to 3."""
    cdef int overflow
    cdef long number
    if PyLong_Check(offset):
        number = PyLong_AsLongAndOverflow(offset, &overflow)
        if number >= 0 and not overflow:
            return <int>(number & 3)
    return arguments.check_offset(offset)


def apply_mask_into(buffer, mask, offset=0):
    """Mask or unmask bytes where they are (RFC 6455 §5.3).

    buffer: writable and C-contiguous. mask: 4 bytes. offset: how many bytes of the same payload were
    masked before. In full: help(wsfast._fallback.apply_mask_into).
    """
    cdef const wsf_kernels *k = wsf_active()
    cdef Py_buffer view
    cdef wsf_key key
    cdef int phase
    if not PyObject_CheckBuffer(buffer):
        raise arguments.not_bytes_like("buffer", buffer)
    PyObject_GetBuffer(buffer, &view, PyBUF_FULL_RO)
    try:
        if view.itemsize != 1:
            raise arguments.not_single_bytes("buffer", view.itemsize)
        if view.readonly:
            raise BufferError("buffer must be writable")
        if not PyBuffer_IsContiguous(&view, b"C"[0]):
            raise BufferError("buffer must be contiguous")
        load_key(mask, &key, 0)
        phase = key_phase(offset)
        key = wsf_key_advance(key, phase)
        if <size_t>view.len < LET_OTHERS_RUN:
            k.mask(<uint8_t *>view.buf, <uint8_t *>view.buf, <size_t>view.len, key)
        else:
            with nogil:
                k.mask(<uint8_t *>view.buf, <uint8_t *>view.buf, <size_t>view.len, key)
    finally:
        PyBuffer_Release(&view)


# ---- Masking keys (RFC 6455 §5.3, §10.3) -------------------------------------------------------


cdef int take_key(wsf_key *key) except -1:
    while not wsf_keys_take(key):
        seed = os.urandom(32)
        if not PyBytes_CheckExact(seed) or PyBytes_GET_SIZE(seed) != 32:
            raise arguments.bad_entropy(32)
        wsf_keys_seed(<const uint8_t *>PyBytes_AS_STRING(seed))
    return 0


def _forget_keys():
    """Drop this thread's keys: a forked child must not use those that its parent will use."""
    wsf_keys_forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_keys)


def mask_key():
    """Return a fresh masking key: 4 bytes that nobody can predict (RFC 6455 §5.3, §10.3)."""
    cdef wsf_key key
    take_key(&key)
    return PyBytes_FromStringAndSize(<const char *>&key, 4)


# ---- Frames out --------------------------------------------------------------------------------


cdef inline object new_frame(uint8_t first, size_t length, bint masked, wsf_key key, uint8_t **payload):
    """Make the bytes of a frame; the header is written, the payload is the caller's to write."""
    cdef size_t header = wsf_header_size(length, masked)
    if length > <size_t>PY_SSIZE_T_MAX - header:
        raise MemoryError
    result = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(header + length))
    cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(result)
    wsf_header_build(target, first, length, masked, key)
    payload[0] = target + header
    return result


cdef inline object text_frame(
    const wsf_kernels *k, uint8_t first, str text, size_t size, bint masked, wsf_key key
):
    """Make a frame of `text`, whose encoded_size() is `size`."""
    cdef uint8_t *target
    result = new_frame(first, size, masked, key, &target)
    encode_masked(k, target, size, text, key)
    return result


cdef inline object bytes_frame(
    const wsf_kernels *k, uint8_t first, Source *source, bint masked, wsf_key key
):
    cdef uint8_t *target
    result = new_frame(first, source.size, masked, key, &target)
    k.mask(target, source.data, source.size, key)
    return result


cdef inline int opcode_number(object opcode, bint fin, bint rsv1) except -1:
    cdef int overflow
    cdef long number
    if PyLong_Check(opcode):
        number = PyLong_AsLongAndOverflow(opcode, &overflow)
        if 0 <= number <= 2 and not overflow:
            return <int>number
    # A control frame, or a mistake.
    return arguments.check_opcode(opcode, fin, rsv1)


cdef int choose_key(PyObject *mask, bint *masked, wsf_key *key) except -1:
    """Read the `mask` argument of encode_frame()."""
    masked[0] = True
    key[0] = 0
    if mask == NULL or mask == Py_False:
        masked[0] = False
    elif mask == Py_True:
        take_key(key)
    elif PyObject_CheckBuffer(<object>mask):
        load_key(<object>mask, key, 0)
    else:
        raise arguments.bad_mask_type(<object>mask)
    return 0


cdef object encode_frame "wsf_encode_frame"(
    object opcode, PyObject *payload_or_null, PyObject *fin, PyObject *rsv1, PyObject *mask
):
    cdef const wsf_kernels *k = wsf_active()
    cdef bint final = fin == NULL or <object>fin
    cdef bint compressed = rsv1 != NULL and <object>rsv1
    cdef bint masked
    cdef int number = opcode_number(opcode, final, compressed)
    cdef uint8_t first = <uint8_t>(final << 7 | compressed << 6 | number)
    cdef bint control = number >= 8
    cdef wsf_key key
    cdef Source source
    cdef size_t size
    cdef object payload = b"" if payload_or_null == NULL else <object>payload_or_null
    if isinstance(payload, str):
        size = <size_t>encoded_size(k, <str>payload)
        if control and size > 125:
            raise arguments.control_frame_too_long(number, size)
        choose_key(mask, &masked, &key)
        return text_frame(k, first, <str>payload, size, masked, key)
    if not PyObject_CheckBuffer(payload):
        raise arguments.not_text_or_bytes_like("payload", payload)
    borrow(payload, &source, b"payload")
    try:
        if control and source.size > 125:
            raise arguments.control_frame_too_long(number, source.size)
        choose_key(mask, &masked, &key)
        return bytes_frame(k, first, &source, masked, key)
    finally:
        give_back(&source)
