/*
 * What the kernel tests share: checks and their count, repeatable random numbers, memory that
 * faults when it is overrun, and a reference for UTF-8 that is written for clarity alone.
 */
#ifndef WSF_TEST_HARNESS_H
#define WSF_TEST_HARNESS_H

#include "wsfast.h"

/* ---- Checks -------------------------------------------------------------------------------- */

typedef struct test_options {
    bool full;           /* every case, not just the telling ones */
    uint64_t seed;       /* of the random numbers */
    const char *only;    /* name of the one set to test, or NULL */
} test_options;

extern test_options options;

/* Counts one check; the first failures of the run are printed. */
#define CHECK(condition, ...)          \
    do {                               \
        if (condition) {               \
            checks_passed++;           \
        } else {                       \
            check_failed(__VA_ARGS__); \
        }                              \
    } while (0)

extern uint64_t checks_passed;
extern uint64_t checks_failed;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void check_failed(const char *format, ...);

/* ---- Random numbers ------------------------------------------------------------------------ */

/* 64 random bits: the same series in every run with the same seed. */
uint64_t random_bits(void);

/* A random number below `limit` > 0. */
uint32_t random_below(uint32_t limit);

void random_fill(uint8_t *dst, size_t n);

/* ---- Guarded memory ------------------------------------------------------------------------ */

/* `size` bytes between two pages that cannot be touched. */
typedef struct arena {
    uint8_t *start;
    size_t size;
} arena;

arena arena_new(size_t size);
void arena_free(arena *a);

/* The n bytes of the arena that end where it ends. */
static inline uint8_t *arena_end(const arena *a, size_t n) {
    return a->start + a->size - n;
}

/* ---- Reference ----------------------------------------------------------------------------- */

enum { NO_ERROR_AT = -1 };

typedef struct reference_result {
    size_t valid;     /* bytes of whole, valid code points at the start */
    size_t chars;     /* how many code points those are */
    uint8_t highest;  /* their largest byte, if it is 80 or more */
    long error_at;    /* the first byte no valid text could have there, or NO_ERROR_AT */
} reference_result;

reference_result reference_scan(const uint8_t *src, size_t n);

/* Writes the UTF-8 form of one code point, and returns its length. */
size_t reference_encode(uint8_t *dst, uint32_t code_point);

/* ---- Texts --------------------------------------------------------------------------------- */

enum { TEXT_KINDS = 12 };

/* A random code point of a text of some kind: one script, runs of scripts, or any mixture. */
uint32_t text_code_point(int kind);

/* ---- Groups of tests ----------------------------------------------------------------------- */

void test_mask(const wsf_kernels *k);
void test_mask_ascii(const wsf_kernels *k);
void test_scan(const wsf_kernels *k);
void test_scan_exhaustive(const wsf_kernels *k);
void test_stream(const wsf_kernels *k);
void test_decode(const wsf_kernels *k);
void test_encode(const wsf_kernels *k);
void test_tail(void);
void test_header(void);
void test_head(void);
void test_keys(void);
void test_dispatch(void);

#endif /* WSF_TEST_HARNESS_H */
