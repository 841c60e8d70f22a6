# Whole messages off the front of a buffer, made into what another library queues.

cdef extern from "Python.h":
    object PyByteArray_FromStringAndSize(const char *source, Py_ssize_t size)
    char *PyByteArray_AS_STRING(object value) noexcept
    Py_ssize_t PyByteArray_GET_SIZE(object value) noexcept
    int PyByteArray_Resize(object value, Py_ssize_t size) except -1
    Py_ssize_t PySequence_Size(object value) except -1
    object PySequence_GetItem(object value, Py_ssize_t i)
    void PyObject_GC_UnTrack(PyObject *value) noexcept
    Py_ssize_t PyList_GET_SIZE(object value) noexcept
    PyObject *PyList_GET_ITEM(object value, Py_ssize_t i) noexcept
    int PyList_Append(object target, object item) except -1
    PyTypeObject *Py_TYPE(object value) noexcept
    Py_ssize_t PyTuple_GET_SIZE(object value) noexcept
    PyObject *PyTuple_GET_ITEM(object value, Py_ssize_t i) noexcept


cdef class MessageTaker:
    """Takes whole messages off the front of a buffer; what is not plain is left to somebody else.

    In full: help(wsfast._fallback.MessageTaker).
    """

    cdef object text, binary, ping, pong
    cdef object inflate
    cdef uint64_t limit
    cdef int masked  # -1: either way
    cdef bint decode
    cdef Py_ssize_t overhead
    # What the last call took: bytes, what its entries add up to, data frames.
    cdef size_t used
    cdef Py_ssize_t taken
    cdef readonly Py_ssize_t frames
    # Whether there was a data frame ever.
    cdef readonly bint begun
    # The fragmented message under way: its opcode, or -1.
    cdef int _opcode
    cdef public bint compressed
    cdef object _partial

    @cython.critical_section
    def __init__(
        self,
        text,
        binary,
        ping=None,
        pong=None,
        *,
        masked=None,
        max_size=None,
        inflate=None,
        decode=True,
        overhead=0,
    ):
        self.set_up(text, binary, ping, pong, max_size)
        self.masked = -1 if masked is None else 1 if masked else 0
        self.overhead = overhead
        self.inflate = inflate
        self.decode = decode

    cdef int set_up(self, text, binary, ping, pong, max_size) except -1:
        self.limit = arguments.check_max_size(max_size)
        self.text = arguments.check_template("text", text)
        self.binary = arguments.check_template("binary", binary)
        self.ping = None if ping is None else arguments.check_template("ping", ping)
        self.pong = None if pong is None else arguments.check_template("pong", pong)
        self._opcode = -1
        self.compressed = self.begun = False
        self._partial = bytearray()
        return 0

    def __reduce__(self):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def opcode(self):
        """The opcode of the fragmented message under way, or -1."""
        return self._opcode

    @opcode.setter
    def opcode(self, value):
        self._opcode = -1 if value < 0 else value

    @property
    def partial(self):
        """The payloads of the fragments so far."""
        return self._partial

    @partial.setter
    def partial(self, value):
        self._partial = arguments.check_bytearray("partial", value)

    @cython.critical_section
    def need(self, data, start=0, /):
        """Return the size of the frame at `start`; of what must be there to tell; 0 if take() would not."""
        cdef Source source
        cdef wsf_header header
        cdef size_t begin = <size_t>buffer_offset(start)
        if self.text is None:
            raise RuntimeError("__init__() was not called")
        borrow(data, &source, b"data")
        begin = min(begin, source.size)
        size = self.measure(source.data + begin, source.size - begin, &header)
        give_back(&source)
        return size

    @cython.critical_section
    def take(self, data, start, room, entries, /):
        """Take messages; return where the rest begins, what they add up to, and how many data frames."""
        return self.take_onto(data, buffer_offset(start), room, entries)

    cdef object take_onto(self, object data, size_t begin, Py_ssize_t room, object target):
        cdef Source source
        cdef list entries = arguments.check_list("entries", target)
        borrow(data, &source, b"data")
        try:
            begin = min(begin, source.size)
            self.run(source.data + begin, source.size - begin, room, entries)
            return begin + self.used, self.taken, self.frames
        finally:
            give_back(&source)

    @cython.critical_section
    cdef int take_bytes_onto(self, bytes data, Py_ssize_t room, list entries) except -1:
        return self.run(
            <const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), room, entries
        )

    cdef int run(self, const uint8_t *p, size_t n, Py_ssize_t room, list entries) except -1:
        """Take messages from n bytes; `used`, `taken` and `frames` tell how far it went."""
        cdef wsf_header header
        cdef uint64_t size
        self.used = self.taken = self.frames = 0
        if self.text is None:
            raise RuntimeError("__init__() was not called")
        while n and self.taken <= room:
            size = self.measure(p, n, &header)
            if size == 0 or size > <uint64_t>n:
                break
            self.take_frame(&header, p + header.size, entries)
            if not header.first & 0x08:
                self.frames += 1
                self.begun = True
            self.used += size
            p += size
            n -= size
        return 0

    cdef bint fits(self, uint8_t first, uint8_t second) noexcept:
        """Tell whether a frame may begin like this here."""
        cdef uint8_t opcode = first & 0x0F
        if first & 0x30 or (self.masked >= 0 and second >> 7 != self.masked):
            return False
        if opcode == 1 or opcode == 2:
            return self._opcode < 0 and (not first & 0x40 or self.inflate is not None)
        if first & 0x40:
            return False
        if opcode == 0:
            return self._opcode >= 0
        if opcode == 9 or opcode == 10:
            return (self.ping if opcode == 9 else self.pong) is not None and first & 0x80 and (
                second & 0x7F <= 125
            )
        return False

    cdef uint64_t measure(self, const uint8_t *p, size_t n, wsf_header *header) noexcept:
        """What need() returns. The header is complete if that is not more than n."""
        cdef wsf_header_result result
        cdef uint64_t limit = self.limit
        cdef size_t sized
        if n < 2:
            return 2
        if not self.fits(p[0], p[1]):
            return 0
        result = wsf_header_parse(p, n, header)
        if result == WSF_HEADER_INCOMPLETE:
            sized = 2 if p[1] & 0x7F < 126 else 4 if p[1] & 0x7F == 126 else 10
            if n < sized:
                return sized
        elif result != WSF_HEADER_OK:
            return 0
        if not p[0] & 0x08:
            if not p[0] & 0x0F or self._opcode >= 0:
                limit -= min(limit, <uint64_t>PyByteArray_GET_SIZE(self._partial))
            if header.length > limit:
                return 0
        if result == WSF_HEADER_INCOMPLETE:
            return sized + 4
        return header.size + header.length

    cdef int take_frame(self, const wsf_header *header, const uint8_t *p, list entries) except -1:
        cdef uint8_t first = header.first
        cdef size_t n = <size_t>header.length
        cdef wsf_key key = header.key
        cdef const wsf_kernels *k = wsf_active()
        cdef int opcode = first & 0x0F
        cdef bint compressed = first & 0x40 != 0
        cdef object payload = None
        if opcode & 0x08:
            if header.masked:
                payload = PyByteArray_FromStringAndSize(NULL, <Py_ssize_t>n)
                k.mask(<uint8_t *>PyByteArray_AS_STRING(payload), p, n, key)
            else:
                payload = PyBytes_FromStringAndSize(<const char *>p, <Py_ssize_t>n)
            return self.add(self.ping if opcode == 9 else self.pong, payload, n, entries)
        if not (opcode and first & 0x80):
            self.extend_partial(p, n, key)
            if opcode:
                self._opcode = opcode
                self.compressed = compressed
            if not first & 0x80:
                return 0
            opcode = self._opcode
            compressed = self.compressed
            self._opcode = -1
            payload = PyBytes_FromStringAndSize(
                PyByteArray_AS_STRING(self._partial), PyByteArray_GET_SIZE(self._partial)
            )
            PyByteArray_Resize(self._partial, 0)
        elif compressed:
            payload = unmasked(k, p, n, key)
        if compressed:
            payload = self.inflate(payload)
            if not PyBytes_CheckExact(payload):
                raise arguments.not_inflated_bytes(payload)
        if payload is not None:
            p = <const uint8_t *>PyBytes_AS_STRING(payload)
            n = <size_t>PyBytes_GET_SIZE(payload)
            key = 0
        if opcode == 1 and self.decode:
            return self.add(self.text, self.decoded(k, p, n, key), n, entries)
        if payload is None:
            payload = unmasked(k, p, n, key)
        return self.add(self.text if opcode == 1 else self.binary, payload, n, entries)

    cdef object decoded(self, const wsf_kernels *k, const uint8_t *p, size_t n, wsf_key key):
        cdef size_t fault
        text = masked_text(k, p, n, key, &fault)
        if text is None:
            text = unmasked(k, p, n, key).decode()  # raises, and CPython words the error
        return text

    cdef int extend_partial(self, const uint8_t *p, size_t n, wsf_key key) except -1:
        cdef Py_ssize_t before = PyByteArray_GET_SIZE(self._partial)
        if n:
            PyByteArray_Resize(self._partial, before + <Py_ssize_t>n)
            wsf_active().mask(<uint8_t *>PyByteArray_AS_STRING(self._partial) + before, p, n, key)
        return 0

    cdef int add(self, object template, object payload, size_t n, list entries) except -1:
        cdef Py_ssize_t i, fields = PyTuple_GET_SIZE(template)
        made = wsf_new_namedtuple(Py_TYPE(template), fields)
        for i in range(fields):
            wsf_set_field(made, i, payload if i == 1 else <object>PyTuple_GET_ITEM(template, i))
        # The collector need not look at what leads to no other container but those of the template.
        PyObject_GC_UnTrack(<PyObject *>made)
        entry = (made, n)
        PyObject_GC_UnTrack(<PyObject *>entry)
        PyList_Append(entries, entry)
        self.taken += <Py_ssize_t>n + self.overhead
        return 0


