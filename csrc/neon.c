/*
 * The 16-byte set for aarch64, where NEON is part of every CPU.
 */
#include "wsf_impl.h"

#if WSF_AARCH64

#include <arm_neon.h>

#include "tables.h"

#define OP WSF_INLINE
#define FN static
#define VEC 16
#define V(name) v16_##name

#if defined(_MSC_VER) && !defined(__clang__)
#define WSF_POPCOUNT64(x) ((size_t)_CountOneBits64(x))
#else
#define WSF_POPCOUNT64(x) ((size_t)__builtin_popcountll(x))
#endif

/* ---- 16-byte vectors ----------------------------------------------------------------------- */

typedef uint8x16_t v16_t;
typedef uint8x16_t v16_mask;

OP v16_t v16_load(const void *p) {
    return vld1q_u8((const uint8_t *)p);
}

OP void v16_store(void *p, v16_t v) {
    vst1q_u8((uint8_t *)p, v);
}

OP v16_t v16_words(uint64_t low, uint64_t high) {
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
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
    return vdupq_n_u8((uint8_t)byte);
}

OP v16_t v16_key(wsf_key key) {
    return vreinterpretq_u8_u32(vdupq_n_u32(key));
}

OP v16_t v16_table(const uint8_t table[16]) {
    return vld1q_u8(table);
}

OP v16_t v16_and(v16_t a, v16_t b) {
    return vandq_u8(a, b);
}

OP v16_t v16_or(v16_t a, v16_t b) {
    return vorrq_u8(a, b);
}

OP v16_t v16_xor(v16_t a, v16_t b) {
    return veorq_u8(a, b);
}

OP v16_t v16_max(v16_t a, v16_t b) {
    return vmaxq_u8(a, b);
}

OP v16_t v16_subs(v16_t a, v16_t b) {
    return vqsubq_u8(a, b);
}

OP v16_t v16_lookup(v16_t table, v16_t indices) {
    return vqtbl1q_u8(table, indices);
}

OP v16_t v16_high_nibbles(v16_t v) {
    return vshrq_n_u8(v, 4);
}

OP uint8_t v16_highest(v16_t v) {
    return vmaxvq_u8(v);
}

OP bool v16_is_ascii(v16_t v) {
    return vmaxvq_u8(v) < 0x80;
}

OP bool v16_any(v16_t v) {
    return vmaxvq_u32(vreinterpretq_u32_u8(v)) != 0;
}

OP v16_t v16_prev1(v16_t v, v16_t behind) {
    return vextq_u8(behind, v, 15);
}

OP v16_t v16_prev2(v16_t v, v16_t behind) {
    return vextq_u8(behind, v, 14);
}

OP v16_t v16_prev3(v16_t v, v16_t behind) {
    return vextq_u8(behind, v, 13);
}

OP v16_t v16_first_behind(v16_t v) {
    (void)v;
    return vdupq_n_u8(0);
}

/* FF where a byte is not a continuation byte (80-BF, which signed is below -64). */
OP v16_t v16_lead_bytes(v16_t v) {
    return vcgeq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(-64));
}

OP size_t v16_count_leads(v16_t v) {
    return vaddvq_u8(vshrq_n_u8(v16_lead_bytes(v), 7));
}

/* NEON has no instruction that gathers bits: give each byte of eight its own bit, then add. */
static const uint8_t BIT_OF_BYTE[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};

OP uint32_t bits_of(v16_t bytes) {
    const v16_t bits = vandq_u8(bytes, vld1q_u8(BIT_OF_BYTE));
    return (uint32_t)vaddv_u8(vget_low_u8(bits)) | (uint32_t)vaddv_u8(vget_high_u8(bits)) << 8;
}

OP uint32_t v16_leads(v16_t v) {
    return bits_of(v16_lead_bytes(v));
}

