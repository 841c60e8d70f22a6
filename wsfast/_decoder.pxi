# Frames and messages in.


def parse_header(data, offset=0):
    """Parse the frame header that begins at `offset`; None while it is incomplete (RFC 6455 §5.2).

    In full: help(wsfast._fallback.parse_header).
    """
    cdef Source source
    cdef wsf_header header
    cdef wsf_header_result result
    cdef const uint8_t *p
    cdef size_t start, n
    cdef uint8_t first, second
    start = <size_t>buffer_offset(offset)
    borrow(data, &source, b"data")
    try:
        if start >= source.size or source.size - start < 2:
            return None
        p = source.data + start
        n = source.size - start
        first = p[0]
        second = p[1]
        # The reserved bits are reported here, and judged by who knows the extensions.
        if not first_bytes_are_fine(first & 0x8F, second, second >> 7, 0, first & 0x0F == 0):
            raise rules.first_bytes_fault(
                first & 0x8F, second, masked=second >= 0x80, allowed_rsv=0, in_message=first & 0x0F == 0
            )
        result = wsf_header_parse(p, n, &header)
        if result == WSF_HEADER_INCOMPLETE:
            return None
        if result != WSF_HEADER_OK:
            raise rules.length_fault(header.length)
    finally:
        give_back(&source)
    parsed = wsf_new_namedtuple(<PyTypeObject *>FrameHeader, 9)
    wsf_set_field(parsed, 0, first & 0x80 != 0)
    wsf_set_field(parsed, 1, first & 0x40 != 0)
    wsf_set_field(parsed, 2, first & 0x20 != 0)
    wsf_set_field(parsed, 3, first & 0x10 != 0)
    wsf_set_field(parsed, 4, (<tuple>_opcodes)[first & 0x0F])
    wsf_set_field(parsed, 5, header.masked != 0)
    wsf_set_field(parsed, 6, header.length)
    key = PyBytes_FromStringAndSize(<const char *>&header.key, 4) if header.masked else b""
    wsf_set_field(parsed, 7, key)
    wsf_set_field(parsed, 8, header.size)
    return parsed


cdef Py_ssize_t buffer_offset(object offset) except -1:
    """Read an offset into a buffer; one past any buffer's end will do for those too large."""
    number = _index(offset)
    if number < 0:
        arguments.check_offset(number)  # raises
    return number if number <= PY_SSIZE_T_MAX else PY_SSIZE_T_MAX


cdef inline bint first_bytes_are_fine(
    uint8_t first, uint8_t second, bint masked, uint8_t allowed_rsv, bint in_message
) noexcept nogil:
    """What rules.first_bytes_fault() judges, as a yes or no."""
    cdef uint8_t opcode = first & 0x0F
    if first & 0x70 & ~allowed_rsv or (second >> 7) != masked:
        return False
    if opcode == 1 or opcode == 2:
        return not in_message
    if opcode == 0:
        return in_message and not first & 0x40
    return 8 <= opcode <= 10 and first & 0xC0 == 0x80 and second & 0x7F <= 125


# ---- Storage that grows into the object handed out ----------------------------------------------


# Storage for a declared length is given in advance up to the first size; beyond it, only so many times of
# what has arrived, so that a header alone cannot make the decoder hold memory. With twice, a message of a
# mebibyte would be copied nearly twice on the way.
cdef enum:
    TRUST = 1 << 16
    TRUST_TIMES = 4

# Payloads of which less than this is missing go through the common read buffer: reading into the
# storage of the message then saves less than the additional system calls cost.
cdef enum:
    READ_STRAIGHT = 1 << 14

# A compressed message is inflated in pieces of at most the first size, to results of at most the second: what
# zlib holds beside them stays in proportion (RFC 6455 §10.4).
cdef enum:
    INFLATE_PIECE = 1 << 14
    INFLATE_MOST = 1 << 16


_out_of_memory = ProtocolError("interrupted by MemoryError", 1011)


