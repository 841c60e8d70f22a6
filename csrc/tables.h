/*
 * Lookup tables, shared by every vector set (all of them little-endian). See tables.c.
 */
#ifndef WSF_TABLES_H
#define WSF_TABLES_H

#include "wsf_impl.h"

#if WSF_X86_64 || WSF_AARCH64
/*
 * What utf8_scan needs in registers. It is read from memory on purpose: a compiler that knows the
 * values builds them anew from immediates, which costs a short text more than the scan.
 */
typedef struct wsf_scan_tables {
    uint8_t before_high[16];       /* errors by the high nibble of the byte before */
    uint8_t before_low[16];        /* ... by its low nibble */
    uint8_t here_high[16];         /* ... by the high nibble of the byte itself */
    uint8_t low_nibble[16];        /* 0F everywhere */
    uint8_t third[16];             /* E0 - 80: subtracted, leaves the top bit of E0 and up */
    uint8_t fourth[16];            /* F0 - 80 */
    uint8_t top_bit[16];           /* 80 */
    uint8_t last_continuation[16]; /* BF: signed, just the continuations are not above it */
} wsf_scan_tables;

WSF_HIDDEN extern const wsf_scan_tables wsf_scan;

/* wsf_pack8[mask]: 8 byte indices that move the bytes whose bit is set to the front. */
WSF_HIDDEN extern const uint64_t wsf_pack8[256];

/* wsf_pack16[mask]: 16 byte indices that move the 16-bit lanes whose bit is set to the front. */
WSF_HIDDEN extern const uint64_t wsf_pack16[256][2];

/*
 * wsf_encode[codes]: 16 byte indices that join the last 1-4 bytes of four 4-byte lanes. Each lane
 * has two bits in `codes`: 00 takes its last byte, 01 the last two, 11 the last three, 10 all four.
 */
WSF_HIDDEN extern const uint64_t wsf_encode[256][2];

/* wsf_encode_length[codes]: how many bytes that makes, 4-16. */
WSF_HIDDEN extern const uint8_t wsf_encode_length[256];
#endif

#endif /* WSF_TABLES_H */
