/*
 * Lookup tables of the vector sets. Those sets are all little-endian.
 */
#include "tables.h"

#if WSF_X86_64 || WSF_AARCH64

/* ---- UTF-8 errors -------------------------------------------------------------------------- */

/* What is wrong between a byte and the one before it, one bit each. */
enum {
    TOO_SHORT = 1 << 0,     /* 11______ 0_______  a lead without continuation
                               11______ 11______ */
    TOO_LONG = 1 << 1,      /* 0_______ 10______  a continuation without lead */
    OVERLONG_3 = 1 << 2,    /* 11100000 100_____ */
    TOO_LARGE = 1 << 3,     /* 11110100 1001____  above U+10FFFF
                               11110100 101_____
                               11110101 1001____  and all leads above F4
                               1111011_ 1001____
                               11111___ 1001____ */
    SURROGATE = 1 << 4,     /* 11101101 101_____ */
    OVERLONG_2 = 1 << 5,    /* 1100000_ 10______ */
    TOO_LARGE_1000 = 1 << 6, /* 11110101 1000____
                               1111011_ 1000____
                               11111___ 1000____ */
    OVERLONG_4 = 1 << 6,    /* 11110000 1000____  shares its bit with the one above */
    TWO_CONTS = 1 << 7,     /* 10______ 10______  right only in sequences of three and four */
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS /* errors that the low nibble cannot rule out */
};

#define SIXTEEN(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}

const wsf_scan_tables wsf_scan = {
    .before_high = {
        /* 0_______ */ TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        /* 10______ */ TWO_CONTS,
        TWO_CONTS,
        TWO_CONTS,
        TWO_CONTS,
        /* 1100____ */ TOO_SHORT | OVERLONG_2,
        /* 1101____ */ TOO_SHORT,
        /* 1110____ */ TOO_SHORT | OVERLONG_3 | SURROGATE,
        /* 1111____ */ TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
    },
    .before_low = {
        /* ____0000 */ CARRY | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
        /* ____0001 */ CARRY | OVERLONG_2,
        /* ____001_ */ CARRY,
        CARRY,
        /* ____0100 */ CARRY | TOO_LARGE,
        /* ____0101 */ CARRY | TOO_LARGE | TOO_LARGE_1000,
        /* ____011_ */ CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        /* ____1___ */ CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        /* ____1101 */ CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
    },
    .here_high = {
        /* 0_______ */ TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        /* 1000____ */ TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
        /* 1001____ */ TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE,
        /* 101_____ */ TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE,
        TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE,
        /* 11______ */ TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
    },
    .low_nibble = SIXTEEN(0x0F),
    .third = SIXTEEN(0xE0 - 0x80),
    .fourth = SIXTEEN(0xF0 - 0x80),
    .top_bit = SIXTEEN(0x80),
    .last_continuation = SIXTEEN(0xBF),
};

/* ---- Shuffles ------------------------------------------------------------------------------ */

/*
 * Built by the preprocessor. A table is indexed by bits, the first element's bit lowest. Each macro
 * stands for one element: it expands to the entries without it, then those with it. The last macro
 * to expand is element 0, whose bit varies fastest; it puts its indices in front of all the others
 * by shifting those up:
 *
 *     mask 00000000  -> ..............      mask 00000101  -> 0 2 ..........
 *
 * Index bytes that no element claims stay 0; what they fetch is overwritten or never counted.
 */
#define BYTES_0(v) v, (v) << 8 | 0
#define BYTES_1(v) BYTES_0(v), BYTES_0((v) << 8 | 1)
#define BYTES_2(v) BYTES_1(v), BYTES_1((v) << 8 | 2)
#define BYTES_3(v) BYTES_2(v), BYTES_2((v) << 8 | 3)
#define BYTES_4(v) BYTES_3(v), BYTES_3((v) << 8 | 4)
#define BYTES_5(v) BYTES_4(v), BYTES_4((v) << 8 | 5)
#define BYTES_6(v) BYTES_5(v), BYTES_5((v) << 8 | 6)
#define BYTES_7(v) BYTES_6(v), BYTES_6((v) << 8 | 7)

const uint64_t wsf_pack8[256] = {BYTES_7(UINT64_C(0))};

/* 128 bits as two words, high one first: shift up by `bits` and fill with `index`. */
#define HIGH(h, l, bits) ((h) << (bits) | (l) >> (64 - (bits)))
#define LOW(l, bits, index) ((l) << (bits) | (index))

