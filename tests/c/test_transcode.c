/* utf8_to_ucs1/2/4, ucs1/2/4_utf8_size and ucs1/2/4_to_utf8 against the reference. */
#include "harness.h"

#include <stdlib.h>

/* A text in all its forms. The arrays are big enough for `chars` in the widest. */
typedef struct forms {
    size_t chars, bytes;
    uint32_t *points;
    uint8_t *utf8;
    int width; /* 1, 2 or 4: the narrowest that holds it */
} forms;

static forms new_forms(size_t most) {
    forms f = {0, 0, malloc(most * 4 + 4), malloc(most * 4 + 4), 1};
    return f;
}

static void free_forms(forms *f) {
    free(f->points);
    free(f->utf8);
}

static void set_point(forms *f, uint32_t point) {
    f->points[f->chars++] = point;
    f->bytes += reference_encode(f->utf8 + f->bytes, point);
    const int width = point < 0x100 ? 1 : point < 0x10000 ? 2 : 4;
    f->width = width > f->width ? width : f->width;
}

static void make_forms(forms *f, size_t chars, int kind) {
    f->chars = f->bytes = 0;
    f->width = 1;
    for (size_t i = 0; i < chars; i++) {
        set_point(f, text_code_point(kind));
    }
}

/* The units of `f` at p, which is aligned to nothing. */
static void put_units(uint8_t *p, const forms *f, int width) {
    for (size_t i = 0; i < f->chars; i++) {
        const uint8_t one = (uint8_t)f->points[i];
        const uint16_t two = (uint16_t)f->points[i];
        memcpy(p + i * (size_t)width,
               width == 1   ? (const void *)&one
               : width == 2 ? (const void *)&two
                            : (const void *)&f->points[i],
               (size_t)width);
    }
}

static void check_decode(const wsf_kernels *k, const forms *f, const arena *from, const arena *to,
                         uint8_t *wanted) {
    for (int width = f->width; width <= 4; width *= 2) {
        const size_t size = f->chars * (size_t)width;
        put_units(wanted, f, width);
        for (int at_end = 0; at_end < 2; at_end++) {
            uint8_t *const src = at_end ? arena_end(from, f->bytes) : from->start;
            uint8_t *const dst = at_end ? arena_end(to, size) : to->start;
            memcpy(src, f->utf8, f->bytes);
            memset(to->start, 0xA5, to->size < size + 256 ? to->size : size + 256);
            if (at_end) {
                memset(dst, 0xA5, size);
            }
            if (width == 1) {
                k->utf8_to_ucs1(dst, f->chars, src, f->bytes);
            } else if (width == 2) {
                k->utf8_to_ucs2((uint16_t *)(void *)dst, f->chars, src, f->bytes);
            } else {
                k->utf8_to_ucs4((uint32_t *)(void *)dst, f->chars, src, f->bytes);
            }
            CHECK(memcmp(dst, wanted, size) == 0, "%s utf8_to_ucs%d: %zu bytes, %zu chars", k->name,
                  width, f->bytes, f->chars);
            bool clean = true;
            for (size_t i = size; !at_end && i < size + 256 && i < to->size; i++) {
                clean = clean && dst[i] == 0xA5;
            }
            CHECK(clean, "%s utf8_to_ucs%d: %zu bytes, %zu chars: wrote past them", k->name, width,
                  f->bytes, f->chars);
        }
    }
}