OP uint64_t block_leads(const uint8_t *p) {
    const v16_t bit = vld1q_u8(BIT_OF_BYTE);
    const v16_t a = vandq_u8(v16_lead_bytes(vld1q_u8(p)), bit);
    const v16_t b = vandq_u8(v16_lead_bytes(vld1q_u8(p + 16)), bit);
    const v16_t c = vandq_u8(v16_lead_bytes(vld1q_u8(p + 32)), bit);
    const v16_t d = vandq_u8(v16_lead_bytes(vld1q_u8(p + 48)), bit);
    const v16_t pairs = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)), 0);
}

/* ---- For simd_decode.h --------------------------------------------------------------------- */

OP v16_t v16_select(v16_mask mask, v16_t yes, v16_t no) {
    return vbslq_u8(mask, yes, no);
}

OP v16_t v16_keep(v16_mask mask, v16_t v) {
    return vandq_u8(mask, v);
}

OP v16_t v16_if_high(v16_t v, v16_t yes, v16_t no) {
    return vbslq_u8(vcgeq_u8(v, vdupq_n_u8(0x80)), yes, no);
}

OP uint32_t v16_bits(v16_mask mask) {
    return bits_of(mask);
}

OP v16_mask v16_at_least(v16_t v, int byte) {
    return vcgeq_u8(v, vdupq_n_u8((uint8_t)byte));
}

OP v16_t v16_next1(v16_t v) {
    return vextq_u8(v, vdupq_n_u8(0), 1);
}

OP v16_t v16_next2(v16_t v) {
    return vextq_u8(v, vdupq_n_u8(0), 2);
}

OP v16_t v16_next3(v16_t v) {
    return vextq_u8(v, vdupq_n_u8(0), 3);
}

/* Never called: no length is above 16 and below VEC. */
OP v16_t v16_load_start(const uint8_t *p, size_t n) {
    (void)n;
    return v16_load(p);
}

OP v16_t v16_shl6(v16_t v) {
    return vshlq_n_u8(v, 6);
}

OP v16_t v16_shl4(v16_t v) {
    return vshlq_n_u8(v, 4);
}

OP v16_t v16_shl2_1c(v16_t v) {
    return vandq_u8(vshlq_n_u8(v, 2), vdupq_n_u8(0x1C));
}

OP v16_t v16_shr2_0f(v16_t v) {
    return vandq_u8(vshrq_n_u8(v, 2), vdupq_n_u8(0x0F));
}

OP v16_t v16_shr4_03(v16_t v) {
    return vandq_u8(vshrq_n_u8(v, 4), vdupq_n_u8(0x03));
}

/* Packs the bytes of `v` whose bit in `mask` is set. Stores 8 bytes twice; returns the bits set. */
OP size_t v16_pack_bytes(uint8_t *dst, v16_t v, uint32_t mask) {
    const uint32_t low = mask & 0xFF;
    const uint32_t high = mask >> 8 & 0xFF;
    const uint8x8_t first = vtbl1_u8(vget_low_u8(v), vcreate_u8(wsf_pack8[low]));
    const uint8x8_t second = vtbl1_u8(vget_high_u8(v), vcreate_u8(wsf_pack8[high]));
    const size_t count = WSF_POPCOUNT64(low);
    vst1_u8(dst, first);
    vst1_u8(dst + count, second);
    return count + WSF_POPCOUNT64(high);
}

OP size_t emit_ucs1(uint8_t *dst, v16_t low, uint64_t leads) {
    return v16_pack_bytes(dst, low, (uint32_t)leads);
}

OP size_t emit_ucs2(uint16_t *dst, v16_t low, v16_t high, uint64_t leads) {
    const size_t half = leads & 0xFF;
    const size_t other = leads >> 8;
    const size_t count = WSF_POPCOUNT64(half);
    v16_store(dst, vqtbl1q_u8(vzip1q_u8(low, high), v16_load(wsf_pack16[half])));
    v16_store(dst + count, vqtbl1q_u8(vzip2q_u8(low, high), v16_load(wsf_pack16[other])));
    return count + WSF_POPCOUNT64(other);
}

