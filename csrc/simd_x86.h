/*
 * 16-byte vectors on x86-64, for all its sets. Before including, define OP.
 */
#include <immintrin.h>

#include "tables.h"

#if defined(_MSC_VER) && !defined(__clang__)
#define WSF_POPCOUNT64(x) ((size_t)__popcnt64(x))
#else
#define WSF_POPCOUNT64(x) ((size_t)__builtin_popcountll(x))
#endif

typedef __m128i v16_t;
typedef __m128i v16_mask;

OP v16_t v16_load(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

OP void v16_store(void *p, v16_t v) {
    _mm_storeu_si128((__m128i *)p, v);
}

OP v16_t v16_words(uint64_t low, uint64_t high) {
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* 1-16 bytes, zeros after them, without a read outside src[0, n). */
OP v16_t v16_load_up_to_16(const uint8_t *src, size_t n) {
    uint64_t low, high = 0;
    if (n >= 8) {
        low = wsf_load64(src);
        if (n > 8) {
            high = wsf_load64(src + n - 8) >> (16 - n) * 8;
        }
    } else if (n >= 4) {
        low = wsf_load32(src);
        if (n > 4) {
            low |= (uint64_t)(wsf_load32(src + n - 4) >> (8 - n) * 8) << 32;
        }
    } else {
        low = src[0] | (uint32_t)src[n / 2] << n / 2 * 8 | (uint32_t)src[n - 1] << (n - 1) * 8;
    }
    return v16_words(low, high);
}

OP v16_t v16_splat(int byte) {
    return _mm_set1_epi8((char)byte);
}

OP v16_t v16_key(wsf_key key) {
    return _mm_set1_epi32((int)key);
}

OP v16_t v16_table(const uint8_t table[16]) {
    return v16_load(table);
}

OP v16_t v16_and(v16_t a, v16_t b) {
    return _mm_and_si128(a, b);
}

OP v16_t v16_or(v16_t a, v16_t b) {
    return _mm_or_si128(a, b);
}

OP v16_t v16_xor(v16_t a, v16_t b) {
    return _mm_xor_si128(a, b);
}

OP v16_t v16_max(v16_t a, v16_t b) {
    return _mm_max_epu8(a, b);
}

OP v16_t v16_subs(v16_t a, v16_t b) {
    return _mm_subs_epu8(a, b);
}

OP v16_t v16_lookup(v16_t table, v16_t indices) {
    return _mm_shuffle_epi8(table, indices);
}

OP v16_t v16_high_nibbles(v16_t v) {
    return _mm_and_si128(_mm_srli_epi16(v, 4), v16_table(wsf_scan.low_nibble));
}

OP bool v16_is_ascii(v16_t v) {
    return _mm_movemask_epi8(v) == 0;
}

OP bool v16_any(v16_t v) {
    return !_mm_testz_si128(v, v);
}

OP v16_t v16_prev1(v16_t v, v16_t behind) {
    return _mm_alignr_epi8(v, behind, 15);
}

OP v16_t v16_prev2(v16_t v, v16_t behind) {
    return _mm_alignr_epi8(v, behind, 14);
}

OP v16_t v16_prev3(v16_t v, v16_t behind) {
    return _mm_alignr_epi8(v, behind, 13);
}

/* Bit i: byte i is not a continuation byte (80-BF, which signed is below -64). */
OP uint32_t v16_leads(v16_t v) {
    return (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(v, v16_table(wsf_scan.last_continuation)));
}

OP size_t v16_count_leads(v16_t v) {
    return WSF_POPCOUNT64(v16_leads(v));
}

OP uint8_t v16_highest(v16_t v) {
    /* PHMINPOSUW finds the least of eight 16-bit lanes: complement, and fold odd bytes on even. */
    const v16_t low = _mm_xor_si128(v, _mm_set1_epi8(-1));
    const v16_t folded = _mm_min_epu8(low, _mm_srli_epi16(low, 8));
    const v16_t least = _mm_minpos_epu16(_mm_and_si128(folded, _mm_set1_epi16(0xFF)));
    return (uint8_t)~_mm_extract_epi8(least, 0);
}

/* ---- For simd_decode.h --------------------------------------------------------------------- */

OP v16_t v16_select(v16_mask mask, v16_t yes, v16_t no) {
    return _mm_blendv_epi8(no, yes, mask);
}

OP v16_t v16_keep(v16_mask mask, v16_t v) {
    return _mm_and_si128(mask, v);
}

OP v16_t v16_if_high(v16_t v, v16_t yes, v16_t no) {
    return _mm_blendv_epi8(no, yes, v);
}

OP uint32_t v16_bits(v16_mask mask) {
    return (uint32_t)_mm_movemask_epi8(mask);
}

OP v16_mask v16_at_least(v16_t v, int byte) {
    return _mm_cmpeq_epi8(_mm_max_epu8(v, v16_splat(byte)), v);
}

OP v16_t v16_next1(v16_t v) {
    return _mm_srli_si128(v, 1);
}

OP v16_t v16_next2(v16_t v) {
    return _mm_srli_si128(v, 2);
}

OP v16_t v16_next3(v16_t v) {
    return _mm_srli_si128(v, 3);
}

/* x86 shifts no bytes: shift 16-bit lanes and clear what came over from the neighbour. */
OP v16_t v16_shl6(v16_t v) {
    return _mm_and_si128(_mm_slli_epi16(v, 6), v16_splat(0xC0));
}

OP v16_t v16_shl4(v16_t v) {
    return _mm_and_si128(_mm_slli_epi16(v, 4), v16_splat(0xF0));
}

OP v16_t v16_shl2_1c(v16_t v) {
    return _mm_and_si128(_mm_slli_epi16(v, 2), v16_splat(0x1C));
}

OP v16_t v16_shr2_0f(v16_t v) {
    return _mm_and_si128(_mm_srli_epi16(v, 2), v16_splat(0x0F));
}

OP v16_t v16_shr4_03(v16_t v) {
    return _mm_and_si128(_mm_srli_epi16(v, 4), v16_splat(0x03));
}

/* Packs the bytes of `v` whose bit in `mask` is set. Stores 8 bytes twice; returns the bits set. */
OP size_t v16_pack_bytes(uint8_t *dst, v16_t v, uint32_t mask) {
    const uint32_t low = mask & 0xFF;
    const uint32_t high = mask >> 8 & 0xFF;
    const v16_t first = _mm_loadl_epi64((const __m128i *)&wsf_pack8[low]);
    const v16_t second = _mm_loadl_epi64((const __m128i *)&wsf_pack8[high]);
    const v16_t upper = _mm_unpackhi_epi64(v, v);
    _mm_storel_epi64((__m128i *)dst, _mm_shuffle_epi8(v, first));
    _mm_storel_epi64((__m128i *)(dst + WSF_POPCOUNT64(low)), _mm_shuffle_epi8(upper, second));
    return WSF_POPCOUNT64(mask & 0xFFFF);
}

/* ---- For simd_encode.h --------------------------------------------------------------------- */

OP v16_t v16_interleave_low(v16_t a, v16_t b) {
    return _mm_unpacklo_epi8(a, b);
}

OP v16_t v16_interleave_high(v16_t a, v16_t b) {
    return _mm_unpackhi_epi8(a, b);
}

OP uint32_t v16_high_bits(v16_t v) {
    return (uint32_t)_mm_movemask_epi8(v);
}

/* C0 and the top two bits of the unit. */
OP v16_t v16_ucs1_lead(v16_t v) {
    return _mm_or_si128(_mm_and_si128(_mm_srli_epi16(v, 6), v16_splat(0x03)), v16_splat(0xC0));
}

OP v16_t v16_above_ascii2(void) {
    return _mm_set1_epi16((short)0xFF80);
}

OP v16_t v16_above_ascii4(void) {
    return _mm_set1_epi32((int)0xFFFFFF80);
}

OP v16_t v16_narrow2(v16_t a, v16_t b) {
    return _mm_packus_epi16(a, b);
}

OP v16_t v16_narrow4(v16_t a, v16_t b, v16_t c, v16_t d) {
    return _mm_packus_epi16(_mm_packus_epi32(a, b), _mm_packus_epi32(c, d));
}

/*
 * Eight units to lanes of four bytes; two bits of the result for each:
 *
 *     lane      ..  E0+v>>12  C0+v>>6 or 80+(v>>6&3F)  v or 80+(v&3F)
 *     codes     00 below 80, 01 below 800, 11 from there on
 */
OP uint32_t v16_encode2(v16_t v, v16_t *low, v16_t *high) {
    const v16_t six = _mm_set1_epi16(0x3F);
    const v16_t mark = _mm_set1_epi16(0x80);
    const v16_t one = _mm_cmpeq_epi16(_mm_min_epu16(v, _mm_set1_epi16(0x7F)), v);
    const v16_t two = _mm_cmpeq_epi16(_mm_min_epu16(v, _mm_set1_epi16(0x7FF)), v);
    const v16_t last = _mm_blendv_epi8(_mm_or_si128(_mm_and_si128(v, six), mark), v, one);
    const v16_t mid = _mm_or_si128(_mm_or_si128(_mm_and_si128(_mm_srli_epi16(v, 6), six), mark),
                                   _mm_and_si128(two, _mm_set1_epi16(0x40)));
    const v16_t head = _mm_or_si128(_mm_srli_epi16(v, 12), _mm_set1_epi16(0xE0));
    const v16_t front = _mm_slli_epi16(head, 8);
    const v16_t back = _mm_or_si128(_mm_slli_epi16(last, 8), mid);
    *low = _mm_unpacklo_epi16(front, back);
    *high = _mm_unpackhi_epi16(front, back);
    const v16_t fewer = _mm_blendv_epi8(two, one, _mm_set1_epi16(0xFF));
    return ~(uint32_t)_mm_movemask_epi8(fewer) & 0xFFFF;
}
