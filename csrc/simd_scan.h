/*
 * Template: utf8_scan for one vector set, by the "lookup4" method of Keiser and Lemire, "Validating
 * UTF-8 in less than one instruction per byte" (2021). Every byte is judged together with the three
 * before it, so a block needs no state: any 64 bytes can be judged if 16 before them are readable.
 *
 * Needs, besides what simd_mask.h lists: _and, _max, _subs, _lookup (16-entry table by low nibble),
 * _high_nibbles, _splat, _table, _prev1/2/3(v, behind), _first_behind, _any, _highest, block_leads.
 */

/*
 * Nonzero bytes where `v` is wrong. `behind` holds the 16 bytes before each 16 bytes of `v`.
 *
 * What is wrong between two neighbours is the AND of three lookups. Two continuations in a row
 * (TWO_CONTS, the top bit) are right exactly where a lead two back asks for two continuations, or
 * one three back for three: saturating subtraction leaves the top bit set for those leads alone.
 */
#define UTF8_ERRORS(P)                                                                     \
    OP P##t P##utf8_errors(P##t v, P##t behind) {                                          \
        const P##t before = P##prev1(v, behind);                                           \
        const P##t low = P##and(before, P##table(wsf_scan.low_nibble));                    \
        const P##t a = P##lookup(P##table(wsf_scan.before_high), P##high_nibbles(before)); \
        const P##t b = P##lookup(P##table(wsf_scan.before_low), low);                      \
        const P##t c = P##lookup(P##table(wsf_scan.here_high), P##high_nibbles(v));        \
        const P##t third = P##subs(P##prev2(v, behind), P##table(wsf_scan.third));         \
        const P##t fourth = P##subs(P##prev3(v, behind), P##table(wsf_scan.fourth));       \
        const P##t wanted = P##and(P##or(third, fourth), P##table(wsf_scan.top_bit));      \
        return P##xor(wanted, P##and(P##and(a, b), c));                                    \
    }

UTF8_ERRORS(v16_)
#if VEC == 32
UTF8_ERRORS(v32_)
#elif VEC == 64
UTF8_ERRORS(v64_)
#endif

enum { BLOCK = 64 };

/* Is there an error in the block at p? `first`: nothing is before it; else 16 bytes are. */
OP bool block_is_broken(const uint8_t *p, bool first) {
    const V(t) head = V(load)(p);
    V(t) errors = V(utf8_errors)(head, first ? V(first_behind)(head) : V(load)(p - 16));
    for (size_t k = VEC; k < BLOCK; k += VEC) {
        errors = V(or)(errors, V(utf8_errors)(V(load)(p + k), V(load)(p + k - 16)));
    }
    return V(any)(errors);
}

/* The byte-wise maximum of the block at p; ASCII if it is. */
OP V(t) block_max(const uint8_t *p) {
    V(t) most = V(load)(p);
    for (size_t k = VEC; k < BLOCK; k += VEC) {
        most = V(max)(most, V(load)(p + k));
    }
    return most;
}

/*
 * The start of the code point that is not complete at src + i, or i. Never goes back further than
 * three bytes, and not before src.
 */
OP size_t cut_back(const uint8_t *src, size_t i) {
    if (i >= 1 && src[i - 1] >= 0xC0) {
        return i - 1;
    }
    if (i >= 2 && src[i - 2] >= 0xE0) {
        return i - 2;
    }
    if (i >= 3 && src[i - 3] >= 0xF0) {
        return i - 3;
    }
    return i;
}

/*
 * Ends a scan that found an error at or after i: `chars` lead bytes are before i, and all of it is
 * right but that the last code point may lack its end.
 */
WSF_COLD FN size_t finish_scan(const uint8_t *src, size_t n, size_t i, size_t chars,
                               wsf_text *text) {
    const size_t start = cut_back(src, i);
    uint8_t highest = 0;
    for (size_t k = 0; k < start; k++) {
        highest = src[k] > highest ? src[k] : highest;
    }
    if (highest >= 0x80 && highest > text->highest) {
        text->highest = highest;
    }
    text->chars += chars - (start < i);
    return start + wsf_utf8_scan_scalar(src + start, n - start, text);
}

OP void add_text(wsf_text *text, size_t chars, uint8_t highest) {
    text->chars += chars;
    if (highest >= 0x80 && highest > text->highest) {
        text->highest = highest;
    }
}

/* Texts of a few blocks: 16 bytes at a time, with the last of them filled up by zeros. */
OP size_t scan_short(const uint8_t *src, size_t n, wsf_text *text) {
    /* ASCII is likely, and known sooner. */
    if (n >= 16) {
        v16_t most = v16_load(src + n - 16);
        for (size_t k = 0; k + 16 < n; k += 16) {
            most = v16_max(most, v16_load(src + k));
        }
        if (v16_is_ascii(most)) {
            text->chars += n;
            return n;
        }
    }
    v16_t behind = v16_splat(0);
    v16_t errors = behind;
    v16_t seen = behind;
    size_t chars = 0;
    size_t i = 0;
    for (; n - i > 16; i += 16) {
        const v16_t v = v16_load(src + i);
        errors = v16_or(errors, v16_utf8_errors(v, behind));
        chars += v16_count_leads(v);
        seen = v16_max(seen, v);
        behind = v;
    }
    const v16_t v = v16_load_up_to_16(src + i, n - i);
    seen = v16_max(seen, v);
    errors = v16_or(errors, v16_utf8_errors(v, behind));
    if (WSF_UNLIKELY(v16_any(errors) || cut_back(src, n) != n)) {
        return finish_scan(src, n, 0, 0, text);
    }
    add_text(text, chars + v16_count_leads(v) - (16 - (n - i)), v16_highest(seen));
    return n;
}

