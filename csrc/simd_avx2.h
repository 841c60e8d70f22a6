/*
 * 32-byte vectors on x86-64, for the sets from AVX2 on. Include after simd_x86.h.
 */
typedef __m256i v32_t;
typedef __m256i v32_mask;

OP v32_t v32_load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

OP void v32_store(void *p, v32_t v) {
    _mm256_storeu_si256((__m256i *)p, v);
}

OP v32_t v32_splat(int byte) {
    return _mm256_set1_epi8((char)byte);
}

OP v32_t v32_key(wsf_key key) {
    return _mm256_set1_epi32((int)key);
}

OP v32_t v32_table(const uint8_t table[16]) {
    return _mm256_broadcastsi128_si256(v16_load(table));
}

OP v32_t v32_and(v32_t a, v32_t b) {
    return _mm256_and_si256(a, b);
}

OP v32_t v32_or(v32_t a, v32_t b) {
    return _mm256_or_si256(a, b);
}

OP v32_t v32_xor(v32_t a, v32_t b) {
    return _mm256_xor_si256(a, b);
}

OP v32_t v32_max(v32_t a, v32_t b) {
    return _mm256_max_epu8(a, b);
}

OP v32_t v32_subs(v32_t a, v32_t b) {
    return _mm256_subs_epu8(a, b);
}

OP v32_t v32_lookup(v32_t table, v32_t indices) {
    return _mm256_shuffle_epi8(table, indices);
}

OP v32_t v32_high_nibbles(v32_t v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), v32_table(wsf_scan.low_nibble));
}

OP bool v32_is_ascii(v32_t v) {
    return _mm256_movemask_epi8(v) == 0;
}

OP bool v32_any(v32_t v) {
    return !_mm256_testz_si256(v, v);
}

OP v32_t v32_prev1(v32_t v, v32_t behind) {
    return _mm256_alignr_epi8(v, behind, 15);
}

OP v32_t v32_prev2(v32_t v, v32_t behind) {
    return _mm256_alignr_epi8(v, behind, 14);
}

OP v32_t v32_prev3(v32_t v, v32_t behind) {
    return _mm256_alignr_epi8(v, behind, 13);
}

/* The low half moves up, zeros fill: what is behind the first vector of a text. */
OP v32_t v32_first_behind(v32_t v) {
    return _mm256_permute2x128_si256(v, v, 0x08);
}

OP uint32_t v32_leads(v32_t v) {
    const v32_t last = v32_table(wsf_scan.last_continuation);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(v, last));
}

OP uint8_t v32_highest(v32_t v) {
    return v16_highest(_mm_max_epu8(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

OP v32_t v32_select(v32_mask mask, v32_t yes, v32_t no) {
    return _mm256_blendv_epi8(no, yes, mask);
}

OP v32_t v32_keep(v32_mask mask, v32_t v) {
    return _mm256_and_si256(mask, v);
}

OP v32_t v32_if_high(v32_t v, v32_t yes, v32_t no) {
    return _mm256_blendv_epi8(no, yes, v);
}

OP uint32_t v32_bits(v32_mask mask) {
    return (uint32_t)_mm256_movemask_epi8(mask);
}

OP v32_mask v32_at_least(v32_t v, int byte) {
    return _mm256_cmpeq_epi8(_mm256_max_epu8(v, v32_splat(byte)), v);
}

/* The upper half moves down, zeros follow it. */
OP v32_t v32_ahead(v32_t v) {
    return _mm256_permute2x128_si256(v, v, 0x81);
}

OP v32_t v32_next1(v32_t v) {
    return _mm256_alignr_epi8(v32_ahead(v), v, 1);
}

OP v32_t v32_next2(v32_t v) {
    return _mm256_alignr_epi8(v32_ahead(v), v, 2);
}

OP v32_t v32_next3(v32_t v) {
    return _mm256_alignr_epi8(v32_ahead(v), v, 3);
}

/* 17-31 bytes, zeros after them. */
OP v32_t v32_load_start(const uint8_t *p, size_t n) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(v16_load(p)),
                                   v16_load_up_to_16(p + 16, n - 16), 1);
}

OP v32_t v32_shl6(v32_t v) {
    return _mm256_and_si256(_mm256_slli_epi16(v, 6), v32_splat(0xC0));
}

OP v32_t v32_shl4(v32_t v) {
    return _mm256_and_si256(_mm256_slli_epi16(v, 4), v32_splat(0xF0));
}

OP v32_t v32_shl2_1c(v32_t v) {
    return _mm256_and_si256(_mm256_slli_epi16(v, 2), v32_splat(0x1C));
}

OP v32_t v32_shr2_0f(v32_t v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 2), v32_splat(0x0F));
}

