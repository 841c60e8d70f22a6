# Whole frames out of a buffer that is somebody else's: what adapters take from their library's buffer.


def split_frames(data, Py_ssize_t offset, bint masked, bint rsv1, bint in_message, Py_ssize_t most, /):
    """Take whole and legal frames from a buffer; return them, and where the rest begins.

    In full: help(wsfast._fallback.split_frames).
    """
    cdef const wsf_kernels *k = wsf_active()
    cdef Source source
    cdef wsf_header header
    cdef const uint8_t *p
    cdef const uint8_t *end
    cdef size_t fault
    cdef uint8_t allowed_rsv = 0x40 if rsv1 else 0
    cdef list items = []
    if offset < 0:
        arguments.check_offset(offset)  # raises
    borrow(data, &source, b"data")
    try:
        if <size_t>offset > source.size:
            return items, source.size
        p = source.data + offset
        end = source.data + source.size
        while most > 0 and end - p >= 2:
            if (
                not first_bytes_are_fine(p[0], p[1], masked, allowed_rsv, in_message)
                or wsf_header_parse(p, <size_t>(end - p), &header) != WSF_HEADER_OK
                or header.length > <uint64_t>(end - p - header.size)
            ):
                break
            if header.first == 0x81:
                item = masked_text(k, p + header.size, <size_t>header.length, header.key, &fault)
                if item is None:
                    break
            else:
                item = unmasked(k, p + header.size, <size_t>header.length, header.key)
                if header.first != 0x82:
                    item = split_frame(header.first, item)
                    if not header.first & 0x08:
                        in_message = not header.first & 0x80
            items.append(item)
            p += header.size + <size_t>header.length
            most -= 1
            if header.first == 0x88:
                break
        return items, p - source.data
    finally:
        give_back(&source)


cdef object split_frame(uint8_t first, object payload):
    frame = wsf_new_namedtuple(<PyTypeObject *>Frame, 6)
    wsf_set_field(frame, 0, (<tuple>_opcodes)[first & 0x0F])
    wsf_set_field(frame, 1, payload)
    wsf_set_field(frame, 2, first & 0x80 != 0)
    wsf_set_field(frame, 3, first & 0x40 != 0)
    wsf_set_field(frame, 4, False)
    wsf_set_field(frame, 5, False)
    return frame