/* Below this, blocks with 16 bytes before them are too few to be worth the start. */
enum { SCAN_SHORT = BLOCK + 16 };

FN size_t scan_long(const uint8_t *src, size_t n, wsf_text *text) {
    V(t) seen = V(splat)(0);
    size_t chars = 0;
    size_t i = 0;
    bool broken = false;
    while (i + BLOCK <= n) {
        V(t) most = block_max(src + i);
        if (V(is_ascii)(most)) {
            if (cut_back(src, i) != i) {
                return finish_scan(src, n, i, chars, text);
            }
            const size_t start = i;
            do {
                i += BLOCK;
            } while (i + BLOCK <= n && V(is_ascii)(block_max(src + i)));
            chars += i - start;
            continue;
        }
        broken = i == 0 ? block_is_broken(src, true) : block_is_broken(src + i, false);
        if (WSF_UNLIKELY(broken)) {
            return finish_scan(src, n, i, chars, text);
        }
        seen = V(max)(seen, most);
        chars += WSF_POPCOUNT64(block_leads(src + i));
        i += BLOCK;
    }
    if (i < n) {
        /* The last block ends where the text ends; the leads before i are already counted. */
        const uint8_t *const tail = src + n - BLOCK;
        const V(t) most = block_max(tail);
        if (V(is_ascii)(most)) {
            chars += n - i;
        } else {
            if (WSF_UNLIKELY(block_is_broken(tail, false))) {
                return finish_scan(src, n, i, chars, text);
            }
            seen = V(max)(seen, most);
            chars += WSF_POPCOUNT64(block_leads(tail) >> (BLOCK - (n - i)));
        }
    }
    if (WSF_UNLIKELY(cut_back(src, n) != n)) {
        return finish_scan(src, n, n, chars, text);
    }
    add_text(text, chars, V(highest)(seen));
    return n;
}

FN size_t utf8_scan(const uint8_t *src, size_t n, wsf_text *text) {
    /* A text that arrives in pieces often ends inside a code point; that is no error yet. */
    const size_t whole = cut_back(src, n);
    if (whole >= SCAN_SHORT) {
        return scan_long(src, whole, text);
    }
    return whole > 0 ? scan_short(src, whole, text) : 0;
}

/* ---- Valid or not, and nothing else -------------------------------------------------------- */

enum { STRIDE = 4 * BLOCK };

/* The same for STRIDE bytes as block_is_broken() for a block. */
OP bool stride_is_broken(const uint8_t *p) {
    V(t) errors = V(splat)(0);
    for (size_t k = 0; k < STRIDE; k += VEC) {
        errors = V(or)(errors, V(utf8_errors)(V(load)(p + k), V(load)(p + k - 16)));
    }
    return V(any)(errors);
}

/*
 * The same where all of it, and the bytes before it that matter, are below E0: only ASCII, leads of
 * two bytes and continuations, in half the instructions. Top bits tell:
 *
 *     byte   v   v - 40   v - 42
 *     00-7F  0     0        0
 *     80-BF  1     0        0      v ^ (v - 40): a continuation. It stands
 *     C0-C1  1     1        0      behind each (v - 42), and nowhere else
 *     C2-DF  1     1        1      (v - 40) ^ (v - 42): always overlong
 *
 * The byte before p was judged by others, who say what is wrong with C0 and C1 at the byte behind.
 */
OP bool stride_below_e0_is_broken(const uint8_t *p) {
    const V(t) x40 = V(splat)(0x40);
    const V(t) x42 = V(splat)(0x42);
    V(t) errors = V(splat)(0);
    for (size_t k = 0; k < STRIDE; k += VEC) {
        const V(t) v = V(load)(p + k);
        const V(t) lead = V(subs)(v, x40);
        const V(t) wanted = V(subs)(V(load)(p + k - 1), x42);
        errors = V(or)(errors, V(xor)(V(xor)(v, lead), wanted));
        errors = V(or)(errors, V(xor)(lead, V(subs)(v, x42)));
    }
    return !V(is_ascii)(errors) || (p[-1] & 0xFE) == 0xC0;
}

/* A right text is the common case: several blocks are judged before any error is looked at. */
FN bool utf8_valid(const uint8_t *src, size_t n) {
    if (n < SCAN_SHORT) {
        wsf_text unused = {0, 0};
        return utf8_scan(src, n, &unused) == n;
    }
    if (cut_back(src, n) != n || block_is_broken(src, true)) {
        return false;
    }
    size_t i = BLOCK;
    for (; n - i >= STRIDE; i += STRIDE) {
        V(t) low = V(max)(block_max(src + i), block_max(src + i + BLOCK));
        V(t) high = V(max)(block_max(src + i + 2 * BLOCK), block_max(src + i + 3 * BLOCK));
        V(t) most = V(max)(low, high);
        bool broken;
        if (V(is_ascii)(most)) {
            broken = cut_back(src, i) != i;
        } else if (V(is_ascii)(V(subs)(V(max)(most, V(load)(src + i - VEC)), V(splat)(0x60)))) {
            broken = stride_below_e0_is_broken(src + i);
        } else {
            broken = stride_is_broken(src + i);
        }
        if (WSF_UNLIKELY(broken)) {
            return false;
        }
    }
    for (; n - i >= BLOCK; i += BLOCK) {
        if (block_is_broken(src + i, false)) {
            return false;
        }
    }
    return !block_is_broken(src + n - BLOCK, false);
}
