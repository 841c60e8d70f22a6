/*
 * The 64-byte set for x86-64: AVX-512 F, BW, VL, VBMI and VBMI2, with what avx2.c uses.
 */
#include "wsf_impl.h"

#if WSF_X86_64

/* A test build emulates the intrinsics, and then must not let the compiler use the real thing. */
#ifndef WSF_AVX512_TARGET
#define WSF_AVX512_TARGET \
    WSF_TARGET("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2,popcnt")
#endif

#define SET_TARGET WSF_AVX512_TARGET
#define OP SET_TARGET WSF_INLINE
#define FN SET_TARGET static
#define VEC 64
#define V(name) v64_##name

#include "simd_x86.h"
#include "simd_avx2.h"

/* ---- 64-byte vectors ----------------------------------------------------------------------- */

typedef __m512i v64_t;
typedef __mmask64 v64_mask;

OP v64_t v64_load(const void *p) {
    return _mm512_loadu_si512(p);
}

OP void v64_store(void *p, v64_t v) {
    _mm512_storeu_si512(p, v);
}

OP v64_t v64_splat(int byte) {
    return _mm512_set1_epi8((char)byte);
}

OP v64_t v64_key(wsf_key key) {
    return _mm512_set1_epi32((int)key);
}

OP v64_t v64_table(const uint8_t table[16]) {
    return _mm512_broadcast_i32x4(v16_load(table));
}

OP v64_t v64_and(v64_t a, v64_t b) {
    return _mm512_and_si512(a, b);
}

OP v64_t v64_or(v64_t a, v64_t b) {
    return _mm512_or_si512(a, b);
}

OP v64_t v64_xor(v64_t a, v64_t b) {
    return _mm512_xor_si512(a, b);
}

OP v64_t v64_max(v64_t a, v64_t b) {
    return _mm512_max_epu8(a, b);
}

OP v64_t v64_subs(v64_t a, v64_t b) {
    return _mm512_subs_epu8(a, b);
}

OP v64_t v64_lookup(v64_t table, v64_t indices) {
    return _mm512_shuffle_epi8(table, indices);
}

OP v64_t v64_high_nibbles(v64_t v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), v64_table(wsf_scan.low_nibble));
}

OP bool v64_is_ascii(v64_t v) {
    return _mm512_movepi8_mask(v) == 0;
}

OP bool v64_any(v64_t v) {
    return _mm512_test_epi8_mask(v, v) != 0;
}

OP v64_t v64_prev1(v64_t v, v64_t behind) {
    return _mm512_alignr_epi8(v, behind, 15);
}

OP v64_t v64_prev2(v64_t v, v64_t behind) {
    return _mm512_alignr_epi8(v, behind, 14);
}

OP v64_t v64_prev3(v64_t v, v64_t behind) {
    return _mm512_alignr_epi8(v, behind, 13);
}

/* 16 zeros, then all but the last 16 bytes: what is behind the first vector of a text. */
OP v64_t v64_first_behind(v64_t v) {
    return _mm512_alignr_epi32(v, _mm512_setzero_si512(), 12);
}

OP uint64_t v64_leads(v64_t v) {
    return _mm512_cmpgt_epi8_mask(v, v64_table(wsf_scan.last_continuation));
}

OP uint64_t block_leads(const uint8_t *p) {
    return v64_leads(v64_load(p));
}

OP uint8_t v64_highest(v64_t v) {
    const __m256i half =
        _mm256_max_epu8(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return v16_highest(
        _mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

OP v64_t v64_select(v64_mask mask, v64_t yes, v64_t no) {
    return _mm512_mask_blend_epi8(mask, no, yes);
}

OP v64_t v64_keep(v64_mask mask, v64_t v) {
    return _mm512_maskz_mov_epi8(mask, v);
}

OP v64_t v64_if_high(v64_t v, v64_t yes, v64_t no) {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), no, yes);
}

OP uint64_t v64_bits(v64_mask mask) {
    return mask;
}

OP v64_mask v64_at_least(v64_t v, int byte) {
    return _mm512_cmpge_epu8_mask(v, v64_splat(byte));
}

/* 16 bytes on, with zeros at the end. */
OP v64_t v64_ahead(v64_t v) {
    return _mm512_alignr_epi32(_mm512_setzero_si512(), v, 4);
}

OP v64_t v64_next1(v64_t v) {
    return _mm512_alignr_epi8(v64_ahead(v), v, 1);
}

OP v64_t v64_next2(v64_t v) {
    return _mm512_alignr_epi8(v64_ahead(v), v, 2);
}

OP v64_t v64_next3(v64_t v) {
    return _mm512_alignr_epi8(v64_ahead(v), v, 3);
}

OP v64_t v64_load_start(const uint8_t *p, size_t n) {
    return _mm512_maskz_loadu_epi8((UINT64_C(1) << n) - 1, p);
}

OP v64_t v64_shl6(v64_t v) {
    return _mm512_and_si512(_mm512_slli_epi16(v, 6), v64_splat(0xC0));
}

OP v64_t v64_shl4(v64_t v) {
    return _mm512_and_si512(_mm512_slli_epi16(v, 4), v64_splat(0xF0));
}

OP v64_t v64_shl2_1c(v64_t v) {
    return _mm512_and_si512(_mm512_slli_epi16(v, 2), v64_splat(0x1C));
}

OP v64_t v64_shr2_0f(v64_t v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, 2), v64_splat(0x0F));
}

