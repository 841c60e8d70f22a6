/* mask and mask_ascii: every short length at every alignment, copying and in place. */
#include "harness.h"

enum { LONGEST = 1024, MARGIN = 64, GUARD = 0xA5 };

/* Every byte XORed with its own byte of the key. */
static void reference_mask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4],
                           size_t phase) {
    for (size_t i = 0; i < n; i++) {
        dst[i] = src[i] ^ key[(phase + i) % 4];
    }
}

static bool all_equal(const uint8_t *p, size_t n, uint8_t value) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != value) {
            return false;
        }
    }
    return true;
}

static bool guards_stand(const uint8_t *p, size_t n) {
    static const uint8_t guard[MARGIN] = {
#define EIGHT GUARD, GUARD, GUARD, GUARD, GUARD, GUARD, GUARD, GUARD
        EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT};
    return memcmp(p - MARGIN, guard, MARGIN) == 0 && memcmp(p + n, guard, MARGIN) == 0;
}

static void test_alignments(const wsf_kernels *k) {
    static uint8_t data[LONGEST], expected[4][LONGEST];
    static uint8_t from[LONGEST + 3 * MARGIN], to[LONGEST + 3 * MARGIN];
    const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};
    const size_t step = options.full ? 1 : 3; /* of the alignments, beyond 160 bytes */

    random_fill(data, LONGEST);
    for (size_t phase = 0; phase < 4; phase++) {
        reference_mask(expected[phase], data, LONGEST, key, phase);
    }
    for (size_t n = 0; n <= LONGEST; n++) {
        for (size_t alignment = n % step; alignment < 64; alignment += n > 160 ? step : 1) {
            for (size_t phase = 0; phase < 4; phase++) {
                const wsf_key word = wsf_key_load(key, phase);
                uint8_t *const src = from + MARGIN + alignment;
                uint8_t *const dst = to + MARGIN + (alignment * 37 + phase * 5) % 64;
                memcpy(src, data, n);
                memset(dst - MARGIN, GUARD, n + 2 * MARGIN);
                k->mask(dst, src, n, word);
                CHECK(memcmp(dst, expected[phase], n) == 0 && guards_stand(dst, n) &&
                          memcmp(src, data, n) == 0,
                      "%s mask: copy, n %zu, alignment %zu, phase %zu", k->name, n, alignment,
                      phase);

                memset(src - MARGIN, GUARD, n + 2 * MARGIN);
                memcpy(src, data, n);
                k->mask(src, src, n, word);
                CHECK(memcmp(src, expected[phase], n) == 0 && guards_stand(src, n),
                      "%s mask: in place, n %zu, alignment %zu, phase %zu", k->name, n, alignment,
                      phase);
            }
        }
    }
}

/* Nothing outside the ranges is touched: they end, or start, at memory that faults. */
static void test_guard_pages(const wsf_kernels *k) {
    static uint8_t expected[LONGEST];
    const uint8_t key[4] = {0x80, 0x01, 0xFE, 0x7F};
    const wsf_key word = wsf_key_load(key, 0);
    arena from = arena_new(LONGEST), to = arena_new(LONGEST);

    for (size_t n = 0; n <= LONGEST; n++) {
        for (int at_end = 0; at_end < 2; at_end++) {
            uint8_t *const src = at_end ? arena_end(&from, n) : from.start;
            uint8_t *const dst = at_end ? arena_end(&to, n) : to.start;
            random_fill(src, n);
            reference_mask(expected, src, n, key, 0);
            k->mask(dst, src, n, word);
            CHECK(memcmp(dst, expected, n) == 0, "%s mask: guard page %d, n %zu", k->name, at_end,
                  n);
            memset(dst, 0, n);
            const size_t done = k->mask_ascii(dst, src, n, word);
            CHECK(done <= n && memcmp(dst, expected, done) == 0 &&
                      all_equal(dst + done, n - done, 0),
                  "%s mask_ascii: guard page %d, n %zu", k->name, at_end, n);
            k->mask(src, src, n, word);
            CHECK(memcmp(src, expected, n) == 0, "%s mask: guard page in place %d, n %zu", k->name,
                  at_end, n);
        }
    }
    arena_free(&from);
    arena_free(&to);
}

