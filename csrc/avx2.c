/*
 * The 32-byte set for x86-64: AVX2, BMI1, BMI2 and POPCNT.
 */
#include "wsf_impl.h"

#if WSF_X86_64

#define SET_TARGET WSF_TARGET("avx2,bmi,bmi2,popcnt")
#define OP SET_TARGET WSF_INLINE
#define FN SET_TARGET static
#define VEC 32
#define V(name) v32_##name

#include "simd_x86.h"
#include "simd_avx2.h"

OP uint64_t block_leads(const uint8_t *p) {
    return (uint64_t)v32_leads(v32_load(p + 32)) << 32 | v32_leads(v32_load(p));
}

/* ---- Storing what simd_decode.h decodes ---------------------------------------------------- */

/*
 * The lanes of a vector are packed in four groups of eight. AVX2 works on each half of a vector for
 * itself, so interleaving two planes gives groups 0 and 2 side by side, then 1 and 3. Where a group
 * goes depends on the number of leads before it, not on the store before it.
 */
OP size_t leads_before(uint64_t leads, unsigned group) {
    return WSF_POPCOUNT64(_bzhi_u64(leads, group * 8));
}

/* The shuffles that pack 16-bit groups a and b, one in each half. */
OP v32_t pack16_pair(uint64_t leads, unsigned a, unsigned b) {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(v16_load(wsf_pack16[leads >> a * 8 & 0xFF])),
        v16_load(wsf_pack16[leads >> b * 8 & 0xFF]), 1);
}

OP size_t emit_ucs1(uint8_t *dst, v32_t low, uint64_t leads) {
    v16_pack_bytes(dst, _mm256_castsi256_si128(low), (uint32_t)leads & 0xFFFF);
    v16_pack_bytes(dst + leads_before(leads, 2), _mm256_extracti128_si256(low, 1),
                   (uint32_t)leads >> 16);
    return WSF_POPCOUNT64(leads);
}

OP size_t emit_ucs2(uint16_t *dst, v32_t low, v32_t high, uint64_t leads) {
    const v32_t even =
        _mm256_shuffle_epi8(_mm256_unpacklo_epi8(low, high), pack16_pair(leads, 0, 2));
    const v32_t odd =
        _mm256_shuffle_epi8(_mm256_unpackhi_epi8(low, high), pack16_pair(leads, 1, 3));
    /* Each store is longer than its group: in order, so that the next one puts that right. */
    v16_store(dst, _mm256_castsi256_si128(even));
    v16_store(dst + leads_before(leads, 1), _mm256_castsi256_si128(odd));
    v16_store(dst + leads_before(leads, 2), _mm256_extracti128_si256(even, 1));
    v16_store(dst + leads_before(leads, 3), _mm256_extracti128_si256(odd, 1));
    return WSF_POPCOUNT64(leads);
}

OP size_t emit_ucs4(uint32_t *dst, v32_t low, v32_t high, v32_t top, uint64_t leads) {
    const v32_t zero = _mm256_setzero_si256();
    const v32_t even_order = pack16_pair(leads, 0, 2);
    const v32_t odd_order = pack16_pair(leads, 1, 3);
    const v32_t even_low = _mm256_shuffle_epi8(_mm256_unpacklo_epi8(low, high), even_order);
    const v32_t even_top = _mm256_shuffle_epi8(_mm256_unpacklo_epi8(top, zero), even_order);
    const v32_t odd_low = _mm256_shuffle_epi8(_mm256_unpackhi_epi8(low, high), odd_order);
    const v32_t odd_top = _mm256_shuffle_epi8(_mm256_unpackhi_epi8(top, zero), odd_order);
    const v32_t even_0 = _mm256_unpacklo_epi16(even_low, even_top);
    const v32_t even_4 = _mm256_unpackhi_epi16(even_low, even_top);
    const v32_t odd_0 = _mm256_unpacklo_epi16(odd_low, odd_top);
    const v32_t odd_4 = _mm256_unpackhi_epi16(odd_low, odd_top);
    uint32_t *group = dst;
    v16_store(group, _mm256_castsi256_si128(even_0));
    v16_store(group + 4, _mm256_castsi256_si128(even_4));
    group = dst + leads_before(leads, 1);
    v16_store(group, _mm256_castsi256_si128(odd_0));
    v16_store(group + 4, _mm256_castsi256_si128(odd_4));
    group = dst + leads_before(leads, 2);
    v16_store(group, _mm256_extracti128_si256(even_0, 1));
    v16_store(group + 4, _mm256_extracti128_si256(even_4, 1));
    group = dst + leads_before(leads, 3);
    v16_store(group, _mm256_extracti128_si256(odd_0, 1));
    v16_store(group + 4, _mm256_extracti128_si256(odd_4, 1));
    return WSF_POPCOUNT64(leads);
}

OP void widen_ucs2(uint16_t *dst, v32_t v) {
    v32_store(dst, _mm256_cvtepu8_epi16(_mm256_castsi256_si128(v)));
    v32_store(dst + 16, _mm256_cvtepu8_epi16(_mm256_extracti128_si256(v, 1)));
}

OP void widen_ucs4(uint32_t *dst, v32_t v) {
    const v16_t low = _mm256_castsi256_si128(v);
    const v16_t high = _mm256_extracti128_si256(v, 1);
    v32_store(dst, _mm256_cvtepu8_epi32(low));
    v32_store(dst + 8, _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(low, low)));
    v32_store(dst + 16, _mm256_cvtepu8_epi32(high));
    v32_store(dst + 24, _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(high, high)));
}

/* ---- The kernels --------------------------------------------------------------------------- */

#include "simd_mask.h"
#include "simd_scan.h"
#include "simd_decode.h"
#include "simd_encode.h"

#define WSF_SET_TARGET SET_TARGET
#include "utf8_sizes.h"

const wsf_kernels wsf_kernels_avx2 = {
    .name = "avx2",
    .required = WSF_CPU_AVX2,
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
typedef int wsf_no_avx2; /* C wants something in every file */
#endif
