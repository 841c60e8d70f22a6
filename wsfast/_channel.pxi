# The data phase of a connection (RFC 6455 §5, §6): whole messages in and out without a call into Python.

cdef class Channel(_Decoder):
    """What wsfast.Connection is built on: the paths that nearly all traffic takes.

    Everything that is rare is left to methods of the subclass. In full: help(wsfast._fallback.Channel).
    """

    # Whether frames are decoded; otherwise input goes to _receive_otherwise().
    cdef public bint _receiving
    # Whether a whole message goes out as it is; otherwise output goes to _send().
    cdef public bint _sending
    # Whether this side has something to say by itself, which _take_due() returns.
    cdef public bint _due
    # While the head of a handshake is gathered: takes a piece of it and returns true, or leaves it and
    # returns false. Otherwise None.
    cdef public object _gather
    # Counts the calls that decode frames.
    cdef public unsigned long _reads
    # Messages of this size and more go to _send(), which compresses them.
    cdef Py_ssize_t threshold
    cdef bint masking

    def __init__(self, role, max_size):
        self.set_up(role, max_size)
        self.to_messages = True
        self.masking = not self.masked
        self.inflate = None
        self.allowed_rsv = 0
        self.threshold = PY_SSIZE_T_MAX
        self.halted = False
        self._gather = None
        self._receiving = self._sending = self._due = False
        self.leave()

    @cython.critical_section
    def _open(self, inflate=None, threshold=None):
        """Begin the data phase."""
        self.inflate = inflate
        self.allowed_rsv = 0x40 if inflate is not None else 0
        self.threshold = PY_SSIZE_T_MAX if threshold is None else threshold
        self._receiving = self._sending = True

    # ---- In ------------------------------------------------------------------------------------

    def receive_data(self, data, /):
        """Take bytes from the peer, cut anywhere; return the events that they complete."""
        cdef bint decodes = False, gathers = False
        if PyBytes_CheckExact(data):
            with cython.critical_section(self):
                if self.lent is None and not self.busy and self.failure is None:
                    # As take() does, without what other buffers need.
                    decodes = self._receiving
                    gathers = not decodes and self._gather is not None
                    self.busy = decodes or gathers
            if decodes:
                return self.decode(<const uint8_t *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))
            if gathers and self.gathered(data):
                return []
        return self.take(data)

    cdef bint gathered(self, bytes piece) except -1:
        try:
            return self._gather(piece)
        finally:
            self.leave()

    cdef list decode(self, const uint8_t *p, size_t n):
        cdef list events = None
        if not self._receiving:
            self.leave()  # what comes behind a handshake is decoded by a call from there
            return self._receive_otherwise(PyBytes_FromStringAndSize(<const char *>p, <Py_ssize_t>n))
        self._reads += 1
        try:
            events = []
            self.run(p, p + n, events)
        except ProtocolError as exc:
            self._receiving = False
            self.inflate = None
            self.drop_storage()
            events.append(self._on_fault(exc))
        except BaseException as exc:
            self._receiving = False
            self.inflate = None
            self.drop_storage()
            self._on_interrupt(events or [], rules.failure_of(exc))
            raise
        finally:
            self.leave()
        return events

    def _check_free(self):
        """Raise if another call decodes."""
        if not self.ready:
            raise RuntimeError("__init__() was not called")
        if self.busy:
            raise RuntimeError("the decoder is in use by another call")

    cdef int deliver_control(self, uint8_t first, bytes payload, list events) except -1:
        cdef uint8_t opcode = first & 0x0F
        if opcode == 8:
            fault = rules.close_payload_fault(payload)
            if fault is not None:
                raise fault
            # RFC 6455 §1.4: what follows a close frame is discarded, and so is a message under way.
            self.halted = True
            self._receiving = False
            self.inflate = None
            self.drop_storage()
        events.append(self._on_control(opcode, payload))
        return 0

    # ---- Out -----------------------------------------------------------------------------------

    def send_text(self, text, fin=True, compress=None):
        """Return the frame of a text message, or of a fragment of one."""
        if not isinstance(text, str):
            raise arguments.not_text("text", text)
        return self.text_out(<str>text, fin, compress)

    def send_binary(self, data, fin=True, compress=None):
        """Return the frame of a binary message, or of a fragment of one."""
        if not PyObject_CheckBuffer(data):
            raise arguments.not_bytes_like("data", data)
        return self.binary_out(data, fin, compress)

    def send_message(self, data, fin=True, compress=None):
        """Return the frame of a message: text for a str, binary for bytes."""
        if isinstance(data, str):
            return self.text_out(<str>data, fin, compress)
        if not PyObject_CheckBuffer(data):
            raise arguments.not_text_or_bytes_like("data", data)
        return self.binary_out(data, fin, compress)

    cdef inline object text_out(self, str text, object fin, object compress):
        cdef Py_ssize_t size
        cdef wsf_key key = 0
        if self._sending and fin is True and compress is None:
            size = encoded_size(self.k, text)
            if size < self.threshold:
                if self.masking:
                    take_key(&key)
                return text_frame(self.k, 0x81, text, <size_t>size, self.masking, key)
        return self._send(1, text, fin, compress)

    cdef inline object binary_out(self, object data, object fin, object compress):
        cdef Source source
        cdef wsf_key key = 0
        borrow(data, &source, b"data")
        try:
            if (
                self._sending
                and fin is True
                and compress is None
                and <Py_ssize_t>source.size < self.threshold
            ):
                if self.masking:
                    take_key(&key)
                return bytes_frame(self.k, 0x82, &source, self.masking, key)
            if not PyBytes_CheckExact(data):
                data = unmasked(self.k, source.data, source.size, 0)
        finally:
            give_back(&source)
        return self._send(2, data, fin, compress)

    def data_to_send(self):
        """Return what this side has to say by itself, to be written; empty when there is nothing."""
        return self._take_due() if self._due else b""

    def _frame(self, opcode, payload=b"", fin=True, rsv1=False):
        """Return a frame, masked if this side has to."""
        return encode_frame(
            opcode,
            <PyObject *>payload,
            Py_True if fin else Py_False,
            Py_True if rsv1 else Py_False,
            Py_True if self.masking else Py_False,
        )
