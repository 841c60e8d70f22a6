/*
 * Template: the sizes that text has as UTF-8. Plain loops that every compiler vectorises; each set
 * includes them, so that they are compiled for its instructions. Before including, define
 * WSF_SET_TARGET as the function attribute of the set, or leave it undefined.
 *
 * A unit takes one byte, and one more for each of the thresholds 80, 800, 10000 that it reaches.
 */
#ifndef WSF_SET_TARGET
#define WSF_SET_TARGET
#endif

WSF_SET_TARGET
static size_t ucs1_utf8_size(const uint8_t *src, size_t n) {
    size_t size = n;
    /* Narrow counters mean more of them in a register. They hold 255; 192 is whole vectors. */
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > 192 ? i + 192 : n;
        uint8_t wide = 0;
        for (; i < stop; i++) {
            wide = (uint8_t)(wide + (src[i] >> 7));
        }
        size += wide;
    }
    return size;
}

WSF_SET_TARGET
static size_t ucs2_utf8_size(const uint16_t *src, size_t n) {
    size_t size = n;
    uint16_t surrogates = 0;
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > 8192 ? i + 8192 : n;
        uint16_t more = 0;
        for (; i < stop; i++) {
            const uint16_t unit = src[i];
            more = (uint16_t)(more + (unit > 0x7F));
            more = (uint16_t)(more + (unit > 0x7FF));
            surrogates = (uint16_t)(surrogates | ((unit & 0xF800) == 0xD800));
        }
        size += more;
    }
    return surrogates ? SIZE_MAX : size;
}

WSF_SET_TARGET
static size_t ucs4_utf8_size(const uint32_t *src, size_t n) {
    size_t size = n;
    uint32_t wrong = 0;
    for (size_t i = 0; i < n;) {
        const size_t stop = n - i > 65536 ? i + 65536 : n;
        uint32_t more = 0;
        for (; i < stop; i++) {
            const uint32_t unit = src[i];
            more += (uint32_t)(unit > 0x7F) + (unit > 0x7FF) + (unit > 0xFFFF);
            wrong |= (uint32_t)((unit & 0xFFFFF800) == 0xD800) | (unit > 0x10FFFF);
        }
        size += more;
    }
    return wrong ? SIZE_MAX : size;
}
