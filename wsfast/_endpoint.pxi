# An endpoint on an event loop (wsfast.asyncio): messages from the protocol to the task that waits, and back.

cdef extern from *:
    """
    /* Ends an await with a value, as a coroutine's return does. A tuple is not to be taken for arguments. */
    static void wsf_stop_iteration(PyObject *value) {
        if (!PyTuple_Check(value) && !PyExceptionInstance_Check(value)) {
            PyErr_SetObject(PyExc_StopIteration, value);
            return;
        }
        PyObject *stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, value, NULL);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
    }
    """
    void wsf_stop_iteration(object value) noexcept

cdef extern from "_endpoint.h":
    PyMethodDef *wsf_endpoint_methods
    Py_ssize_t ALONE "WSF_ALONE"
    int wsf_add_methods(object type, PyMethodDef *methods) except -1
    Py_ssize_t Py_REFCNT(object value) noexcept

cdef extern from "Python.h":
    int PyContext_Enter(object context) noexcept
    int PyContext_Exit(object context) except -1
    int PyList_SetItem(object target, Py_ssize_t i, PyObject *item) except -1
    int PyList_SetSlice(object target, Py_ssize_t low, Py_ssize_t high, PyObject *items) except -1
    void Py_INCREF_ "Py_INCREF"(PyObject *value) noexcept
    PyObject *Py_None_ "Py_None"
    void PyErr_Clear() noexcept


@cython.final
cdef class _Done:
    """An await that is over at once, of ``None``. It has what asyncio asks of a coroutine."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, kind, value=None, trace=None):
        raise (kind if value is None else value)

    def close(self):
        """Do nothing: there is nothing under way."""


_DONE = _Done()


cdef enum:
    NEW
    WAITING
    OVER

cdef enum:
    # What became of a broadcast.
    ENDED
    WRITTEN
    SLOW


@cython.final
@cython.no_gc_clear  # which would take away the endpoint that is told of the end
cdef class _Receive:
    """What recv() and an iteration await. It has what asyncio asks of a coroutine."""

    cdef Endpoint endpoint
    cdef object decode
    cdef int state
    cdef bint iterating

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        message = self.step()
        if message is None:
            return self.endpoint.waiter
        # In this one method of a class Cython raises nothing more than what is raised already.
        wsf_stop_iteration(message)
        raise StopIteration

    def send(self, value):
        message = self.step()
        if message is None:
            return self.endpoint.waiter
        raise StopIteration(message)

    cdef object step(self):
        """Return the message, or None while there is none: then the endpoint's future is to be awaited."""
        endpoint = self.endpoint
        if endpoint is None:
            raise RuntimeError("cannot reuse already awaited recv()")
        with cython.critical_section(endpoint):
            return self.step_in(endpoint)

    cdef object step_in(self, Endpoint endpoint):
        cdef int state = self.state
        if state == NEW:
            if PyList_GET_SIZE(endpoint.out) and endpoint.head == PyList_GET_SIZE(endpoint.queue):
                # What was sent before is not left for the end of the turn. Some transports answer at once.
                endpoint.flush(not endpoint.corked)
            if endpoint._receiving or endpoint._on_message is not None:
                self.end()
                raise endpoint._cannot_receive()
        elif state == WAITING:
            endpoint._receiving = False
        else:
            raise RuntimeError("cannot reuse already awaited recv()")
        message = endpoint.pop()
        if message is not None:
            self.end()
            return message if self.decode is None else endpoint._as_wanted(message, self.decode)
        if endpoint._ended:
            self.end()
            raise endpoint._end(self.iterating)
        waiter = endpoint.waiter
        if waiter is None or (state == WAITING and waiter.done()):
            waiter = endpoint.waiter = endpoint.loop.create_future()
        waiter._asyncio_future_blocking = True  # as its __await__() says to the task
        self.state = WAITING
        endpoint._receiving = True
        return None

    cdef inline int end(self) except -1:
        self.state = OVER
        self.endpoint = None
        return 0

    def throw(self, kind, value=None, trace=None):
        self.close()
        if trace is not None:
            value = (kind() if value is None else value).with_traceback(trace)
        raise (kind if value is None else value)

    def close(self):
        """Stop waiting."""
        if self.state == WAITING:
            self.endpoint.forget_waiter()
        self.end()

    def __dealloc__(self):
        if self.state == WAITING and self.endpoint is not None:
            self.endpoint.forget_waiter()


