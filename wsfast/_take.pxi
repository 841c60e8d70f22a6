# Whole messages out of a buffer, without a decoder: for adapters of libraries that keep the rest.


def take_messages(data, Py_ssize_t offset, list messages, bint masked, max_size=None, packed=None):
    """Take the messages that `data` has from `offset` on, as long as each is one whole, legal frame.

    They are appended to `messages` as str and bytes; what is returned is where the next frame begins.
    In full: help(wsfast._fallback.take_messages).
    """
    cdef const wsf_kernels *k = wsf_active()
    cdef Source source
    cdef wsf_header header
    cdef const uint8_t *p
    cdef const uint8_t *end
    cdef uint64_t limit = arguments.check_max_size(max_size)
    cdef size_t fault
    if offset < 0:
        arguments.check_offset(offset)  # raises
    borrow(data, &source, b"data")
    try:
        if <size_t>offset >= source.size:
            return offset
        p = source.data + offset
        end = source.data + source.size
        while p < end and wsf_header_parse(p, <size_t>(end - p), &header) == WSF_HEADER_OK:
            if header.masked != masked or header.length > limit:
                break
            if header.length > <uint64_t>(end - p) - header.size:
                break
            if header.first == 0x81:
                event = masked_text(k, p + header.size, <size_t>header.length, header.key, &fault)
                if event is None:
                    break
            elif header.first == 0x82:
                event = unmasked(k, p + header.size, <size_t>header.length, header.key)
            elif packed is not None and (header.first == 0xC1 or header.first == 0xC2):
                event = packed(
                    header.first & 0x0F, unmasked(k, p + header.size, <size_t>header.length, header.key)
                )
            else:
                break
            messages.append(event)
            p += header.size + header.length
        return <Py_ssize_t>(p - source.data)
    finally:
        give_back(&source)
