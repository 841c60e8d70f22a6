/*
 * Lets avx512.c run on any x86-64 CPU: SIMDe in place of the intrinsics. run.sh includes this ahead
 * of that file, and of no other. SIMDe 0.7.4 lacks four of those it uses; they are here.
 */
#ifndef WSF_TEST_AVX512_EMULATED_H
#define WSF_TEST_AVX512_EMULATED_H

#include <immintrin.h>

/* The compiler must not use AVX-512 of its own accord. */
#define WSF_AVX512_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

static inline simde__m512i emulated_alignr_epi8(simde__m512i high, simde__m512i low, int shift) {
    uint8_t a[64], b[64], out[64];
    simde_mm512_storeu_si512(a, high);
    simde_mm512_storeu_si512(b, low);
    for (int lane = 0; lane < 64; lane += 16) {
        for (int i = 0; i < 16; i++) {
            out[lane + i] = i + shift < 16 ? b[lane + i + shift] : a[lane + i + shift - 16];
        }
    }
    return simde_mm512_loadu_si512(out);
}

static inline simde__m512i emulated_alignr_epi32(simde__m512i high, simde__m512i low, int shift) {
    uint32_t a[16], b[16], out[16];
    simde_mm512_storeu_si512(a, high);
    simde_mm512_storeu_si512(b, low);
    for (int i = 0; i < 16; i++) {
        out[i] = i + shift < 16 ? b[i + shift] : a[i + shift - 16];
    }
    return simde_mm512_loadu_si512(out);
}

static inline simde__m512i emulated_compress_epi8(uint64_t mask, simde__m512i v) {
    uint8_t in[64], out[64] = {0};
    int count = 0;
    simde_mm512_storeu_si512(in, v);
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) {
            out[count++] = in[i];
        }
    }
    return simde_mm512_loadu_si512(out);
}

static inline simde__m512i emulated_loadu_epi8(uint64_t mask, const void *p) {
    uint8_t out[64] = {0};
    for (int i = 0; i < 64; i++) {
        if (mask >> i & 1) {
            out[i] = ((const uint8_t *)p)[i];
        }
    }
    return simde_mm512_loadu_si512(out);
}

#undef _mm512_alignr_epi8
#undef _mm512_alignr_epi32
#undef _mm512_maskz_compress_epi8
#undef _mm512_maskz_loadu_epi8
#define _mm512_alignr_epi8 emulated_alignr_epi8
#define _mm512_alignr_epi32 emulated_alignr_epi32
#define _mm512_maskz_compress_epi8 emulated_compress_epi8
#define _mm512_maskz_loadu_epi8 emulated_loadu_epi8

#endif /* WSF_TEST_AVX512_EMULATED_H */