static void test_large(const wsf_kernels *k) {
    static const size_t SIZES[] = {4095, 4096, 16384, 65535, 65536, 65537, 1 << 20, (1 << 20) + 13};
    const uint8_t key[4] = {1, 2, 3, 4};
    arena from = arena_new((1 << 20) + 64), to = arena_new((1 << 20) + 64);
    arena wanted = arena_new((1 << 20) + 64);
    for (size_t s = 0; s < sizeof(SIZES) / sizeof(SIZES[0]); s++) {
        const size_t n = SIZES[s];
        const size_t phase = s % 4;
        uint8_t *const src = arena_end(&from, n + s);
        uint8_t *const dst = arena_end(&to, n);
        random_fill(src, n);
        reference_mask(wanted.start, src, n, key, phase);
        k->mask(dst, src, n, wsf_key_load(key, phase));
        CHECK(memcmp(dst, wanted.start, n) == 0, "%s mask: large, n %zu", k->name, n);
        k->mask(src, src, n, wsf_key_load(key, phase));
        CHECK(memcmp(src, wanted.start, n) == 0, "%s mask: large in place, n %zu", k->name, n);
    }
    arena_free(&from);
    arena_free(&to);
    arena_free(&wanted);
}

/* A piece at a time with an advancing key gives what one call gives. */
static void test_advance(const wsf_kernels *k) {
    uint8_t data[300], pieces[300], whole[300];
    const uint8_t key[4] = {0xDE, 0xAD, 0xBE, 0xEF};
    random_fill(data, sizeof(data));
    reference_mask(whole, data, sizeof(data), key, 0);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        wsf_key word = wsf_key_load(key, 0);
        k->mask(pieces, data, cut, word);
        word = wsf_key_advance(word, cut);
        CHECK(word == wsf_key_load(key, cut), "wsf_key_advance by %zu", cut);
        k->mask(pieces + cut, data + cut, sizeof(data) - cut, word);
        CHECK(memcmp(pieces, whole, sizeof(data)) == 0, "%s mask: cut at %zu", k->name, cut);
    }
}

void test_mask(const wsf_kernels *k) {
    test_alignments(k);
    test_guard_pages(k);
    test_large(k);
    test_advance(k);
    k->mask(NULL, NULL, 0, 0);
}

/* ---- mask_ascii ---------------------------------------------------------------------------- */

/*
 * Masks n bytes of which the unmasked form is `plain`, with the first byte above 7F at `bad` (n if
 * there is none), and checks all that the contract says. `dst` may be `src`.
 */
static void check_mask_ascii(const wsf_kernels *k, uint8_t *dst, uint8_t *src, const uint8_t *plain,
                             size_t n, size_t bad, wsf_key word) {
    uint8_t before[512];
    const bool in_place = dst == src;
    if (in_place) {
        memset(dst - MARGIN, GUARD, n + 2 * MARGIN);
    }
    k->mask(src, plain, n, word); /* tested above */
    if (in_place) {
        memcpy(before, src, n);
    } else {
        memset(dst - MARGIN, GUARD, n + 2 * MARGIN);
        memset(before, GUARD, n);
    }
    const size_t done = k->mask_ascii(dst, src, n, word);
    CHECK(bad == n ? done == n : done <= bad && done % 4 == 0 && bad - done <= 128,
          "%s mask_ascii: n %zu, first non-ASCII at %zu, result %zu", k->name, n, bad, done);
    CHECK(done <= n && memcmp(dst, plain, done) == 0,
          "%s mask_ascii: n %zu, non-ASCII at %zu: wrong bytes", k->name, n, bad);
    CHECK(done <= n && memcmp(dst + done, before + done, n - done) == 0 && guards_stand(dst, n),
          "%s mask_ascii: n %zu, non-ASCII at %zu: wrote past the result", k->name, n, bad);
}

void test_mask_ascii(const wsf_kernels *k) {
    enum { MOST = 300 };
    static uint8_t from[MOST + 4 * MARGIN], to[MOST + 4 * MARGIN];
    uint8_t plain[MOST];
    const uint8_t key[4] = {0x9C, 0x33, 0xE7, 0x05};
    for (size_t i = 0; i < MOST; i++) {
        plain[i] = (uint8_t)random_below(0x80);
    }
    for (size_t n = 0; n <= MOST; n++) {
        for (size_t bad = 0; bad <= n; bad++) {
            const uint8_t good = bad < n ? plain[bad] : 0;
            const wsf_key word = n % 5 == 4 ? 0 : wsf_key_load(key, (n + bad) % 4);
            uint8_t *const src = from + MARGIN + (n * 7 + bad) % 64;
            uint8_t *const dst = to + MARGIN + (n * 3 + bad * 5) % 64;
            if (bad < n) {
                plain[bad] = 0x80 | (uint8_t)random_bits();
            }
            check_mask_ascii(k, dst, src, plain, n, bad, word);
            check_mask_ascii(k, src, src, plain, n, bad, word);
            if (bad < n) {
                plain[bad] = good;
            }
        }
    }
    CHECK(k->mask_ascii(NULL, NULL, 0, 0) == 0, "%s mask_ascii: nothing", k->name);
}
