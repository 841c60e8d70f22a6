/*
 * Template: utf8_to_ucs1/2/4 for one vector set. The text is valid; nothing here checks, except for
 * utf8_to_latin1 at the end.
 *
 * For every byte of a vector form the code point *as if one started there*, out of it and the three
 * bytes that follow, in separate planes of 8 bits; then keep those lanes where one does start. The
 * work is the same whatever the text holds, so a mix of scripts costs no mispredicted branches:
 *
 *     bytes      'a'  C3   A9   E4   BD   A0
 *     planes     61   E9   ..   60   ..   ..      low
 *                00   00   ..   4F   ..   ..      high
 *     leads       1    1    0    1    0    0      -> 0061 00E9 4F60
 *
 * Needs, besides what simd_scan.h lists: _select(mask, yes, no), _keep(mask, v), _at_least(v, n),
 * _if_high(v, yes, no) by the top bit of v; shifts of bytes that keep some bits: _shl6 (C0),
 * _shl4 (F0), _shl2_1c, _shr2_0f, _shr4_03; _leads (bit i: byte i starts a code point), _next1/2/3
 * (bytes move down, zeros follow), _load_start(p, n) for 16 < n < VEC; emit_ucs1/2/4(dst, planes...,
 * leads), which store the lanes that count, may write up to VEC units, and return how many count;
 * _bits(mask); and widen_ucs2/4 for ASCII.
 */

/* A vector of bytes, and the three that follow each. */
typedef struct block_bytes {
    V(t) b0, b1, b2, b3;
} block_bytes;

/* At p are VEC + 3 readable bytes. */
OP block_bytes read_block(const uint8_t *p) {
    const block_bytes b = {V(load)(p), V(load)(p + 1), V(load)(p + 2), V(load)(p + 3)};
    return b;
}

/* Nothing follows the last byte of v. */
OP block_bytes last_block(V(t) v) {
    const block_bytes b = {v, V(next1)(v), V(next2)(v), V(next3)(v)};
    return b;
}

/* The low six bits of the last byte, and the two low bits of the one before it. */
OP V(t) low_plane(V(t) last, V(t) second_last) {
    return V(or)(V(and)(last, V(splat)(0x3F)), V(shl6)(second_last));
}

/* Each decodes a block; `leads` are the lanes that count. Returns how many those are. */

OP size_t decode_ucs1(uint8_t *dst, block_bytes b, uint64_t leads) {
    return emit_ucs1(dst, V(if_high)(b.b0, low_plane(b.b1, b.b0), b.b0), leads);
}

OP size_t decode_ucs2(uint16_t *dst, block_bytes b, uint64_t leads) {
    const V(mask) three = V(at_least)(b.b0, 0xE0);
    const V(t) last = V(select)(three, b.b2, b.b1);
    const V(t) second_last = V(select)(three, b.b1, b.b0);
    const V(t) low = low_plane(last, second_last);
    const V(t) high = V(or)(V(shr2_0f)(second_last), V(keep)(three, V(shl4)(b.b0)));
    return emit_ucs2(dst, V(if_high)(b.b0, low, b.b0), V(if_high)(b.b0, high, V(splat)(0)), leads);
}

OP size_t decode_ucs4(uint32_t *dst, block_bytes b, uint64_t leads) {
    const V(mask) three = V(at_least)(b.b0, 0xE0); /* or four */
    const V(mask) four = V(at_least)(b.b0, 0xF0);
    const V(t) last = V(select)(four, b.b3, V(select)(three, b.b2, b.b1));
    const V(t) second_last = V(select)(four, b.b2, V(select)(three, b.b1, b.b0));
    const V(t) third_last = V(select)(four, b.b1, b.b0);
    const V(t) low = low_plane(last, second_last);
    const V(t) high = V(or)(V(shr2_0f)(second_last), V(keep)(three, V(shl4)(third_last)));
    const V(t) top = V(keep)(four, V(or)(V(shr4_03)(b.b1), V(shl2_1c)(b.b0)));
    return emit_ucs4(dst, V(if_high)(b.b0, low, b.b0), V(if_high)(b.b0, high, V(splat)(0)), top,
                     leads);
}

/* Up to here a block would cost more than the code points one by one. */
enum { DECODE_SHORT = 16 };