/* Lane k of 16 bits is bytes 2k and 2k + 1. */
#define LANE(k) (UINT64_C(0x0100) + (k) * UINT64_C(0x0202))
#define LANES_0(h, l)                       \
    {l, h}, {                               \
        LOW(l, 16, LANE(0)), HIGH(h, l, 16) \
    }
#define LANES_1(h, l) LANES_0(h, l), LANES_0(HIGH(h, l, 16), LOW(l, 16, LANE(1)))
#define LANES_2(h, l) LANES_1(h, l), LANES_1(HIGH(h, l, 16), LOW(l, 16, LANE(2)))
#define LANES_3(h, l) LANES_2(h, l), LANES_2(HIGH(h, l, 16), LOW(l, 16, LANE(3)))
#define LANES_4(h, l) LANES_3(h, l), LANES_3(HIGH(h, l, 16), LOW(l, 16, LANE(4)))
#define LANES_5(h, l) LANES_4(h, l), LANES_4(HIGH(h, l, 16), LOW(l, 16, LANE(5)))
#define LANES_6(h, l) LANES_5(h, l), LANES_5(HIGH(h, l, 16), LOW(l, 16, LANE(6)))
#define LANES_7(h, l) LANES_6(h, l), LANES_6(HIGH(h, l, 16), LOW(l, 16, LANE(7)))

const uint64_t wsf_pack16[256][2] = {LANES_7(UINT64_C(0), UINT64_C(0))};

/* Unit k is a lane of bytes 4k to 4k + 3, taken from the end; codes in the order 00 01 10 11. */
#define LAST1(k) (UINT64_C(0x00000003) + (k) * UINT64_C(0x00000004))
#define LAST2(k) (UINT64_C(0x00000302) + (k) * UINT64_C(0x00000404))
#define LAST3(k) (UINT64_C(0x00030201) + (k) * UINT64_C(0x00040404))
#define LAST4(k) (UINT64_C(0x03020100) + (k) * UINT64_C(0x04040404))
#define UNIT_3(next, h, l)                                                                \
    next(HIGH(h, l, 8), LOW(l, 8, LAST1(3))), next(HIGH(h, l, 16), LOW(l, 16, LAST2(3))), \
        next(HIGH(h, l, 32), LOW(l, 32, LAST4(3))), next(HIGH(h, l, 24), LOW(l, 24, LAST3(3)))
#define UNIT_2(next, h, l)                                                                \
    next(HIGH(h, l, 8), LOW(l, 8, LAST1(2))), next(HIGH(h, l, 16), LOW(l, 16, LAST2(2))), \
        next(HIGH(h, l, 32), LOW(l, 32, LAST4(2))), next(HIGH(h, l, 24), LOW(l, 24, LAST3(2)))
#define UNIT_1(next, h, l)                                                                \
    next(HIGH(h, l, 8), LOW(l, 8, LAST1(1))), next(HIGH(h, l, 16), LOW(l, 16, LAST2(1))), \
        next(HIGH(h, l, 32), LOW(l, 32, LAST4(1))), next(HIGH(h, l, 24), LOW(l, 24, LAST3(1)))
#define UNIT_0(next, h, l)                                                                \
    next(HIGH(h, l, 8), LOW(l, 8, LAST1(0))), next(HIGH(h, l, 16), LOW(l, 16, LAST2(0))), \
        next(HIGH(h, l, 32), LOW(l, 32, LAST4(0))), next(HIGH(h, l, 24), LOW(l, 24, LAST3(0)))
#define ENTRY(h, l) {l, h}
#define ENCODE_0(h, l) UNIT_0(ENTRY, h, l)
#define ENCODE_1(h, l) UNIT_1(ENCODE_0, h, l)
#define ENCODE_2(h, l) UNIT_2(ENCODE_1, h, l)
#define ENCODE_3(h, l) UNIT_3(ENCODE_2, h, l)

const uint64_t wsf_encode[256][2] = {ENCODE_3(UINT64_C(0), UINT64_C(0))};

#define LENGTH_0(v) v + 1, v + 2, v + 4, v + 3
#define LENGTH_1(v) LENGTH_0(v + 1), LENGTH_0(v + 2), LENGTH_0(v + 4), LENGTH_0(v + 3)
#define LENGTH_2(v) LENGTH_1(v + 1), LENGTH_1(v + 2), LENGTH_1(v + 4), LENGTH_1(v + 3)
#define LENGTH_3(v) LENGTH_2(v + 1), LENGTH_2(v + 2), LENGTH_2(v + 4), LENGTH_2(v + 3)

const uint8_t wsf_encode_length[256] = {LENGTH_3(0)};

#else

/* C wants something in every file. */
typedef int wsf_no_tables;

#endif