cdef class MessageQueue:
    """What has to be quick about a queue of messages that pauses its source: the way out.

    In full: help(wsfast._fallback.MessageQueue).
    """

    cdef public object _buffer
    cdef public object _get_buffer
    cdef public object _put_buffer
    cdef public object _waiter
    cdef public object _protocol
    cdef public object _stalled_reader
    cdef public Py_ssize_t _size
    cdef public Py_ssize_t _limit

    def feed(self, MessageTaker taker not None, bytes data not None, /):
        """Put in what `taker` takes off the front of `data`; return where the rest begins."""
        cdef list entries = []
        try:
            taker.take_bytes_onto(data, self._limit - self._size, entries)
        except BaseException:
            self.put_all(entries, taker.taken)
            raise
        self.put_all(entries, taker.taken)
        return taker.used

    def put(self, entries, size, /):
        """Put in entries that add up to `size`, wake who waits for them, and pause the source if need be."""
        self.put_all(entries, size)

    cdef int put_all(self, list entries, Py_ssize_t size) except -1:
        cdef Py_ssize_t n = PyList_GET_SIZE(entries)
        if n == 0:
            return 0
        if n == 1:
            self._put_buffer(<object>PyList_GET_ITEM(entries, 0))
        else:
            self._buffer.extend(entries)
        self._size += size
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._size > self._limit and not self._protocol._reading_paused:
            self._protocol.pause_reading()
        return 0

    @cython.critical_section
    def pop_plain(self, kinds, overhead, /):
        """Return the next message if it is of these kinds and nobody waits for its room, or None."""
        return self.pop(kinds, overhead)

    cdef object pop(self, tuple kinds, Py_ssize_t overhead):
        cdef PyObject *kind
        cdef Py_ssize_t i, left
        if PySequence_Size(self._buffer) == 0:
            return None
        entry = PySequence_GetItem(self._buffer, 0)
        # Other code may add to the queue too: a pair, whose first half is a tuple with a kind in front.
        if not isinstance(entry, tuple) or PyTuple_GET_SIZE(entry) != 2:
            return None
        message = <object>PyTuple_GET_ITEM(entry, 0)
        if not isinstance(message, tuple) or PyTuple_GET_SIZE(message) == 0:
            return None
        kind = PyTuple_GET_ITEM(message, 0)
        for i in range(PyTuple_GET_SIZE(kinds)):
            if kind == PyTuple_GET_ITEM(kinds, i):
                break
        else:
            return None
        left = self._size - <Py_ssize_t><object>PyTuple_GET_ITEM(entry, 1) - overhead
        if self._stalled_reader is not None:
            if left <= self._limit // 2:
                return None
        elif left < self._limit and self._protocol._reading_paused:
            return None
        self._get_buffer()
        self._size = left
        return message