OP v32_t v32_shr4_03(v32_t v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), v32_splat(0x03));
}

/* ---- For simd_encode.h --------------------------------------------------------------------- */

/* Joins eight lanes of four bytes, four a store; bits 0-7 and 16-23 of `codes` are their codes. */
OP size_t store_encoded_pair(uint8_t *dst, v32_t lanes, uint32_t codes) {
    const uint32_t low = codes & 0xFF;
    const uint32_t high = codes >> 16 & 0xFF;
    const v32_t order = _mm256_inserti128_si256(_mm256_castsi128_si256(v16_load(wsf_encode[low])),
                                                v16_load(wsf_encode[high]), 1);
    const v32_t joined = _mm256_shuffle_epi8(lanes, order);
    const size_t length = wsf_encode_length[low];
    v16_store(dst, _mm256_castsi256_si128(joined));
    v16_store(dst + length, _mm256_extracti128_si256(joined, 1));
    return length + wsf_encode_length[high];
}

/*
 * Eight units to lanes of four bytes; two bits of the codes for each:
 *
 *     lane      F0+v>>18  E0+v>>12 or 80+(v>>12&3F)  C0+v>>6 or 80+(v>>6&3F)  v or 80+(v&3F)
 *     codes     00 below 80, 01 below 800, 11 below 10000, 10 from there on
 */
OP size_t encode4_pair(uint8_t *dst, v32_t v) {
    const v32_t six = _mm256_set1_epi32(0x3F);
    const v32_t mark = _mm256_set1_epi32(0x80);
    const v32_t one = _mm256_cmpeq_epi32(_mm256_min_epu32(v, _mm256_set1_epi32(0x7F)), v);
    const v32_t two = _mm256_cmpeq_epi32(_mm256_min_epu32(v, _mm256_set1_epi32(0x7FF)), v);
    const v32_t three = _mm256_cmpeq_epi32(_mm256_min_epu32(v, _mm256_set1_epi32(0xFFFF)), v);
    const v32_t last = _mm256_blendv_epi8(_mm256_or_si256(_mm256_and_si256(v, six), mark), v, one);
    const v32_t mid =
        _mm256_or_si256(_mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(v, 6), six), mark),
                        _mm256_and_si256(two, _mm256_set1_epi32(0x40)));
    const v32_t third =
        _mm256_or_si256(_mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(v, 12), six), mark),
                        _mm256_and_si256(three, _mm256_set1_epi32(0x60)));
    const v32_t top = _mm256_or_si256(_mm256_srli_epi32(v, 18), _mm256_set1_epi32(0xF0));
    const v32_t lanes =
        _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi32(last, 24), _mm256_slli_epi32(mid, 16)),
                        _mm256_or_si256(_mm256_slli_epi32(third, 8), top));
    /* In 16-bit halves: the lower bit of the code in the lower half, the upper in the upper. */
    const v32_t lower = _mm256_andnot_si256(one, three);
    const v32_t upper = _mm256_xor_si256(two, _mm256_set1_epi32(-1));
    const v32_t codes = _mm256_blend_epi16(lower, upper, 0xAA);
    return store_encoded_pair(dst, lanes,
                              (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(codes, codes)));
}

OP size_t encode4_block(uint8_t *dst, const uint32_t *src) {
    const size_t length = encode4_pair(dst, v32_load(src));
    return length + encode4_pair(dst + length, v32_load(src + 8));
}
