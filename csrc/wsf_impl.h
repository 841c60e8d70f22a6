/*
 * What the kernel files share and nobody else needs: which architecture this is, how unaligned
 * words are read and written, and the tables that dispatch.c chooses from.
 */
#ifndef WSF_IMPL_H
#define WSF_IMPL_H

#include "wsfast.h"

/* ---- Architecture and compiler ------------------------------------------------------------- */

#if defined(__x86_64__) || (defined(_M_X64) && !defined(_M_ARM64EC))
#define WSF_X86_64 1
#else
#define WSF_X86_64 0
#endif

/* The NEON set counts on little-endian lanes, like all that runs on aarch64 today. */
#if (defined(__aarch64__) && !defined(__AARCH64EB__)) || defined(_M_ARM64)
#define WSF_AARCH64 1
#else
#define WSF_AARCH64 0
#endif

/*
 * WSF_TARGET("avx2") lets one function use instructions that the file around it may not: no file
 * needs a flag of its own, and a universal binary compiles every file for every slice. MSVC accepts
 * all intrinsics everywhere.
 */
#if defined(__GNUC__) || defined(__clang__)
#define WSF_TARGET(features) __attribute__((target(features)))
#define WSF_INLINE static inline __attribute__((always_inline))
#define WSF_COLD __attribute__((noinline, cold))
#define WSF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define WSF_RESTRICT __restrict
#define WSF_HIDDEN
#elif defined(_MSC_VER)
#define WSF_TARGET(features)
#define WSF_INLINE static __forceinline
#define WSF_COLD __declspec(noinline)
#define WSF_UNLIKELY(condition) (condition)
#define WSF_RESTRICT __restrict
#define WSF_HIDDEN
#else
#define WSF_TARGET(features)
#define WSF_INLINE static inline
#define WSF_COLD
#define WSF_UNLIKELY(condition) (condition)
#define WSF_RESTRICT restrict
#define WSF_HIDDEN
#endif
#if (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#undef WSF_HIDDEN
#define WSF_HIDDEN __attribute__((visibility("hidden")))
#endif

/* ---- Unaligned words in memory order ------------------------------------------------------- */

WSF_INLINE uint32_t wsf_load32(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

WSF_INLINE uint64_t wsf_load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

WSF_INLINE void wsf_store32(uint8_t *p, uint32_t word) {
    memcpy(p, &word, 4);
}

WSF_INLINE void wsf_store64(uint8_t *p, uint64_t word) {
    memcpy(p, &word, 8);
}

/* The top bit of each byte: set somewhere means not ASCII. The same on either byte order. */
#define WSF_HIGH_BITS UINT64_C(0x8080808080808080)

/* ---- Kernel tables ------------------------------------------------------------------------- */

/* Bits of wsf_kernels.required: what the CPU must have, and the operating system must preserve. */
enum {
    WSF_CPU_SSE41 = 1 << 0,  /* SSSE3, SSE4.1, POPCNT: the 2008 core (Nehalem) and later */
    WSF_CPU_AVX2 = 1 << 1,   /* AVX2, BMI1, BMI2, POPCNT and 256-bit registers (Haswell, Zen) */
    WSF_CPU_AVX512 = 1 << 2, /* F, BW, VL, VBMI, VBMI2 and 512-bit registers (Ice Lake, Zen 4) */
    WSF_CPU_NEON = 1 << 3    /* part of every aarch64 */
};

WSF_HIDDEN extern const wsf_kernels wsf_kernels_scalar;
#if WSF_X86_64
WSF_HIDDEN extern const wsf_kernels wsf_kernels_sse41;
WSF_HIDDEN extern const wsf_kernels wsf_kernels_avx2;
WSF_HIDDEN extern const wsf_kernels wsf_kernels_avx512;
#endif
#if WSF_AARCH64
WSF_HIDDEN extern const wsf_kernels wsf_kernels_neon;
#endif

/* ---- Scalar kernels that finish what the vector ones leave ---------------------------------- */

WSF_HIDDEN size_t wsf_utf8_scan_scalar(const uint8_t *src, size_t n, wsf_text *text);
WSF_HIDDEN size_t wsf_utf8_to_latin1_scalar(uint8_t *dst, size_t *chars, const uint8_t *src,
                                            size_t n);
void wsf_utf8_to_ucs1_scalar(uint8_t *dst, size_t chars, const uint8_t *src, size_t n);
WSF_HIDDEN void wsf_utf8_to_ucs2_scalar(uint16_t *dst, size_t chars, const uint8_t *src, size_t n);
WSF_HIDDEN void wsf_utf8_to_ucs4_scalar(uint32_t *dst, size_t chars, const uint8_t *src, size_t n);
WSF_HIDDEN void wsf_ucs1_to_utf8_scalar(uint8_t *dst, size_t size, const uint8_t *src, size_t n);
WSF_HIDDEN void wsf_ucs2_to_utf8_scalar(uint8_t *dst, size_t size, const uint16_t *src, size_t n);
WSF_HIDDEN void wsf_ucs4_to_utf8_scalar(uint8_t *dst, size_t size, const uint32_t *src, size_t n);

#endif /* WSF_IMPL_H */