/* Eight lanes: the lower 16 bits of each in `low`, the upper in `high`. */
OP void store_ucs4(uint32_t *dst, v16_t low, v16_t high, size_t leads) {
    const v16_t order = v16_load(wsf_pack16[leads]);
    const uint16x8_t lower = vreinterpretq_u16_u8(vqtbl1q_u8(low, order));
    const uint16x8_t upper = vreinterpretq_u16_u8(vqtbl1q_u8(high, order));
    v16_store(dst, vreinterpretq_u8_u16(vzip1q_u16(lower, upper)));
    v16_store(dst + 4, vreinterpretq_u8_u16(vzip2q_u16(lower, upper)));
}

OP size_t emit_ucs4(uint32_t *dst, v16_t low, v16_t high, v16_t top, uint64_t leads) {
    const v16_t zero = vdupq_n_u8(0);
    const size_t half = leads & 0xFF;
    const size_t other = leads >> 8;
    const size_t count = WSF_POPCOUNT64(half);
    store_ucs4(dst, vzip1q_u8(low, high), vzip1q_u8(top, zero), half);
    store_ucs4(dst + count, vzip2q_u8(low, high), vzip2q_u8(top, zero), other);
    return count + WSF_POPCOUNT64(other);
}

OP void widen_ucs2(uint16_t *dst, v16_t v) {
    v16_store(dst, vreinterpretq_u8_u16(vmovl_u8(vget_low_u8(v))));
    v16_store(dst + 8, vreinterpretq_u8_u16(vmovl_u8(vget_high_u8(v))));
}

OP void widen_ucs4(uint32_t *dst, v16_t v) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(v));
    const uint16x8_t high = vmovl_u8(vget_high_u8(v));
    v16_store(dst, vreinterpretq_u8_u32(vmovl_u16(vget_low_u16(low))));
    v16_store(dst + 4, vreinterpretq_u8_u32(vmovl_u16(vget_high_u16(low))));
    v16_store(dst + 8, vreinterpretq_u8_u32(vmovl_u16(vget_low_u16(high))));
    v16_store(dst + 12, vreinterpretq_u8_u32(vmovl_u16(vget_high_u16(high))));
}

/* ---- For simd_encode.h --------------------------------------------------------------------- */

OP v16_t v16_interleave_low(v16_t a, v16_t b) {
    return vzip1q_u8(a, b);
}

OP v16_t v16_interleave_high(v16_t a, v16_t b) {
    return vzip2q_u8(a, b);
}

OP uint32_t v16_high_bits(v16_t v) {
    return bits_of(vcgeq_u8(v, vdupq_n_u8(0x80)));
}

/* C0 and the top two bits of the unit. */
OP v16_t v16_ucs1_lead(v16_t v) {
    return vorrq_u8(vshrq_n_u8(v, 6), vdupq_n_u8(0xC0));
}

OP v16_t v16_above_ascii2(void) {
    return vreinterpretq_u8_u16(vdupq_n_u16(0xFF80));
}

OP v16_t v16_above_ascii4(void) {
    return vreinterpretq_u8_u32(vdupq_n_u32(0xFFFFFF80));
}

OP v16_t v16_narrow2(v16_t a, v16_t b) {
    return vuzp1q_u8(a, b);
}

OP v16_t v16_narrow4(v16_t a, v16_t b, v16_t c, v16_t d) {
    const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b));
    const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u8(c), vreinterpretq_u16_u8(d));
    return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}

/*
 * Eight units to lanes of four bytes; two bits of the result for each:
 *
 *     lane      ..  E0+v>>12  C0+v>>6 or 80+(v>>6&3F)  v or 80+(v&3F)
 *     codes     00 below 80, 01 below 800, 11 from there on
 */