/*
 * The loop around them. A block reads VEC + 3 bytes and writes up to VEC units, so it ends where
 * fewer are left of either. The rest of the units, at most VEC + 2, are put together in `rest`. The
 * last vector ends where the text ends; lanes in it that are already decoded do not count:
 *
 *     |---- blocks ----|--- i       n - VEC                 n
 *                          |- 1, 2 -|--------- VEC ---------|      or:
 *                      |--------- VEC ----i-----------------|
 */
#define DECODE_LOOP(width, unit, ASCII_BLOCK)                                               \
    FN void utf8_to_ucs##width(unit *dst, size_t chars, const uint8_t *src, size_t n) {     \
        if (n <= DECODE_SHORT) {                                                            \
            wsf_utf8_to_ucs##width##_scalar(dst, chars, src, n);                            \
            return;                                                                         \
        }                                                                                   \
        unit rest[2 * VEC + 2];                                                             \
        unit *out = rest;                                                                   \
        size_t room = chars;                                                                \
        size_t i = 0;                                                                       \
        while (n - i >= VEC + 3 && room >= VEC) {                                           \
            const V(t) v = V(load)(src + i);                                                \
            size_t count = VEC;                                                             \
            if (V(is_ascii)(v)) {                                                           \
                ASCII_BLOCK(dst, v);                                                        \
            } else {                                                                        \
                count = decode_ucs##width(dst, read_block(src + i), V(leads)(v));           \
            }                                                                               \
            dst += count;                                                                   \
            room -= count;                                                                  \
            i += VEC;                                                                       \
        }                                                                                   \
        while (n - i >= VEC + 3) {                                                          \
            out += decode_ucs##width(out, read_block(src + i), V(leads)(V(load)(src + i))); \
            i += VEC;                                                                       \
        }                                                                                   \
        if (n - i > VEC) { /* by one or two bytes: decode those alone */                    \
            const V(t) v = V(load)(src + i);                                                \
            const uint64_t few = (UINT64_C(1) << (n - i - VEC)) - 1;                        \
            out += decode_ucs##width(out, last_block(v), V(leads)(v) & few);                \
            i = n - VEC;                                                                    \
        }                                                                                   \
        if (n >= VEC) {                                                                     \
            const V(t) v = V(load)(src + n - VEC);                                          \
            const uint64_t from_i = UINT64_MAX << (i + VEC - n);                            \
            decode_ucs##width(out, last_block(v), V(leads)(v) & from_i);                    \
        } else {                                                                            \
            const V(t) v = V(load_start)(src, n);                                           \
            const uint64_t before_n = (UINT64_C(1) << n % 64) - 1;                          \
            decode_ucs##width(out, last_block(v), V(leads)(v) & before_n);                  \
        }                                                                                   \
        memcpy(dst, rest, room * sizeof(unit));                                             \
    }

DECODE_LOOP(1, uint8_t, V(store))
DECODE_LOOP(2, uint16_t, widen_ucs2)
DECODE_LOOP(4, uint32_t, widen_ucs4)

/*
 * Latin-1 is ASCII, and C2 or C3 with one continuation byte behind it; so a continuation byte stands
 * behind each of those and nowhere else. What holds for a vector but for the byte that its last lead
 * needs is carried into the next.
 */
FN size_t utf8_to_latin1(uint8_t *dst, size_t *chars, const uint8_t *src, size_t n) {
    const uint64_t all = UINT64_MAX >> (64 - VEC);
    uint8_t *out = dst;
    uint64_t carry = 0;
    size_t i = 0;
    while (n - i > VEC) {
        const V(t) b0 = V(load)(src + i);
        const uint64_t leads = V(leads)(b0);
        const uint64_t c2_up = V(bits)(V(at_least)(b0, 0xC2));
        const uint64_t c0_up = V(bits)(V(at_least)(b0, 0xC0));
        const uint64_t c4_up = V(bits)(V(at_least)(b0, 0xC4));
        const uint64_t continued = (c2_up << 1 | carry) & all;
        if (c4_up | (c0_up ^ c2_up) | ((~leads & all) ^ continued)) {
            break;
        }
        carry = c2_up >> (VEC - 1);
        const V(t) low = low_plane(V(load)(src + i + 1), b0);
        out += emit_ucs1(out, V(if_high)(b0, low, b0), leads);
        i += VEC;
    }
    if (carry) { /* the last code point of the last vector was decoded, but not judged */
        i--;
        out--;
    }
    size_t rest;
    i += wsf_utf8_to_latin1_scalar(out, &rest, src + i, n - i);
    *chars = (size_t)(out - dst) + rest;
    return i;
}