static void check_encode(const wsf_kernels *k, const forms *f, const arena *from, const arena *to) {
    for (int width = f->width; width <= 4; width *= 2) {
        for (int at_end = 0; at_end < 2; at_end++) {
            uint8_t *const src = at_end ? arena_end(from, f->chars * (size_t)width) : from->start;
            uint8_t *const dst = at_end ? arena_end(to, f->bytes) : to->start;
            put_units(src, f, width);
            memset(dst, 0xA5, f->bytes);
            size_t size;
            if (width == 1) {
                size = k->ucs1_utf8_size(src, f->chars);
            } else if (width == 2) {
                size = k->ucs2_utf8_size((uint16_t *)(void *)src, f->chars);
            } else {
                size = k->ucs4_utf8_size((uint32_t *)(void *)src, f->chars);
            }
            CHECK(size == f->bytes, "%s ucs%d_utf8_size: %zu chars: %zu, not %zu", k->name, width,
                  f->chars, size, f->bytes);
            if (width == 1) {
                k->ucs1_to_utf8(dst, f->bytes, src, f->chars);
            } else if (width == 2) {
                k->ucs2_to_utf8(dst, f->bytes, (uint16_t *)(void *)src, f->chars);
            } else {
                k->ucs4_to_utf8(dst, f->bytes, (uint32_t *)(void *)src, f->chars);
            }
            CHECK(memcmp(dst, f->utf8, f->bytes) == 0, "%s ucs%d_to_utf8: %zu chars", k->name,
                  width, f->chars);
            if (!at_end) {
                uint8_t *const after = dst + f->bytes;
                memset(after, 0xA5, 64);
                if (width == 1) {
                    k->ucs1_to_utf8(dst, f->bytes, src, f->chars);
                } else if (width == 2) {
                    k->ucs2_to_utf8(dst, f->bytes, (uint16_t *)(void *)src, f->chars);
                } else {
                    k->ucs4_to_utf8(dst, f->bytes, (uint32_t *)(void *)src, f->chars);
                }
                bool clean = true;
                for (size_t i = 0; i < 64; i++) {
                    clean = clean && after[i] == 0xA5;
                }
                CHECK(clean, "%s ucs%d_to_utf8: %zu chars: wrote past them", k->name, width,
                      f->chars);
            }
        }
    }
}

/* Texts of every kind and length, some big ones, and one of all code points there are. */
static void for_all_texts(const wsf_kernels *k, bool decode) {
    enum { SHORT = 300, BIG = 30000, ALL = 0x110000 };
    forms f = new_forms(ALL);
    arena from = arena_new((size_t)ALL * 4 + 512), to = arena_new((size_t)ALL * 4 + 512);
    uint8_t *const wanted = malloc((size_t)ALL * 4);
    const int rounds = options.full ? 10 : 1;

    for (int round = 0; round < rounds; round++) {
        for (size_t chars = 0; chars <= SHORT; chars++) {
            for (int kind = 0; kind < TEXT_KINDS; kind++) {
                make_forms(&f, chars, kind);
                if (decode) {
                    check_decode(k, &f, &from, &to, wanted);
                } else {
                    check_encode(k, &f, &from, &to);
                }
            }
        }
    }
    for (int kind = 0; kind <= TEXT_KINDS; kind++) {
        f.chars = f.bytes = 0;
        f.width = 1;
        if (kind < TEXT_KINDS) {
            make_forms(&f, BIG + random_below(100), kind);
        } else {
            for (uint32_t point = 0; point < ALL; point++) {
                if (point < 0xD800 || point > 0xDFFF) {
                    set_point(&f, point);
                }
            }
        }
        if (decode) {
            check_decode(k, &f, &from, &to, wanted);
        } else {
            check_encode(k, &f, &from, &to);
        }
    }
    free(wanted);
    arena_free(&from);
    arena_free(&to);
    free_forms(&f);
}