cdef inline Py_ssize_t whole_number(object value) except? -1:
    """Return a whole number of any type and size, cut to what a size can be."""
    cdef int overflow = 0
    cdef long long number
    number = PyLong_AsLongLongAndOverflow(value if PyLong_CheckExact(value) else _index(value), &overflow)
    if overflow:
        return overflow * PY_SSIZE_T_MAX
    return <Py_ssize_t>max(min(number, <long long>PY_SSIZE_T_MAX), <long long>-PY_SSIZE_T_MAX)


cdef object text_fault(const uint8_t *p, size_t n, wsf_key key, size_t fault):
    """The error for text of n masked bytes that masked_text() refused at `fault`."""
    return rules.utf8_fault(fault, p[fault] ^ (<uint8_t *>&key)[fault & 3] if fault < n else None)


cdef inline bytes unmasked(const wsf_kernels *k, const uint8_t *p, size_t n, wsf_key key):
    made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
    k.mask(<uint8_t *>PyBytes_AS_STRING(made), p, n, key)
    return made


cdef class _Decoder:
    """What all decoders share: the loop from bytes to events."""

    cdef const wsf_kernels *k
    cdef bint to_messages  # not a FrameDecoder
    cdef bint masked  # the peer is a client
    cdef uint8_t allowed_rsv
    cdef uint64_t limit
    cdef readonly object role
    cdef readonly object max_size
    cdef object inflate

    # What frames are made of, within reach without a look-up for each.
    cdef tuple opcodes
    cdef object frame_type

    cdef object failure  # what to raise from now on
    cdef bint ready
    cdef bint busy
    # What get_buffer() lent, and the view of it, until buffer_updated() or feed().
    cdef _Lent lent
    cdef object view
    # _spare_read_buffers, which takes longer to look up.
    cdef _Spare spare

    # The frame under way. Until its header is whole, `head` holds the beginning of it.
    cdef uint8_t head[14]
    cdef uint8_t head_size
    cdef bint in_payload
    cdef uint8_t first
    cdef wsf_key key  # for the next payload byte
    cdef uint64_t missing  # payload bytes that have not arrived
    cdef bytes control  # the payload of a control frame

    # The message under way (in a FrameDecoder, only that there is one).
    cdef bint in_message
    cdef bint text  # to be validated as it arrives
    cdef bint compressed  # to be inflated as it arrives
    cdef uint64_t packed  # payload bytes that it has declared so far
    cdef size_t inflated  # the size of the compressed message before it
    cdef bint halted  # a close frame came: nothing after it counts (in a Channel only)
    # Its storage, a str or bytes under construction (in a FrameDecoder, of one payload), or NULL.
    cdef PyObject *storage
    cdef uint8_t *data
    cdef size_t room
    cdef size_t used
    cdef bint ascii
    cdef wsf_utf8_stream utf8

    def __cinit__(self):
        self.k = wsf_active()
        self.opcodes = _opcodes
        self.frame_type = Frame

    def __dealloc__(self):
        Py_XDECREF(self.storage)

    cdef int set_up(self, role, max_size) except -1:
        """Do what __init__() does first; it ends with leave()."""
        with cython.critical_section(self):
            if self.busy:
                raise RuntimeError("the decoder is in use by another call")
            self.busy = True
        cdef bint masked
        cdef int overflow = 0
        cdef long long limit
        try:
            masked = role == "server" or arguments.check_role(role)
            limit = PyLong_AsLongLongAndOverflow(max_size, &overflow) if type(max_size) is int else -1
            self.limit = <uint64_t>limit if limit >= 0 else arguments.check_max_size(max_size)
        except BaseException:
            self.leave()
            raise
        self.masked = masked
        self.role = role
        self.max_size = max_size
        self.drop_storage()
        self.head_size = 0
        self.control = None
        self.in_payload = False
        self.in_message = False
        self.lent = None
        self.view = None
        self.failure = None
        self.ready = True
        return 0

    def __reduce__(self):
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    # ---- Entry points --------------------------------------------------------------------------

    cdef list take(self, object data):
        """What feed() does."""
        cdef Source source
        borrow(data, &source, b"data")
        try:
            self.enter()
            try:
                self.reclaim()
            except BaseException:
                self.leave()
                raise
            return self.decode(source.data, source.size)
        finally:
            give_back(&source)

    def get_buffer(self, sizehint=-1):
        """Return memory to read into, as asyncio.BufferedProtocol has it; then call buffer_updated()."""
        return self.lend(sizehint, True)

    cdef object lend(self, object sizehint, bint viewed):
        # Whole numbers of any size are welcome; a hint is not a promise.
        cdef size_t wanted = <size_t>max(READ_SIZE, min(whole_number(sizehint), READ_SIZE_MAX))
        cdef _Lent lent
        self.enter()
        if self.spare is None:
            self.spare = _spare_read_buffers
        try:
            self.reclaim()
            lent = _Lent.__new__(_Lent)
            if (
                self.in_payload
                and not self.first & 0x08
                and self.missing >= <uint64_t>READ_STRAIGHT
                and not (self.in_message and self.compressed)
            ):
                self.make_room_to_read()
                lent.data = self.data + self.used
                lent.size = <size_t>min(<uint64_t>(self.room - self.used), self.missing)
                lent.storage = self.storage
                Py_INCREF(<object>self.storage)
            else:
                if wanted == <size_t>READ_SIZE:
                    lent.data = self.spare.pop()
                else:
                    lent.data = <uint8_t *>PyMem_Malloc(wanted)
                    if lent.data == NULL:
                        raise MemoryError
                lent.own = True
                lent.size = wanted
            lent.on_loan = True
            if viewed:
                self.view = PyMemoryView_FromObject(lent)
            self.lent = lent
            return self.view if viewed else lent
        except BaseException as exc:
            self.fail(exc)
            raise
        finally:
            self.leave()

    def buffer_updated(self, nbytes, /):
        """Take the first `nbytes` bytes of what get_buffer() gave; otherwise as feed()."""
        return self.take_back(nbytes)

    cdef list take_back(self, object nbytes):
        cdef Py_ssize_t n
        cdef _Lent lent
        cdef bint returned
        self.enter()
        lent = self.lent
        try:
            n = self.check_loan(nbytes)
            returned = self.end_loan()
        except BaseException:
            self.leave()
            raise
        events = self.decode(lent.data, <size_t>n)
        if returned:
            self.spare.push(lent)
        return events

    cdef int enter(self) except -1:
        """Begin a call that decodes. Until leave() there is no other, in no thread."""
        if not self.ready:
            raise RuntimeError("__init__() was not called")
        # The lock is not held meanwhile: the attributes that a subclass sets then take it, too, which is slow
        # in who has it already.
        with cython.critical_section(self):
            if self.busy:
                raise RuntimeError("the decoder is in use by another call")
            if self.failure is not None:
                raise rules.failed_before(self.failure)
            self.busy = True
        return 0

    cdef void leave(self) noexcept:
        with cython.critical_section(self):
            self.busy = False

    cdef Py_ssize_t check_loan(self, object nbytes) except -1:
        cdef Py_ssize_t number = whole_number(nbytes)
        if self.lent is None:
            raise arguments.no_buffer_lent()
        if not 0 <= number <= <Py_ssize_t>self.lent.size:
            raise arguments.bad_nbytes(_index(nbytes), self.lent.size)
        return number

    cdef int reclaim(self) except -1:
        """End a loan of which nobody told how it was used."""
        cdef _Lent lent = self.lent
        if lent is not None and self.end_loan():
            self.spare.push(lent)
        return 0

    cdef int end_loan(self) except -1:
        """Take the lent buffer back. False when the borrower still holds a part of it."""
        cdef _Lent lent = self.lent
        view = self.view
        self.lent = None
        self.view = None
        cdef Py_ssize_t exports
        if view is not None:
            try:
                view.release()
            except BufferError:
                pass  # something was made of the view that it cannot take back
        with cython.critical_section(lent):
            lent.on_loan = False
            exports = lent.exports
        if exports:
            # The borrower can still write there. It keeps that storage; the message moves out.
            if not lent.own:
                try:
                    self.move_out()
                except BaseException as exc:
                    self.fail(exc)
                    raise
            return False
        if not lent.own:
            Py_XDECREF(lent.storage)
            lent.storage = NULL
        return True

    # ---- The loop ------------------------------------------------------------------------------

    cdef list decode(self, const uint8_t *p, size_t n):
        cdef list events = None
        try:
            events = []
            self.run(p, p + n, events)
        except BaseException as exc:
            self.fail(exc)
            if isinstance(exc, ProtocolError):
                exc.events = events
            raise
        finally:
            self.leave()
        return events

    cdef int fail(self, exc) except -1:
        """Take no input from now on: the stream cannot be resumed where `exc` broke it off."""
        self.drop_storage()
        self.failure = _out_of_memory  # in case there is no memory to say it better
        # Not `exc` itself: it leads to the caller's frames.
        self.failure = rules.failure_of(exc)
        return 0

    cdef int run(self, const uint8_t *p, const uint8_t *end, list events) except -1:
        cdef wsf_header header
        cdef wsf_header_result result
        cdef const uint8_t *start
        cdef size_t n, taken, fault
        cdef bint masked = self.masked
        # First byte of a text frame that is a whole message, where that is what to deliver.
        cdef int whole_text = 0x81 if self.to_messages else -1
        while True:
            if self.in_payload:
                p += self.take_payload(p, <size_t>(end - p), events)
                if self.in_payload or self.halted:
                    return 0
            if p == end:
                return 0
            start = p
            n = <size_t>(end - p)
            taken = 0
            if self.head_size:
                # The header began in an earlier piece.
                taken = min(<size_t>(WSF_HEADER_MAX - self.head_size), n)
                memcpy(self.head + self.head_size, p, taken)
                start = self.head
                n = self.head_size + taken
            if n >= 2 and not first_bytes_are_fine(
                start[0], start[1], masked, self.allowed_rsv, self.in_message
            ):
                raise rules.first_bytes_fault(
                    start[0],
                    start[1],
                    masked=masked,
                    allowed_rsv=self.allowed_rsv,
                    in_message=self.in_message,
                )
            result = wsf_header_parse(start, n, &header)
            if result != WSF_HEADER_OK:
                if result != WSF_HEADER_INCOMPLETE:
                    raise rules.length_fault(header.length)
                if not self.head_size:
                    memcpy(self.head, p, n)
                self.head_size = <uint8_t>n
                return 0
            p += header.size - self.head_size
            self.head_size = 0
            n = <size_t>(end - p)
            if not header.first & 0x08:
                if header.length > self.limit - self.used:
                    self.judge_size(header.first, header.length)
                if self.allowed_rsv and self.to_messages:
                    self.judge_packed(header.first, header.length)
                if header.length <= n and header.first & 0x80 and not self.in_message:
                    # The path that nearly all traffic takes.
                    if header.first == whole_text:
                        event = masked_text(self.k, p, <size_t>header.length, header.key, &fault)
                        if event is None:
                            raise text_fault(p, <size_t>header.length, header.key, fault)
                        events.append(event)
                    else:
                        self.deliver(header.first, p, <size_t>header.length, header.key, events)
                    p += header.length
                    continue
                self.begin_data(header.first)
            else:
                self.control = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>header.length)
            self.first = header.first
            self.key = header.key
            self.missing = header.length
            self.in_payload = True

    cdef int judge_size(self, uint8_t first, uint64_t length) except -1:
        """Refuse a frame that exceeds the limit on its message, if it is not to be inflated."""
        cdef bint compressed = self.compressed if self.in_message else first & 0x40 != 0
        if not (compressed and self.to_messages):
            raise rules.size_fault(length, self.used, self.limit)
        return 0

    cdef int judge_packed(self, uint8_t first, uint64_t length) except -1:
        """Refuse a compressed message that is longer than one within the limit need be."""
        if first & 0x0F:
            self.packed = 0
        if self.compressed if self.in_message else first & 0x40:
            if length > rules.compressed_limit(self.limit) - self.packed:
                raise rules.size_fault(length, self.packed, self.limit)
            self.packed += length
        return 0

    cdef Py_ssize_t take_payload(self, const uint8_t *p, size_t n, list events) except -1:
        """Take what is there of the payload under way, and finish the frame if that is all of it."""
        cdef bint final
        cdef uint8_t *control
        n = <size_t>min(<uint64_t>n, self.missing)
        if self.first & 0x08:
            control = <uint8_t *>PyBytes_AS_STRING(self.control)
            self.k.mask(control + (<uint64_t>PyBytes_GET_SIZE(self.control) - self.missing), p, n, self.key)
        elif self.compressed and self.in_message:
            final = n == self.missing and self.first & 0x80
            if n or final:
                self.inflate_onto(p, n, self.key, final)
        elif n:
            self.append(p, n, self.key)
        self.key = wsf_key_advance(self.key, n)
        self.missing -= n
        if not self.missing:
            self.finish_frame(events)
        return <Py_ssize_t>n

    # ---- Delivery ------------------------------------------------------------------------------

    cdef int deliver(self, uint8_t first, const uint8_t *p, size_t n, wsf_key key, list events) except -1:
        """Deliver a data frame that is here as a whole and is a message, other than plain text."""
        if self.to_messages and first & 0x40:
            return self.deliver_compressed(first, p, n, key, events)
        event = unmasked(self.k, p, n, key)
        if self.to_messages:
            events.append(event)
        else:
            self.deliver_frame(first, event, events)
        return 0

    cdef int deliver_frame(self, uint8_t first, bytes payload, list events) except -1:
        frame = wsf_new_namedtuple(<PyTypeObject *>self.frame_type, 6)
        wsf_set_field(frame, 0, self.opcodes[first & 0x0F])
        wsf_set_field(frame, 1, payload)
        wsf_set_field(frame, 2, first & 0x80 != 0)
        wsf_set_field(frame, 3, first & 0x40 != 0)
        wsf_set_field(frame, 4, first & 0x20 != 0)
        wsf_set_field(frame, 5, first & 0x10 != 0)
        events.append(frame)
        return 0

    cdef int deliver_control(self, uint8_t first, bytes payload, list events) except -1:
        if self.to_messages and first & 0x0F == 8:
            fault = rules.close_payload_fault(payload)
            if fault is not None:
                raise fault
        self.deliver_frame(first, payload, events)
        return 0

    cdef int deliver_compressed(
        self, uint8_t first, const uint8_t *p, size_t n, wsf_key key, list events
    ) except -1:
        """Deliver a compressed message that is here as a whole."""
        cdef Source source
        cdef size_t fault, most
        self.begin_data(first)
        if n <= INFLATE_PIECE:
            most = self.inflate_most()
            inflated = self.inflate_piece(unmasked(self.k, p, n, key), True, most, &source)
            try:
                if source.size < most:
                    # All of it: no need to put it together.
                    if self.text:
                        event = masked_text(self.k, source.data, source.size, 0, &fault)
                        if event is None:
                            raise text_fault(source.data, source.size, 0, fault)
                    elif PyBytes_CheckExact(inflated):
                        event = inflated
                    else:
                        event = unmasked(self.k, source.data, source.size, 0)
                    self.in_message = False
                    events.append(event)
                    return 0
                self.append(source.data, source.size, 0)
            finally:
                give_back(&source)
            n = 0
        self.inflate_onto(p, n, key, True)
        self.in_message = False
        events.append(self.take_text() if self.text else self.take_bytes())
        return 0

    # ---- Compressed messages (RFC 7692 §7.2.2) -------------------------------------------------

    cdef inline size_t inflate_most(self):
        """How much may be inflated at once: one byte more than the limit allows will tell."""
        return <size_t>min(self.limit - self.used, <uint64_t>(INFLATE_MOST - 1)) + 1

    cdef object inflate_piece(self, bytes piece, bint final, size_t most, Source *source):
        """Inflate a piece. What it gives is borrowed in `source` while the object returned lives."""
        try:
            inflated = self.inflate(piece, final, most)
        except (ProtocolError, MemoryError):
            raise
        except Exception as exc:
            raise ProtocolError(f"cannot inflate message: {exc}") from exc
        borrow(inflated, source, b"inflated message")
        try:
            if source.size > most:
                raise arguments.inflated_too_much(source.size, most)
            if source.size > self.limit - self.used:
                raise rules.inflated_size_fault(self.limit)
        except BaseException:
            give_back(source)
            raise
        return inflated

    cdef int inflate_onto(self, const uint8_t *p, size_t n, wsf_key key, bint final) except -1:
        """Unmask n bytes, and inflate them onto the message; `final` when they are the last of it."""
        cdef Source source
        cdef size_t size, most
        while True:
            size = min(n, <size_t>INFLATE_PIECE)  # a multiple of 4: the key's phase stays
            piece = unmasked(self.k, p, size, key)
            p += size
            n -= size
            while True:
                most = self.inflate_most()
                inflated = self.inflate_piece(piece, final and not n, most, &source)
                size = source.size
                try:
                    if size:
                        self.append(source.data, size, 0)
                finally:
                    give_back(&source)
                if size < most:
                    break
                piece = b""
            if not n:
                return 0

    # ---- The message under way -----------------------------------------------------------------

    cdef int begin_data(self, uint8_t first) except -1:
        """Get ready for the payload of a data frame that is not a message that is here as a whole."""
        cdef bint is_text = first & 0x0F == 1
        self.in_message = True
        if self.to_messages and first & 0x0F:
            self.compressed = first & 0x40 != 0
            self.text = is_text
            self.ascii = True
            memset(&self.utf8, 0, sizeof(self.utf8))
        return 0

    cdef int append(self, const uint8_t *p, size_t n, wsf_key key) except -1:
        """Unmask n > 0 bytes onto the message (in place when they were read into its storage)."""
        cdef uint8_t *target
        cdef size_t done = 0, valid
        if n > self.room - self.used:
            self.make_room(n)
        target = self.data + self.used
        if self.text and self.ascii:
            done = self.k.mask_ascii(target, p, n, key)
            if done < n:
                self.ascii = False
                self.utf8.text.chars = self.used + done
        if done < n:
            self.k.mask(target + done, p + done, n - done, key)
            if self.text:
                valid = done + wsf_utf8_feed(self.k, &self.utf8, target + done, n - done)
                if valid < n:
                    raise rules.utf8_fault(self.used + valid, target[valid])
        self.used += n
        return 0

    cdef int finish_frame(self, list events) except -1:
        cdef bytes payload
        self.in_payload = False
        if self.first & 0x08:
            payload = self.control
            self.control = None
            return self.deliver_control(self.first, payload, events)
        if self.first & 0x80:
            self.in_message = False
        if not self.to_messages:
            return self.deliver_frame(self.first, self.take_bytes(), events)
        if not self.first & 0x80:
            return 0
        events.append(self.take_text() if self.text else self.take_bytes())
        return 0

    # ---- Storage -------------------------------------------------------------------------------

    cdef int make_room(self, size_t n) except -1:
        """Make room for n bytes that are here, and for what follows them as far as it is trusted."""
        cdef size_t needed = self.used + n
        cdef uint64_t whole = self.used + self.missing
        cdef size_t room = <size_t>min(whole, max(<uint64_t>TRUST, <uint64_t>TRUST_TIMES * needed))
        if self.compressed:
            # What is missing says nothing of what it inflates to; the last large one may.
            room = max(needed, 2 * self.room)
            if <size_t>TRUST < room < self.inflated:
                room = self.inflated
            room = <size_t>min(<uint64_t>room, self.limit)
        elif not self.first & 0x80:
            # More frames will follow; many small ones must not mean many reallocations.
            room = <size_t>min(<uint64_t>max(room, 2 * self.room, <size_t>64), self.limit)
        return self.set_room(room)

    cdef int make_room_to_read(self) except -1:
        """Make room for a read straight into the storage of a message of which much is missing."""
        cdef uint64_t whole = self.used + self.missing
        if self.room - self.used < <size_t>READ_STRAIGHT:
            self.set_room(
                <size_t>min(whole, max(<uint64_t>self.used + TRUST, <uint64_t>TRUST_TIMES * self.used))
            )
        return 0

    cdef int set_room(self, size_t room) except -1:
        if self.text:
            if self.storage == NULL:
                self.storage = PyUnicode_New(<Py_ssize_t>room, 0x7F)
            else:
                PyUnicode_Resize(&self.storage, <Py_ssize_t>room)
            self.data = <uint8_t *>PyUnicode_DATA(self.storage)
        else:
            if self.storage == NULL:
                self.storage = new_bytes(NULL, <Py_ssize_t>room)
            else:
                # Unlike its counterpart for str, this frees the old storage when it fails; fail() follows.
                resize_bytes(&self.storage, <Py_ssize_t>room)
            self.data = <uint8_t *>bytes_data(self.storage)
        self.room = room
        return 0

    cdef int move_out(self) except -1:
        """Leave the storage to whoever else holds it, and go on in a copy."""
        cdef PyObject *old = self.storage
        cdef uint8_t *data = self.data
        self.storage = NULL
        try:
            self.set_room(self.room)
            memcpy(self.data, data, self.used)
        finally:
            Py_XDECREF(old)
        return 0

    cdef PyObject *give_storage(self) except NULL:
        """Hand over the storage, cut to the bytes used (of which there are some)."""
        cdef PyObject *storage
        if self.compressed:
            self.inflated = self.used
        if self.used != self.room:
            self.set_room(self.used)
        storage = self.storage
        self.storage = NULL
        self.used = self.room = 0
        return storage

    cdef bytes take_bytes(self):
        if not self.used:
            self.drop_storage()
            return b""
        return <bytes>wsf_hand_over(self.give_storage())

    cdef str take_text(self):
        if not self.used:
            self.drop_storage()
            return ""
        if self.ascii:
            return <str>wsf_hand_over(self.give_storage())
        if self.utf8.held_length:
            raise rules.utf8_fault(self.used, None)
        text = transcode(self.k, self.data, self.used, &self.utf8.text)
        self.drop_storage()
        return <str>text

    cdef void drop_storage(self) noexcept:
        Py_XDECREF(self.storage)
        self.storage = NULL
        self.used = self.room = 0


