/*
 * Template: ucs1/2/4_to_utf8 for one vector set. Each unit becomes a lane that holds all the bytes
 * it could need; a shuffle from a table then joins the bytes that it does need.
 *
 * Needs v16_ operations and v16_pack_bytes (see simd_decode.h), v16_interleave_low/high(a, b),
 * v16_high_bits(v) (bit i: the top bit of byte i), v16_narrow2/4 (ASCII units to bytes),
 * v16_encode2/4 (units to lanes and the codes that index wsf_encode); or, where there are wider
 * vectors, encode4_block (16 units to UTF-8) in place of the last.
 */

/*
 * What one round of a loop over 16 units may write, the last store in full. Where less is left,
 * scalar code goes on.
 */
enum { ENCODE_ROOM_1 = 32, ENCODE_ROOM_2 = 3 * 12 + 16, ENCODE_ROOM_4 = 4 * 16 };

FN void ucs1_to_utf8(uint8_t *dst, size_t size, const uint8_t *src, size_t n) {
    if (n < 16) {
        wsf_ucs1_to_utf8_scalar(dst, size, src, n);
        return;
    }
    const uint8_t *const end = dst + size;
    size_t i = 0;
    while (n - i >= 16 && (size_t)(end - dst) >= ENCODE_ROOM_1) {
        const v16_t v = v16_load(src + i);
        i += 16;
        if (v16_is_ascii(v)) {
            v16_store(dst, v);
            dst += 16;
            continue;
        }
        /* 80-FF are C2-C3 and a continuation byte; ASCII takes its second byte alone. */
        const v16_t lead = v16_ucs1_lead(v);
        const v16_t last = v16_if_high(v, v16_and(v, v16_splat(0xBF)), v);
        const v16_t all = v16_splat(0xFF);
        dst += v16_pack_bytes(dst, v16_interleave_low(lead, last),
                              v16_high_bits(v16_interleave_low(v, all)));
        dst += v16_pack_bytes(dst, v16_interleave_high(lead, last),
                              v16_high_bits(v16_interleave_high(v, all)));
    }
    wsf_ucs1_to_utf8_scalar(dst, (size_t)(end - dst), src + i, n - i);
}

/* Joins four lanes by their codes; writes 16 bytes and returns how many of them count. */
OP size_t store_encoded(uint8_t *dst, v16_t lanes, uint32_t codes) {
    v16_store(dst, v16_lookup(lanes, v16_load(wsf_encode[codes])));
    return wsf_encode_length[codes];
}

OP size_t encode2_block(uint8_t *dst, const uint16_t *src) {
    size_t length = 0;
    for (size_t k = 0; k < 16; k += 8) {
        v16_t low, high;
        const uint32_t codes = v16_encode2(v16_load(src + k), &low, &high);
        length += store_encoded(dst + length, low, codes & 0xFF);
        length += store_encoded(dst + length, high, codes >> 8);
    }
    return length;
}

/* AVX2 does this twice as wide; for two-byte units that would be slower. */
#if VEC == 16
OP size_t encode4_block(uint8_t *dst, const uint32_t *src) {
    size_t length = 0;
    for (size_t k = 0; k < 16; k += 4) {
        v16_t lanes;
        const uint32_t codes = v16_encode4(v16_load(src + k), &lanes);
        length += store_encoded(dst + length, lanes, codes);
    }
    return length;
}
#endif

FN void ucs2_to_utf8(uint8_t *dst, size_t size, const uint16_t *src, size_t n) {
    if (n < 16) {
        wsf_ucs2_to_utf8_scalar(dst, size, src, n);
        return;
    }
    const uint8_t *const end = dst + size;
    size_t i = 0;
    while (n - i >= 16 && (size_t)(end - dst) >= ENCODE_ROOM_2) {
        const v16_t a = v16_load(src + i);
        const v16_t b = v16_load(src + i + 8);
        if (!v16_any(v16_and(v16_or(a, b), v16_above_ascii2()))) {
            v16_store(dst, v16_narrow2(a, b));
            dst += 16;
            i += 16;
            continue;
        }
        dst += encode2_block(dst, src + i);
        i += 16;
    }
    wsf_ucs2_to_utf8_scalar(dst, (size_t)(end - dst), src + i, n - i);
}

FN void ucs4_to_utf8(uint8_t *dst, size_t size, const uint32_t *src, size_t n) {
    if (n < 16) {
        wsf_ucs4_to_utf8_scalar(dst, size, src, n);
        return;
    }
    const uint8_t *const end = dst + size;
    size_t i = 0;
    while (n - i >= 16 && (size_t)(end - dst) >= ENCODE_ROOM_4) {
        const v16_t a = v16_load(src + i);
        const v16_t b = v16_load(src + i + 4);
        const v16_t c = v16_load(src + i + 8);
        const v16_t d = v16_load(src + i + 12);
        if (!v16_any(v16_and(v16_or(v16_or(a, b), v16_or(c, d)), v16_above_ascii4()))) {
            v16_store(dst, v16_narrow4(a, b, c, d));
            dst += 16;
            i += 16;
            continue;
        }
        dst += encode4_block(dst, src + i);
        i += 16;
    }
    wsf_ucs4_to_utf8_scalar(dst, (size_t)(end - dst), src + i, n - i);
}