/* utf8_to_latin1 on text that is Latin-1 up to some place, and anything from there on. */
static void test_latin1(const wsf_kernels *k) {
    enum { MOST = 300 };
    static const char *const BREAKS[] = {
        "\x80",     "\xBF",     "\xC0\x80",     "\xC1\xBF",         "\xC2", "\xC3\xC3",
        "\xC2\x41", "\xC4\x80", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xFF", ""};
    arena from = arena_new(MOST + 8);
    arena to = arena_new(MOST + 8);
    uint8_t text[MOST + 8], wanted[MOST + 8];
    for (size_t round = 0; round < 6000; round++) {
        const size_t length = round % (MOST + 1);
        const uint32_t density = 1 + random_below(round % 3 ? 40 : 3);
        size_t n = 0, chars = 0;
        while (n + 1 < length) {
            if (random_below(density)) {
                wanted[chars] = text[n++] = (uint8_t)random_below(0x80);
            } else {
                wanted[chars] = (uint8_t)(0x80 + random_below(0x80));
                text[n++] = 0xC0 | wanted[chars] >> 6;
                text[n++] = 0x80 | (wanted[chars] & 0x3F);
            }
            chars++;
        }
        const size_t valid = n;
        const char *const end = BREAKS[random_below(sizeof(BREAKS) / sizeof(BREAKS[0]))];
        memcpy(text + n, end, strlen(end));
        n += strlen(end);
        while (*end && n < length + 4) { /* and ASCII behind the break */
            text[n++] = 'z';
        }
        uint8_t *const src = arena_end(&from, n);
        uint8_t *const dst = arena_end(&to, n);
        memcpy(src, text, n);
        size_t found = SIZE_MAX;
        const size_t read = k->utf8_to_latin1(dst, &found, src, n);
        CHECK(read == valid && found == chars && memcmp(dst, wanted, chars) == 0,
              "%s utf8_to_latin1: %zu of %zu bytes, %zu characters for %zu", k->name, read, valid,
              found, chars);
    }
    arena_free(&from);
    arena_free(&to);
}

void test_decode(const wsf_kernels *k) {
    for_all_texts(k, true);
    test_latin1(k);
    k->utf8_to_ucs1(NULL, 0, NULL, 0);
    k->utf8_to_ucs2(NULL, 0, NULL, 0);
    k->utf8_to_ucs4(NULL, 0, NULL, 0);
}

/* What has no UTF-8 form, at every place in texts of every short length. */
static void test_not_encodable(const wsf_kernels *k) {
    static const uint32_t WRONG[] = {0xD800,   0xDABC,     0xDBFF,     0xDC00,    0xDFFF,
                                     0x110000, 0x7FFFFFFF, 0x8000D800, 0xFFFFFFFF};
    enum { MOST = 140, LARGE = 200000 };
    uint16_t two[MOST];
    uint32_t four[MOST];
    for (size_t n = 1; n <= MOST; n++) {
        for (size_t i = 0; i < n; i++) {
            two[i] = (uint16_t)(i % 3 ? 0xE000 : 'x');
            four[i] = i % 3 ? 0x10FFFF : 0xD7FF;
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t w = 0; w < sizeof(WRONG) / sizeof(WRONG[0]); w++) {
                const uint16_t right2 = two[i];
                const uint32_t right4 = four[i];
                four[i] = WRONG[w];
                CHECK(k->ucs4_utf8_size(four, n) == SIZE_MAX,
                      "%s ucs4_utf8_size: %08X at %zu of %zu", k->name, (unsigned)WRONG[w], i, n);
                if (WRONG[w] < 0x10000) {
                    two[i] = (uint16_t)WRONG[w];
                    CHECK(k->ucs2_utf8_size(two, n) == SIZE_MAX,
                          "%s ucs2_utf8_size: %04X at %zu of %zu", k->name, (unsigned)WRONG[w], i,
                          n);
                }
                two[i] = right2;
                four[i] = right4;
            }
        }
    }
    /* More units than narrow counters hold. */
    uint32_t *const many = malloc(LARGE * sizeof(uint32_t));
    for (size_t i = 0; i < LARGE; i++) {
        many[i] = 0x10000;
    }
    CHECK(k->ucs4_utf8_size(many, LARGE) == LARGE * 4, "%s ucs4_utf8_size: many", k->name);
    uint16_t *const many2 = (uint16_t *)(void *)many;
    for (size_t i = 0; i < LARGE; i++) {
        many2[i] = 0xFFFF;
    }
    CHECK(k->ucs2_utf8_size(many2, LARGE) == LARGE * 3, "%s ucs2_utf8_size: many", k->name);
    memset(many, 0xFF, LARGE);
    CHECK(k->ucs1_utf8_size((uint8_t *)many, LARGE) == LARGE * 2, "%s ucs1_utf8_size: many",
          k->name);
    free(many);
}

void test_encode(const wsf_kernels *k) {
    for_all_texts(k, false);
    test_not_encodable(k);
    CHECK(k->ucs1_utf8_size(NULL, 0) == 0 && k->ucs2_utf8_size(NULL, 0) == 0 &&
              k->ucs4_utf8_size(NULL, 0) == 0,
          "%s: sizes of nothing", k->name);
    k->ucs1_to_utf8(NULL, 0, NULL, 0);
    k->ucs2_to_utf8(NULL, 0, NULL, 0);
    k->ucs4_to_utf8(NULL, 0, NULL, 0);
}
