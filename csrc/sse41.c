/*
 * The 16-byte set for x86-64: SSSE3, SSE4.1 and POPCNT.
 */
#include "wsf_impl.h"

#if WSF_X86_64

#define SET_TARGET WSF_TARGET("ssse3,sse4.1,popcnt")
#define OP SET_TARGET WSF_INLINE
#define FN SET_TARGET static
#define VEC 16
#define V(name) v16_##name

#include "simd_x86.h"

OP v16_t v16_first_behind(v16_t v) {
    (void)v;
    return _mm_setzero_si128();
}

OP uint64_t block_leads(const uint8_t *p) {
    return (uint64_t)v16_leads(v16_load(p)) | (uint64_t)v16_leads(v16_load(p + 16)) << 16 |
           (uint64_t)v16_leads(v16_load(p + 32)) << 32 |
           (uint64_t)v16_leads(v16_load(p + 48)) << 48;
}

/* Never called: no length is above 16 and below VEC. */
OP v16_t v16_load_start(const uint8_t *p, size_t n) {
    (void)n;
    return v16_load(p);
}

/* ---- Storing what simd_decode.h decodes ---------------------------------------------------- */

OP size_t emit_ucs1(uint8_t *dst, v16_t low, uint64_t leads) {
    return v16_pack_bytes(dst, low, (uint32_t)leads);
}

OP size_t emit_ucs2(uint16_t *dst, v16_t low, v16_t high, uint64_t leads) {
    const size_t half = leads & 0xFF;
    const size_t other = leads >> 8;
    const v16_t a = _mm_shuffle_epi8(_mm_unpacklo_epi8(low, high), v16_load(wsf_pack16[half]));
    const v16_t b = _mm_shuffle_epi8(_mm_unpackhi_epi8(low, high), v16_load(wsf_pack16[other]));
    v16_store(dst, a);
    v16_store(dst + WSF_POPCOUNT64(half), b);
    return WSF_POPCOUNT64(leads);
}

/* Eight lanes: the lower 16 bits of each in `low`, the upper in `high`. */
OP void store_ucs4(uint32_t *dst, v16_t low, v16_t high, size_t leads) {
    const v16_t order = v16_load(wsf_pack16[leads]);
    low = _mm_shuffle_epi8(low, order);
    high = _mm_shuffle_epi8(high, order);
    v16_store(dst, _mm_unpacklo_epi16(low, high));
    v16_store(dst + 4, _mm_unpackhi_epi16(low, high));
}

OP size_t emit_ucs4(uint32_t *dst, v16_t low, v16_t high, v16_t top, uint64_t leads) {
    const v16_t zero = _mm_setzero_si128();
    const size_t half = leads & 0xFF;
    store_ucs4(dst, _mm_unpacklo_epi8(low, high), _mm_unpacklo_epi8(top, zero), half);
    store_ucs4(dst + WSF_POPCOUNT64(half), _mm_unpackhi_epi8(low, high),
               _mm_unpackhi_epi8(top, zero), leads >> 8);
    return WSF_POPCOUNT64(leads);
}

OP void widen_ucs2(uint16_t *dst, v16_t v) {
    const v16_t zero = _mm_setzero_si128();
    v16_store(dst, _mm_unpacklo_epi8(v, zero));
    v16_store(dst + 8, _mm_unpackhi_epi8(v, zero));
}

OP void widen_ucs4(uint32_t *dst, v16_t v) {
    const v16_t zero = _mm_setzero_si128();
    const v16_t low = _mm_unpacklo_epi8(v, zero);
    const v16_t high = _mm_unpackhi_epi8(v, zero);
    v16_store(dst, _mm_unpacklo_epi16(low, zero));
    v16_store(dst + 4, _mm_unpackhi_epi16(low, zero));
    v16_store(dst + 8, _mm_unpacklo_epi16(high, zero));
    v16_store(dst + 12, _mm_unpackhi_epi16(high, zero));
}

/* ---- For simd_encode.h --------------------------------------------------------------------- */

/*
 * Four units to lanes of four bytes, and two bits of the result for each:
 *
 *     lane      F0+v>>18  E0+v>>12 or 80+(v>>12&3F)  C0+v>>6 or 80+(v>>6&3F)  v or 80+(v&3F)
 *     codes     00 below 80, 01 below 800, 11 below 10000, 10 from there on
 */
OP uint32_t v16_encode4(v16_t v, v16_t *lanes) {
    const v16_t six = _mm_set1_epi32(0x3F);
    const v16_t mark = _mm_set1_epi32(0x80);
    const v16_t one = _mm_cmpeq_epi32(_mm_min_epu32(v, _mm_set1_epi32(0x7F)), v);
    const v16_t two = _mm_cmpeq_epi32(_mm_min_epu32(v, _mm_set1_epi32(0x7FF)), v);
    const v16_t three = _mm_cmpeq_epi32(_mm_min_epu32(v, _mm_set1_epi32(0xFFFF)), v);
    const v16_t last = _mm_blendv_epi8(_mm_or_si128(_mm_and_si128(v, six), mark), v, one);
    const v16_t mid = _mm_or_si128(_mm_or_si128(_mm_and_si128(_mm_srli_epi32(v, 6), six), mark),
                                   _mm_and_si128(two, _mm_set1_epi32(0x40)));
    const v16_t third = _mm_or_si128(_mm_or_si128(_mm_and_si128(_mm_srli_epi32(v, 12), six), mark),
                                     _mm_and_si128(three, _mm_set1_epi32(0x60)));
    const v16_t top = _mm_or_si128(_mm_srli_epi32(v, 18), _mm_set1_epi32(0xF0));
    *lanes = _mm_or_si128(_mm_or_si128(_mm_slli_epi32(last, 24), _mm_slli_epi32(mid, 16)),
                          _mm_or_si128(_mm_slli_epi32(third, 8), top));
    /* In 16-bit halves: the lower bit of the code in the lower half, the upper in the upper. */
    const v16_t lower = _mm_andnot_si128(one, three);
    const v16_t upper = _mm_xor_si128(two, _mm_set1_epi32(-1));
    const v16_t codes = _mm_blend_epi16(lower, upper, 0xAA);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(codes, codes)) & 0xFF;
}

/* ---- The kernels --------------------------------------------------------------------------- */

#include "simd_mask.h"
#include "simd_scan.h"
#include "simd_decode.h"
#include "simd_encode.h"

#define WSF_SET_TARGET SET_TARGET
#include "utf8_sizes.h"

const wsf_kernels wsf_kernels_sse41 = {
    .name = "sse4.1",
    .required = WSF_CPU_SSE41,
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
typedef int wsf_no_sse41; /* C wants something in every file */
#endif