cdef class Endpoint:
    """The paths of an endpoint that nearly all traffic takes.

    In full: help(wsfast._fallback.Endpoint).
    """

    cdef Channel ws
    cdef list queue
    cdef Py_ssize_t head
    cdef Py_ssize_t high, low
    cdef list out
    cdef Py_ssize_t out_size
    cdef bint corked, flush_due
    # The events that are being handed on one by one.
    cdef list delivering
    cdef object current_task
    # What the task that receives awaits, again and again, and with what it is resumed.
    cdef object waiter
    cdef object resumed
    cdef object done
    # What recv() returned last: it is used again.
    cdef _Receive spare
    cdef public object loop
    cdef public object transport
    cdef public object _on_message
    # Who waits for the end of a message in fragments.
    cdef public object _fragments
    cdef public bint _writable
    cdef public bint _reading
    cdef public bint _receiving
    cdef public bint _ended

    def _begin(
        self,
        Channel ws not None,
        loop,
        current_task,
        resumed,
        Py_ssize_t high,
        Py_ssize_t low,
        on_message,
    ):
        self.ws = ws
        self.loop = loop
        self.current_task = current_task
        self.resumed = resumed
        self.high = high
        self.low = low
        self.done = _DONE
        self._on_message = on_message
        self.queue = []
        self.out = []
        self._writable = self._reading = True

    @property
    def _ws(self):
        return self.ws

    @property
    def _waiting(self):
        """How many messages wait to be received."""
        return PyList_GET_SIZE(self.queue) - self.head

    # ---- In ------------------------------------------------------------------------------------

    def get_buffer(self, sizehint, /):
        """Return memory to read into (asyncio.BufferedProtocol)."""
        return self.ws.lend(sizehint, False)

    def buffer_updated(self, nbytes, /):
        """Take what was read into that memory."""
        cdef Channel ws = self.ws
        cdef list events
        cdef bint within = self.corked  # another read, by a transport that reads again while it writes
        self.corked = True
        try:
            events = ws.take_back(nbytes)
            if PyList_GET_SIZE(events):
                self.deliver(events)
        finally:
            self.corked = within
            with cython.critical_section(self):
                if not within and (PyList_GET_SIZE(self.out) or ws._due):
                    self.flush(True)

    def _deliver(self, list events not None):
        """Hand messages on, and react to everything else."""
        self.deliver(events)

    # What calls the application does not hold the lock, which the application's calls take.

    cdef int deliver(self, list events) except -1:
        cdef Py_ssize_t i, n = PyList_GET_SIZE(events), before
        if self.delivering is not None:
            # The transport reads within a call of the application's: that comes behind what was read before.
            self.delivering += events
            return 0
        if self._on_message is not None:
            return self.one_by_one(events)
        with cython.critical_section(self):
            before = PyList_GET_SIZE(self.queue) - self.head
        for i in range(n):
            if not is_message(PyList_GET_ITEM(events, i)):
                self.one_by_one(events)
                break
        else:
            with cython.critical_section(self):
                if self.head == PyList_GET_SIZE(self.queue):
                    self.queue = events
                    self.head = 0
                else:
                    self.queue += events
        if self._receiving:
            self.resume()
        with cython.critical_section(self):
            if PyList_GET_SIZE(self.queue) - self.head > self.high and not self._ended:
                self.too_many(before)
        return 0

    cdef int one_by_one(self, list events) except -1:
        self.delivering = events
        try:
            if self._on_message is not None:
                self.call_back(events)
            else:
                self.enqueue(events)
        finally:
            self.delivering = None
        return 0

    cdef int enqueue(self, list events) except -1:
        cdef bint waits
        for event in events:
            if is_message(<PyObject *>event):
                with cython.critical_section(self):
                    self.queue.append(event)
                continue
            with cython.critical_section(self):
                waits = self._receiving and self.head != PyList_GET_SIZE(self.queue)
            if waits:
                # Who waits for a message may answer it, although a close frame came right behind it.
                self.resume()
            self._react(event)
        return 0

    cdef int resume(self) except -1:
        """Let the task that waits go on, there and then."""
        waiter = self.waiter
        if waiter is None:
            return 0
        callbacks = waiter._callbacks
        if isinstance(callbacks, list) and len(callbacks) == 1 and self.current_task(self.loop) is None:
            callback, context = callbacks[0]
            if PyContext_Enter(context) == 0:
                try:
                    waiter.remove_done_callback(callback)
                    callback(self.resumed)
                finally:
                    PyContext_Exit(context)
                return 0
            PyErr_Clear()  # who calls the protocol is in that context itself
        if not waiter.done():
            self.waiter = None
            waiter.set_result(None)
        return 0

    cdef void forget_waiter(self) noexcept:
        self._receiving = False
        self.waiter = None

    cdef int too_many(self, Py_ssize_t before) except -1:
        """Read no more for now; or, behind a close frame of this side, go on to that of the peer."""
        if self.ws.close_sent is not None:
            del self.queue[self.head + max(self.high, before) :]
        elif self._reading:
            self._reading = False
            self._pause_reading()
        return 0

    cdef int call_back(self, list events) except -1:
        on_message = self._on_message
        for event in events:
            if not is_message(<PyObject *>event):
                self._react(event)
                continue
            try:
                on_message(self, event)
            except Exception:
                self._callback_failed()
                return 0
        return 0

    cdef object pop(self):
        """Return the next message, or None."""
        cdef Py_ssize_t head = self.head
        if head == PyList_GET_SIZE(self.queue):
            return None
        message = <object>PyList_GET_ITEM(self.queue, head)
        head += 1
        if head == PyList_GET_SIZE(self.queue):
            empty(self.queue)
            head = 0
        else:
            Py_INCREF_(Py_None_)
            PyList_SetItem(self.queue, head - 1, Py_None_)
        self.head = head
        if not self._reading and PyList_GET_SIZE(self.queue) - head <= self.low:
            self._reading = True
            self._resume_reading()
        return message

    def __aiter__(self):
        return self

    @cython.critical_section
    def __anext__(self):
        return self.receive(None, True)

    cdef _Receive receive(self, object decode, bint iterating):
        cdef _Receive made = self.spare
        if made is not None and made.state == OVER and Py_REFCNT(made) == ALONE:
            # Nobody else has it any more.
            made.state = NEW
        else:
            made = self.spare = _Receive.__new__(_Receive)
        made.endpoint = self
        made.decode = decode
        made.iterating = iterating
        return made

    # ---- Out -----------------------------------------------------------------------------------

    cdef object send_message(self, object message, object text):
        if text is None and self._writable and self._fragments is None and self.ws._sending:
            try:
                frame = self.encoded(message)
            except Exception:
                frame = None  # what cannot be sent is told where it is awaited
            if frame is not None:
                self.put(frame)
                return self.done if self._writable else self._drain()
        return self._send_otherwise(message, text)

    @cython.critical_section
    def send_nowait(self, message, /):
        """Send a message without waiting."""
        return self.send_at_once(message)

    cdef bint send_at_once(self, object message) except -1:
        frame = self.encoded(message) if self._fragments is None and self.ws._sending else None
        if frame is None:
            self._send_nowait_otherwise(message)
        else:
            self.put(frame)
        return self._writable

    cdef object encoded(self, object message):
        """Return the frame of a message of the usual kinds, or None for another."""
        if PyUnicode_CheckExact(<PyObject *>message):
            return self.ws.text_out(<str>message, True, None)
        if PyBytes_CheckExact(message):
            return self.ws.binary_out(message, True, None)
        return None

    cdef int put(self, object frame) except -1:
        PyList_Append(self.out, frame)
        self.out_size += PyBytes_GET_SIZE(frame)
        if self.out_size >= FLUSH_AT:
            self.flush(not self.corked)
        elif not (self.corked or self.flush_due):
            self.flush_due = True
            self.loop.call_soon(self._flush_in_turn)
        return 0

    @cython.critical_section
    def _put(self, bytes frame not None):
        """Write a frame with the others of this turn."""
        self.put(frame)

    @cython.critical_section
    def _broadcast(self, prepared, frame, bint always):
        """Write a prepared message at once, if this connection is open and its peer not slow."""
        if not self.ws._sending:
            if self._is_open():
                self.flush(True)  # a pong goes first
            if not self._is_open():
                return ENDED
        if self.transport.is_closing():
            return ENDED
        if self._fragments is not None or not (always or self._writable):
            return SLOW
        if self.ws.masking:
            frame = self.ws.send_prepared(prepared)
        elif self.ws.inflate is not None:
            frame = self.ws._frame_of_prepared(prepared)
        if PyList_GET_SIZE(self.out):
            self.flush(True)
        self.transport.write(frame)
        return WRITTEN

    @cython.critical_section
    def _flush_in_turn(self):
        self.flush_due = False
        if PyList_GET_SIZE(self.out):
            self.flush(True)

    @cython.critical_section
    def _flush(self):
        """Write what was sent."""
        self.flush(True)

    cdef int flush(self, bint due) except -1:
        # What is due can be a close frame, which is the last to go: while what was read is handed on,
        # answers to it go first.
        cdef list out = self.out
        cdef Py_ssize_t size = self.out_size
        if due and self.ws._due:
            PyList_Append(out, self.ws.data_to_send())
        if PyList_GET_SIZE(out) == 0:
            return 0
        self.out_size = 0
        if PyList_GET_SIZE(out) == 1:
            frame = <object>PyList_GET_ITEM(out, 0)
            empty(out)
        else:
            frame = None
            self.out = []
        if self.transport is None or self.transport.is_closing():
            return 0
        if frame is not None:
            self.transport.write(frame)
        elif size < FLUSH_AT:
            self.transport.write(b"".join(out))
        else:
            self._write_long(out)
        return 0


cdef object send "wsf_send"(object endpoint, object message, object text):
    with cython.critical_section(endpoint):
        return (<Endpoint>endpoint).send_message(message, text)


cdef object recv "wsf_recv"(object endpoint, object decode):
    with cython.critical_section(endpoint):
        return (<Endpoint>endpoint).receive(decode, False)


wsf_add_methods(Endpoint, wsf_endpoint_methods)


cdef enum:
    # Frames of one turn of the event loop are written together, but no more bytes than this.
    FLUSH_AT = 1 << 16


cdef inline bint is_message(PyObject *event) noexcept:
    return PyUnicode_CheckExact(event) or PyBytes_CheckExact(<object>event)


cdef inline int empty(list target) except -1:
    """What its clear() does, without the call of a method."""
    return PyList_SetSlice(target, 0, PyList_GET_SIZE(target), NULL)