OP uint32_t v16_encode2(v16_t bytes, v16_t *low, v16_t *high) {
    const uint16x8_t v = vreinterpretq_u16_u8(bytes);
    const uint16x8_t six = vdupq_n_u16(0x3F);
    const uint16x8_t mark = vdupq_n_u16(0x80);
    const uint16x8_t above_one = vcgtq_u16(v, vdupq_n_u16(0x7F));
    const uint16x8_t above_two = vcgtq_u16(v, vdupq_n_u16(0x7FF));
    const uint16x8_t last = vbslq_u16(above_one, vorrq_u16(vandq_u16(v, six), mark), v);
    const uint16x8_t mid = vorrq_u16(vorrq_u16(vandq_u16(vshrq_n_u16(v, 6), six), mark),
                                     vbicq_u16(vdupq_n_u16(0x40), above_two));
    const uint16x8_t head = vorrq_u16(vshrq_n_u16(v, 12), vdupq_n_u16(0xE0));
    const uint16x8_t front = vshlq_n_u16(head, 8);
    const uint16x8_t back = vorrq_u16(vshlq_n_u16(last, 8), mid);
    *low = vreinterpretq_u8_u16(vzip1q_u16(front, back));
    *high = vreinterpretq_u8_u16(vzip2q_u16(front, back));
    return bits_of(vreinterpretq_u8_u16(vbslq_u16(vdupq_n_u16(0xFF), above_one, above_two)));
}

/*
 * Four units to lanes of four bytes, and two bits of the result for each:
 *
 *     lane      F0+v>>18  E0+v>>12 or 80+(v>>12&3F)  C0+v>>6 or 80+(v>>6&3F)  v or 80+(v&3F)
 *     codes     00 below 80, 01 below 800, 11 below 10000, 10 from there on
 */
OP uint32_t v16_encode4(v16_t bytes, v16_t *lanes) {
    const uint32x4_t v = vreinterpretq_u32_u8(bytes);
    const uint32x4_t six = vdupq_n_u32(0x3F);
    const uint32x4_t mark = vdupq_n_u32(0x80);
    const uint32x4_t above_one = vcgtq_u32(v, vdupq_n_u32(0x7F));
    const uint32x4_t above_two = vcgtq_u32(v, vdupq_n_u32(0x7FF));
    const uint32x4_t above_three = vcgtq_u32(v, vdupq_n_u32(0xFFFF));
    const uint32x4_t last = vbslq_u32(above_one, vorrq_u32(vandq_u32(v, six), mark), v);
    const uint32x4_t mid = vorrq_u32(vorrq_u32(vandq_u32(vshrq_n_u32(v, 6), six), mark),
                                     vbicq_u32(vdupq_n_u32(0x40), above_two));
    const uint32x4_t third = vorrq_u32(vorrq_u32(vandq_u32(vshrq_n_u32(v, 12), six), mark),
                                       vbicq_u32(vdupq_n_u32(0x60), above_three));
    const uint32x4_t top = vorrq_u32(vshrq_n_u32(v, 18), vdupq_n_u32(0xF0));
    *lanes = vreinterpretq_u8_u32(vorrq_u32(vorrq_u32(vshlq_n_u32(last, 24), vshlq_n_u32(mid, 16)),
                                            vorrq_u32(vshlq_n_u32(third, 8), top)));
    /* In 16-bit halves: the lower bit of the code in the lower half, the upper in the upper. */
    const uint32x4_t lower = vbicq_u32(above_one, above_three);
    const uint32x4_t codes = vbslq_u32(vdupq_n_u32(0xFFFF), lower, above_two);
    const uint8x8_t bytes8 = vmovn_u16(vreinterpretq_u16_u32(codes));
    return vaddv_u8(vand_u8(bytes8, vld1_u8(BIT_OF_BYTE)));
}

/* ---- The kernels --------------------------------------------------------------------------- */

#include "simd_mask.h"
#include "simd_scan.h"
#include "simd_decode.h"
#include "simd_encode.h"

#include "utf8_sizes.h"

const wsf_kernels wsf_kernels_neon = {
    .name = "neon",
    .required = WSF_CPU_NEON,
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
typedef int wsf_no_neon; /* C wants something in every file */
#endif
