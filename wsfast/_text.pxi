# UTF-8 to str and back.

# Work on this many bytes or more lets other threads run. Letting the GIL go and taking it again costs
# about as much as scanning a few KiB.
cdef enum:
    LET_OTHERS_RUN = 1 << 18


cdef object transcode(const wsf_kernels *k, const uint8_t *data, size_t n, const wsf_text *text):
    """Make the str of n bytes that a scan accepted; `text` is what the scan found out."""
    cdef PyObject *made
    cdef Py_ssize_t chars = <Py_ssize_t>text.chars
    if text.highest <= 0x7F:
        made = PyUnicode_New(chars, 0x7F)
        memcpy(PyUnicode_DATA(made), data, n)
    elif text.highest <= 0xC3:
        made = PyUnicode_New(chars, 0xFF)
        k.utf8_to_ucs1(<uint8_t *>PyUnicode_DATA(made), text.chars, data, n)
    elif text.highest <= 0xEF:
        made = PyUnicode_New(chars, 0xFFFF)
        k.utf8_to_ucs2(<uint16_t *>PyUnicode_DATA(made), text.chars, data, n)
    else:
        made = PyUnicode_New(chars, 0x10FFFF)
        k.utf8_to_ucs4(<uint32_t *>PyUnicode_DATA(made), text.chars, data, n)
    return wsf_hand_over(made)


cdef object text_beyond_ascii(
    const wsf_kernels *k, const uint8_t *data, size_t n, size_t ascii, size_t *valid
):
    """Make the str of n bytes that begin with `ascii` ASCII ones, but are not all ASCII.

    Returns None when they are not UTF-8; *valid is then the length of the longest prefix that is.
    """
    cdef PyObject *made
    cdef wsf_text text
    cdef size_t first = ascii, chars
    while data[first] < 0x80:
        first += 1
    text.chars = first
    text.highest = 0
    if data[first] & 0xFE == 0xC2:
        # It begins as Latin-1 does. If it goes on like that, one pass is enough.
        made = PyUnicode_New(<Py_ssize_t>n, 0xFF)
        try:
            first = k.utf8_to_latin1(<uint8_t *>PyUnicode_DATA(made), &chars, data, n)
            if first == n:
                PyUnicode_Resize(&made, <Py_ssize_t>chars)
                Py_INCREF(<object>made)
                return wsf_hand_over(made)
        finally:
            Py_XDECREF(made)
        text.chars = chars
        text.highest = 0xC3
    valid[0] = first + k.utf8_scan(data + first, n - first, &text)
    if valid[0] != n:
        return None
    return transcode(k, data, n, &text)


cdef object masked_text(const wsf_kernels *k, const uint8_t *source, size_t n, wsf_key key, size_t *fault):
    """Unmask n bytes into a new str.

    Returns None when they are not UTF-8; *fault is then the index of the offending byte, or n when
    they end inside a code point.
    """
    cdef PyObject *made = PyUnicode_New(<Py_ssize_t>n, 0x7F)
    cdef uint8_t *data = <uint8_t *>PyUnicode_DATA(made)
    cdef size_t ascii = k.mask_ascii(data, source, n, key)
    cdef size_t valid
    if ascii == n:
        return wsf_hand_over(made)
    # Not ASCII, so this str will not do, but its storage does for the unmasked bytes.
    try:
        k.mask(data + ascii, source + ascii, n - ascii, key)
        text = text_beyond_ascii(k, data, n, ascii, &valid)
        if text is None:
            if wsf_utf8_tail(data + valid, n - valid, fault) == WSF_TAIL_INVALID:
                fault[0] += valid
            else:
                fault[0] = n
        return text
    finally:
        Py_XDECREF(made)


def decode_utf8(data, /):
    """Decode UTF-8, as bytes.decode() does, and with its UnicodeDecodeError.

    data: a bytes-like object of any length. In full: help(wsfast._fallback.decode_utf8).
    """
    cdef const wsf_kernels *k = wsf_active()
    cdef Source source
    cdef PyObject *made
    cdef size_t ascii, valid
    borrow(data, &source, b"data")
    try:
        if PyBytes_CheckExact(data):
            made = PyUnicode_New(<Py_ssize_t>source.size, 0x7F)
            ascii = k.mask_ascii(<uint8_t *>PyUnicode_DATA(made), source.data, source.size, 0)
            if ascii == source.size:
                return wsf_hand_over(made)
            Py_XDECREF(made)
            text = text_beyond_ascii(k, source.data, source.size, ascii, &valid)
        else:
            # Memory that another thread, or another process, may be writing to. What is transcoded must
            # be what was scanned, so this works on a copy.
            text = masked_text(k, source.data, source.size, 0, &valid)
        if text is None:
            # CPython words the error.
            text = PyBytes_FromStringAndSize(<const char *>source.data, <Py_ssize_t>source.size).decode()
        return text
    finally:
        give_back(&source)


