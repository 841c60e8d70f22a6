# Memory to read into: lent to a transport, and taken back.

# The common read buffer has this size, or what is asked for up to the second.
cdef enum:
    READ_SIZE = 1 << 16
    READ_SIZE_MAX = 1 << 20


@cython.final
cdef class _Lent:
    """Memory that a view from get_buffer() leads to, kept for as long as any view of it lives."""

    cdef uint8_t *data
    cdef size_t size
    cdef bint own  # allocated here, not the storage of a message
    cdef PyObject *storage  # a reference to it; NULL when `own`
    # 1 while any view leads here. A slice of the lent view outlives that view's release().
    cdef Py_ssize_t exports
    cdef bint on_loan

    def __dealloc__(self):
        if self.own:
            PyMem_Free(self.data)
        Py_XDECREF(self.storage)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        # The borrower can reach this object: it is the `obj` of the view.
        # Several threads may do this at once where there is no GIL.
        with cython.critical_section(self):
            if not self.on_loan:
                raise BufferError("the buffer of get_buffer() was taken back")
            PyBuffer_FillInfo(buffer, self, self.data, <Py_ssize_t>self.size, False, flags)
            self.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        with cython.critical_section(self):
            self.exports -= 1

    # Transports treat it as a memoryview, which costs more to make than a small message to decode.

    def __len__(self):
        return <Py_ssize_t>self.size

    def __getitem__(self, key):
        return PyMemoryView_FromObject(self)[key]

    def __setitem__(self, key, value):
        PyMemoryView_FromObject(self)[key] = value


cdef enum:
    SPARE_MAX = 4


@cython.final
cdef class _Spare:
    """Memory of read buffers that no decoder needs at the moment, so that idle connections hold none."""

    cdef uint8_t *kept[SPARE_MAX]
    cdef int count

    def __dealloc__(self):
        while self.count:
            self.count -= 1
            PyMem_Free(self.kept[self.count])

    cdef uint8_t *pop(self) except NULL:
        cdef uint8_t *memory = NULL
        with cython.critical_section(self):
            if self.count:
                self.count -= 1
                memory = self.kept[self.count]
        if memory == NULL:
            memory = <uint8_t *>PyMem_Malloc(READ_SIZE)
            if memory == NULL:
                raise MemoryError
        return memory

    cdef int push(self, _Lent lent) except -1:
        """Keep the memory of what nobody can reach any more, but not the object, which somebody may have."""
        if lent.own and lent.size == <size_t>READ_SIZE:
            with cython.critical_section(self):
                if self.count < SPARE_MAX:
                    self.kept[self.count] = lent.data
                    self.count += 1
                    lent.own = False
                    lent.data = NULL
                    lent.size = 0
        return 0


_spare_read_buffers = _Spare()