OP v64_t v64_shr4_03(v64_t v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), v64_splat(0x03));
}

/* ---- Storing what simd_decode.h decodes ---------------------------------------------------- */

/*
 * Interleaving works on each 16 bytes for themselves. Spread the eight words of a vector first, k and
 * k + 4 side by side, so that the low halves interleave to the first half of the result.
 */
OP v64_t spread(v64_t v) {
    return _mm512_permutexvar_epi64(_mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0), v);
}

OP size_t emit_ucs1(uint8_t *dst, v64_t low, uint64_t leads) {
    v64_store(dst, _mm512_maskz_compress_epi8(leads, low));
    return WSF_POPCOUNT64(leads);
}

OP void store_ucs2(uint16_t *dst, v64_t low, v64_t high) {
    low = spread(low);
    high = spread(high);
    v64_store(dst, _mm512_unpacklo_epi8(low, high));
    v64_store(dst + 32, _mm512_unpackhi_epi8(low, high));
}

/* 64 units in three planes; a lane's fourth byte is always 0. */
OP void store_ucs4(uint32_t *dst, v64_t low, v64_t high, v64_t top) {
    const v64_t zero = _mm512_setzero_si512();
    low = spread(low);
    high = spread(high);
    top = spread(top);
    const v64_t low_0 = spread(_mm512_unpacklo_epi8(low, high));
    const v64_t low_32 = spread(_mm512_unpackhi_epi8(low, high));
    const v64_t top_0 = spread(_mm512_unpacklo_epi8(top, zero));
    const v64_t top_32 = spread(_mm512_unpackhi_epi8(top, zero));
    v64_store(dst, _mm512_unpacklo_epi16(low_0, top_0));
    v64_store(dst + 16, _mm512_unpackhi_epi16(low_0, top_0));
    v64_store(dst + 32, _mm512_unpacklo_epi16(low_32, top_32));
    v64_store(dst + 48, _mm512_unpackhi_epi16(low_32, top_32));
}

OP size_t emit_ucs2(uint16_t *dst, v64_t low, v64_t high, uint64_t leads) {
    store_ucs2(dst, _mm512_maskz_compress_epi8(leads, low),
               _mm512_maskz_compress_epi8(leads, high));
    return WSF_POPCOUNT64(leads);
}

OP size_t emit_ucs4(uint32_t *dst, v64_t low, v64_t high, v64_t top, uint64_t leads) {
    store_ucs4(dst, _mm512_maskz_compress_epi8(leads, low), _mm512_maskz_compress_epi8(leads, high),
               _mm512_maskz_compress_epi8(leads, top));
    return WSF_POPCOUNT64(leads);
}

OP void widen_ucs2(uint16_t *dst, v64_t v) {
    store_ucs2(dst, v, _mm512_setzero_si512());
}

OP void widen_ucs4(uint32_t *dst, v64_t v) {
    store_ucs4(dst, v, _mm512_setzero_si512(), _mm512_setzero_si512());
}

/* ---- The kernels --------------------------------------------------------------------------- */

#include "simd_mask.h"
#include "simd_scan.h"
#include "simd_decode.h"
#include "simd_encode.h"

#define WSF_SET_TARGET SET_TARGET
#include "utf8_sizes.h"

const wsf_kernels wsf_kernels_avx512 = {
    .name = "avx512",
    .required = WSF_CPU_AVX512,
    .mask = mask,
    .mask_ascii = mask_ascii,
    .utf8_scan = utf8_scan,
    .utf8_valid = utf8_valid,
    .utf8_to_ucs1 = utf8_to_ucs1,
    .utf8_to_ucs2 = utf8_to_ucs2,
    .utf8_to_ucs4 = utf8_to_ucs4,
    .utf8_to_latin1 = utf8_to_latin1,
    .ucs1_utf8_size = ucs1_utf8_size,
    .ucs2_utf8_size = ucs2_utf8_size,
    .ucs4_utf8_size = ucs4_utf8_size,
    .ucs1_to_utf8 = ucs1_to_utf8,
    .ucs2_to_utf8 = ucs2_to_utf8,
    .ucs4_to_utf8 = ucs4_to_utf8,
};

#else
typedef int wsf_no_avx512; /* C wants something in every file */
#endif
