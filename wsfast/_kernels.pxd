# The C kernels as Cython sees them. csrc/wsfast.h has the contract of each function.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "wsfast.h" nogil:
    ctypedef uint32_t wsf_key

    wsf_key wsf_key_load(const uint8_t *key, size_t phase) noexcept
    wsf_key wsf_key_advance(wsf_key key, size_t n) noexcept

    bint wsf_keys_take(wsf_key *key) noexcept
    void wsf_keys_seed(const uint8_t *seed) noexcept
    void wsf_keys_forget() noexcept

    ctypedef struct wsf_text:
        size_t chars
        uint8_t highest

    ctypedef struct wsf_kernels:
        const char *name
        void (*mask)(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) noexcept nogil
        size_t (*mask_ascii)(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) noexcept nogil
        size_t (*utf8_scan)(const uint8_t *src, size_t n, wsf_text *text) noexcept nogil
        bint (*utf8_valid)(const uint8_t *src, size_t n) noexcept nogil
        void (*utf8_to_ucs1)(uint8_t *dst, size_t chars, const uint8_t *src, size_t n) noexcept nogil
        void (*utf8_to_ucs2)(uint16_t *dst, size_t chars, const uint8_t *src, size_t n) noexcept nogil
        void (*utf8_to_ucs4)(uint32_t *dst, size_t chars, const uint8_t *src, size_t n) noexcept nogil
        size_t (*utf8_to_latin1)(uint8_t *dst, size_t *chars, const uint8_t *src, size_t n) noexcept nogil
        size_t (*ucs1_utf8_size)(const uint8_t *src, size_t n) noexcept nogil
        size_t (*ucs2_utf8_size)(const uint16_t *src, size_t n) noexcept nogil
        size_t (*ucs4_utf8_size)(const uint32_t *src, size_t n) noexcept nogil
        void (*ucs1_to_utf8)(uint8_t *dst, size_t size, const uint8_t *src, size_t n) noexcept nogil
        void (*ucs2_to_utf8)(uint8_t *dst, size_t size, const uint16_t *src, size_t n) noexcept nogil
        void (*ucs4_to_utf8)(uint8_t *dst, size_t size, const uint32_t *src, size_t n) noexcept nogil

    size_t wsf_available(const wsf_kernels **out, size_t max) noexcept
    const wsf_kernels *wsf_select(const char *name) noexcept
    const wsf_kernels *wsf_active() noexcept

    ctypedef enum wsf_tail:
        WSF_TAIL_INCOMPLETE
        WSF_TAIL_INVALID

    wsf_tail wsf_utf8_tail(const uint8_t *src, size_t n, size_t *at) noexcept

    ctypedef struct wsf_utf8_stream:
        wsf_text text
        uint8_t held_length

    size_t wsf_utf8_feed(const wsf_kernels *k, wsf_utf8_stream *stream, const uint8_t *src, size_t n) noexcept

    enum:
        WSF_HEADER_MAX

    ctypedef struct wsf_header:
        uint64_t length
        wsf_key key
        uint8_t first
        uint8_t masked
        uint8_t size

    ctypedef enum wsf_header_result:
        WSF_HEADER_OK
        WSF_HEADER_INCOMPLETE
        WSF_HEADER_NOT_MINIMAL
        WSF_HEADER_TOO_LONG

    wsf_header_result wsf_header_parse(const uint8_t *src, size_t n, wsf_header *out) noexcept
    size_t wsf_header_size(uint64_t length, bint masked) noexcept
    size_t wsf_header_build(uint8_t *dst, uint8_t first, uint64_t length, bint masked, wsf_key key) noexcept

    size_t wsf_head_end(const uint8_t *src, size_t n, size_t start) noexcept
    size_t wsf_head_line(const uint8_t *src, size_t n) noexcept

    ctypedef struct wsf_head_field_parts:
        size_t name_size
        size_t value
        size_t value_size
        size_t size

    bint wsf_head_field(const uint8_t *src, size_t n, wsf_head_field_parts *out) noexcept