# The defaults of max_size are rules.DEFAULT_MAX_SIZE, written out: Cython keeps a default that it has to
# compute in a C variable, which subinterpreters would share.


cdef class FrameDecoder(_Decoder):
    """Decodes bytes to frames (RFC 6455 §5).

    role: "client" or "server", the side that this process plays. max_size: the limit on a payload in
    bytes, or None. rsv1, rsv2, rsv3: allow these bits. In full: help(wsfast._fallback.FrameDecoder).
    """

    def __init__(self, role, *, max_size=1048576, rsv1=False, rsv2=False, rsv3=False):
        cdef uint8_t allowed = (0x40 if rsv1 else 0) | (0x20 if rsv2 else 0) | (0x10 if rsv3 else 0)
        self.set_up(role, max_size)
        self.allowed_rsv = allowed
        self.leave()

    def feed(self, data, /):
        """Take bytes from the peer, cut anywhere; return the frames that they complete.

        Raises ProtocolError, whose `events` are those that the same call had completed before.
        """
        return self.take(data)


cdef class MessageDecoder(_Decoder):
    """Decodes bytes to messages: str, bytes, and control frames as Frame (RFC 6455 §5).

    role: "client" or "server", the side that this process plays. max_size: the limit on a message in
    bytes, or None. inflate: decompresses messages that have RSV1 set, or None. In full:
    help(wsfast._fallback.MessageDecoder).
    """

    def __init__(self, role, *, max_size=1048576, inflate=None):
        self.set_up(role, max_size)
        self.to_messages = True
        self.inflate = inflate
        self.allowed_rsv = 0x40 if inflate is not None else 0
        self.leave()

    def feed(self, data, /):
        """Take bytes from the peer, cut anywhere; return the messages and control frames that they complete.

        Raises ProtocolError, whose `events` are those that the same call had completed before.
        """
        return self.take(data)