def is_utf8(data, /):
    """Tell whether bytes are UTF-8 text, whole and valid (RFC 3629).

    data: a bytes-like object of any length. In full: help(wsfast._fallback.is_utf8).
    """
    cdef const wsf_kernels *k = wsf_active()
    cdef Source source
    cdef bint valid
    borrow(data, &source, b"data")
    if source.size < LET_OTHERS_RUN:
        valid = k.utf8_valid(source.data, source.size)
    else:
        with nogil:
            valid = k.utf8_valid(source.data, source.size)
    give_back(&source)
    return valid


cdef class Utf8Validator:
    """Validates UTF-8 that arrives in pieces, cut anywhere (RFC 6455 §8.1).

    In full: help(wsfast._fallback.Utf8Validator).
    """

    cdef wsf_utf8_stream stream
    cdef bint valid

    def __cinit__(self):
        self.valid = True

    def __init__(self):
        pass

    def __reduce__(self):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @cython.critical_section
    def feed(self, data, /):
        """Take the next bytes; tell whether all so far can be the beginning of a valid text."""
        cdef Source source
        borrow(data, &source, b"data")
        if self.valid:
            self.valid = wsf_utf8_feed(wsf_active(), &self.stream, source.data, source.size) == source.size
        give_back(&source)
        return self.valid

    @property
    def complete(self):
        """Whether all so far is valid, and ends at a code point boundary."""
        return self.valid and self.stream.held_length == 0

    @cython.critical_section
    def reset(self):
        """Begin a new text."""
        memset(&self.stream, 0, sizeof(self.stream))
        self.valid = True


# ---- str to UTF-8 ------------------------------------------------------------------------------


cdef Py_ssize_t encoded_size(const wsf_kernels *k, str text) except -1:
    """Length of `text` in UTF-8; raises UnicodeEncodeError when it holds a surrogate."""
    cdef PyObject *p = <PyObject *>text
    cdef size_t chars, size
    WSF_READY(text)
    chars = <size_t>PyUnicode_GET_LENGTH(p)
    if PyUnicode_IS_ASCII(p):
        return <Py_ssize_t>chars
    if PyUnicode_KIND(p) == 1:
        size = k.ucs1_utf8_size(<const uint8_t *>PyUnicode_DATA(p), chars)
    elif PyUnicode_KIND(p) == 2:
        size = k.ucs2_utf8_size(<const uint16_t *>PyUnicode_DATA(p), chars)
    else:
        size = k.ucs4_utf8_size(<const uint32_t *>PyUnicode_DATA(p), chars)
    if size == SIZE_MAX:
        text.encode()  # raises, and CPython words the error
    if size > <size_t>PY_SSIZE_T_MAX:
        raise MemoryError
    return <Py_ssize_t>size


cdef void encode_masked(const wsf_kernels *k, uint8_t *target, size_t size, str text, wsf_key key) noexcept:
    """Write `text` as `size` bytes of UTF-8, masked; key 0 leaves them as they are."""
    cdef PyObject *p = <PyObject *>text
    cdef size_t chars = <size_t>PyUnicode_GET_LENGTH(p)
    if PyUnicode_IS_ASCII(p):
        # The storage of an ASCII str is its UTF-8.
        k.mask(target, <const uint8_t *>PyUnicode_DATA(p), size, key)
        return
    if PyUnicode_KIND(p) == 1:
        k.ucs1_to_utf8(target, size, <const uint8_t *>PyUnicode_DATA(p), chars)
    elif PyUnicode_KIND(p) == 2:
        k.ucs2_to_utf8(target, size, <const uint16_t *>PyUnicode_DATA(p), chars)
    else:
        k.ucs4_to_utf8(target, size, <const uint32_t *>PyUnicode_DATA(p), chars)
    if key:
        k.mask(target, target, size, key)
