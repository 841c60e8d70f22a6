/* See harness.h. */
#define _DEFAULT_SOURCE 1
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

test_options options = {false, 20260101, NULL};
uint64_t checks_passed;
uint64_t checks_failed;

void check_failed(const char *format, ...) {
    enum { SHOWN = 25 };
    checks_failed++;
    if (checks_failed <= SHOWN) {
        va_list arguments;
        va_start(arguments, format);
        fputs("  FAILED ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
    }
}

/* ---- Random numbers: splitmix64 ------------------------------------------------------------ */

uint64_t random_bits(void) {
    uint64_t z = options.seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint32_t random_below(uint32_t limit) {
    return (uint32_t)((random_bits() >> 32) * limit >> 32);
}

void random_fill(uint8_t *dst, size_t n) {
    for (size_t i = 0; i < n; i++) {
        dst[i] = (uint8_t)random_bits();
    }
}

/* ---- Guarded memory ------------------------------------------------------------------------ */

static size_t round_to_pages(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

arena arena_new(size_t size) {
    const size_t page = round_to_pages(1);
    arena a = {NULL, round_to_pages(size)};
    uint8_t *const all =
        mmap(NULL, a.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, a.size, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(2);
    }
    a.start = all + page;
    return a;
}

void arena_free(arena *a) {
    const size_t page = round_to_pages(1);
    munmap(a->start - page, a->size + 2 * page);
    a->start = NULL;
}

/* ---- Reference ----------------------------------------------------------------------------- */

/*
 * Byte by byte, after the table of well-formed sequences in the Unicode Standard (table 3-7): a
 * lead says how many bytes follow and in what range the first of those must be.
 */
reference_result reference_scan(const uint8_t *src, size_t n) {
    reference_result result = {0, 0, 0, NO_ERROR_AT};
    unsigned missing = 0;
    uint8_t lower = 0x80, upper = 0xBF;
    uint8_t highest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = src[i];
        if (missing == 0) {
            lower = 0x80;
            upper = 0xBF;
            if (byte <= 0x7F) {
                missing = 0;
            } else if (byte >= 0xC2 && byte <= 0xDF) {
                missing = 1;
            } else if (byte >= 0xE0 && byte <= 0xEF) {
                missing = 2;
                lower = byte == 0xE0 ? 0xA0 : 0x80;
                upper = byte == 0xED ? 0x9F : 0xBF;
            } else if (byte >= 0xF0 && byte <= 0xF4) {
                missing = 3;
                lower = byte == 0xF0 ? 0x90 : 0x80;
                upper = byte == 0xF4 ? 0x8F : 0xBF;
            } else {
                result.error_at = (long)i;
                return result;
            }
        } else {
            if (byte < lower || byte > upper) {
                result.error_at = (long)i;
                return result;
            }
            lower = 0x80;
            upper = 0xBF;
            missing--;
        }
        if (byte >= 0x80 && byte > highest) {
            highest = byte;
        }
        if (missing == 0) {
            result.valid = i + 1;
            result.chars++;
            result.highest = highest;
        }
    }
    return result;
}

size_t reference_encode(uint8_t *dst, uint32_t code_point) {
    if (code_point < 0x80) {
        dst[0] = (uint8_t)code_point;
        return 1;
    }
    /* Six bits a byte from the end; what remains joins the lead's marker. */
    static const uint8_t MARKER[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    const size_t length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        dst[i] = (uint8_t)(0x80 + code_point % 64);
        code_point /= 64;
    }
    dst[0] = (uint8_t)(MARKER[length] + code_point);
    return length;
}

/* ---- Texts --------------------------------------------------------------------------------- */

static uint32_t any_below(uint32_t limit) {
    uint32_t code_point;
    do {
        code_point = random_below(limit);
    } while (code_point >= 0xD800 && code_point <= 0xDFFF);
    return code_point;
}

uint32_t text_code_point(int kind) {
    static int run_kind;
    static uint32_t run_left;
    switch (kind) {
    case 0:
        return random_below(0x80);
    case 1: /* Latin-1: French, German */
        return random_below(8) ? 0x20 + random_below(0x5F) : 0xA0 + random_below(0x60);
    case 2: /* nothing but the upper half of Latin-1 */
        return 0x80 + random_below(0x80);
    case 3: /* ASCII with a rare Latin-1 letter */
        return random_below(90) ? 'a' + random_below(26) : 0xE0 + random_below(0x20);
    case 4: /* Cyrillic with spaces */
        return random_below(7) ? 0x410 + random_below(64) : ' ';
    case 5: /* Chinese */
        return 0x4E00 + random_below(0x5200);
    case 6: /* the BMP, evenly by length of the code */
        return random_below(3) == 0 ? random_below(0x80)
               : random_below(2)    ? 0x80 + random_below(0x780)
                                    : 0x800 + random_below(0xD000);
    case 7: /* the ends of the ranges */
    {
        static const uint32_t EDGES[] = {0x00,   0x7F,   0x80,   0xFF,   0x100,  0x7FF,
                                         0x800,  0xFFF,  0x1000, 0xD7FF, 0xE000, 0xFFFD,
                                         0xFFFF, 0x3FFF, 0x4000, 0xFEFF};
        return EDGES[random_below(sizeof(EDGES) / sizeof(EDGES[0]))];
    }
    case 8: /* emoji */
        return random_below(6) ? 0x1F300 + random_below(0x400) : ' ';
    case 9: /* everything */
        return random_below(2) ? any_below(0x110000) : any_below(0x3000);
    case 10: /* the planes above the first, to the very end */
        return random_below(3) ? 0x10000 + random_below(0x100000) : 0x10FFFF;
    default: /* chat: runs of the kinds above */
        if (run_left-- == 0) {
            run_left = random_below(40);
            run_kind = random_below(2) ? 0 : (int)random_below(TEXT_KINDS - 1);
        }
        return text_code_point(run_kind);
    }
}
