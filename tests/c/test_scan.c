/* utf8_scan, wsf_utf8_tail and wsf_utf8_feed against the reference. */
#include "harness.h"

#include <stdlib.h>

/* ---- One text ------------------------------------------------------------------------------ */

static void check_scan(const wsf_kernels *k, const uint8_t *src, size_t n, const char *what) {
    const reference_result wanted = reference_scan(src, n);
    wsf_text text = {1000, 0x85}; /* scans add to what is there */
    const size_t valid = k->utf8_scan(src, n, &text);
    const uint8_t highest = wanted.highest > 0x85 ? wanted.highest : 0x85;
    CHECK(valid == wanted.valid && text.chars == 1000 + wanted.chars && text.highest == highest,
          "%s utf8_scan: %s, n %zu: valid %zu (%zu), chars %zu (%zu), highest %02X (%02X)", k->name,
          what, n, valid, wanted.valid, text.chars - 1000, wanted.chars, text.highest, highest);
    CHECK(k->utf8_valid(src, n) == (wanted.valid == n), "%s utf8_valid: %s, n %zu", k->name, what,
          n);
    text = (wsf_text){0, 0};
    k->utf8_scan(src, n, &text);
    CHECK(text.highest == wanted.highest, "%s utf8_scan: %s, n %zu: highest %02X, not %02X",
          k->name, what, n, text.highest, wanted.highest);
    if (valid == wanted.valid && valid < n) {
        size_t at = 99;
        const wsf_tail tail = wsf_utf8_tail(src + valid, n - valid, &at);
        CHECK(wanted.error_at == NO_ERROR_AT
                  ? tail == WSF_TAIL_INCOMPLETE
                  : tail == WSF_TAIL_INVALID && valid + at == (size_t)wanted.error_at,
              "wsf_utf8_tail: %s, n %zu: after %zu valid bytes", what, n, valid);
    }
}

/* At most n bytes of text of a kind, whole code points; returns how many. */
static size_t make_text(uint8_t *dst, size_t n, int kind) {
    size_t length = 0;
    while (n - length >= 4) {
        length += reference_encode(dst + length, text_code_point(kind));
    }
    while (length < n) {
        dst[length++] = '.';
    }
    return length;
}

static void test_texts(const wsf_kernels *k) {
    enum { MOST = 320 };
    arena space = arena_new(MOST);
    for (size_t n = 0; n <= MOST; n++) {
        for (int kind = 0; kind < TEXT_KINDS; kind++) {
            for (int at_end = 0; at_end < 2; at_end++) {
                uint8_t *const src = at_end ? arena_end(&space, n) : space.start;
                make_text(src, n, kind);
                check_scan(k, src, n, "valid text");
                /* Cut it inside its last code points. */
                for (size_t cut = 1; cut <= 3 && cut <= n; cut++) {
                    check_scan(k, at_end ? src + cut : src, n - cut, "cut text");
                }
            }
        }
    }
    arena_free(&space);
}

/* One wrong byte anywhere: changed bits, bytes of every class, or two bytes exchanged. */
static void test_corruption(const wsf_kernels *k) {
    static const uint8_t WRONG[] = {0x00, 0x41, 0x80, 0x8F, 0x90, 0xA0, 0xBF, 0xC0,
                                    0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF};
    enum { MOST = 400 };
    uint8_t src[MOST];
    const size_t rounds = options.full ? 400 : 40;
    for (size_t round = 0; round < rounds; round++) {
        const size_t n = 1 + random_below(MOST);
        make_text(src, n, (int)(round % TEXT_KINDS));
        for (size_t i = 0; i < n; i++) {
            const uint8_t right = src[i];
            src[i] = round % 3 ? WRONG[random_below(sizeof(WRONG))]
                               : right ^ (uint8_t)(1u << random_below(8));
            check_scan(k, src, n, "one wrong byte");
            src[i] = right;
        }
    }
    for (size_t round = 0; round < rounds * 100; round++) {
        const size_t n = random_below(MOST);
        random_fill(src, n);
        if (round % 2) { /* mostly continuation bytes and leads of three and four */
            for (size_t i = 0; i < n; i++) {
                src[i] |= 0x80;
            }
        }
        check_scan(k, src, n, "random bytes");
    }
}

static void test_big(const wsf_kernels *k) {
    enum { MOST = 100000 };
    uint8_t *const src = malloc(MOST);
    for (int kind = 0; kind < TEXT_KINDS; kind++) {
        const size_t n = MOST - random_below(200);
        make_text(src, n, kind);
        check_scan(k, src, n, "big text");
        src[random_below((uint32_t)n)] = 0xFF;
        check_scan(k, src, n, "big text with FF");
    }
    free(src);
}

/* Every byte around the ends of blocks and strides, in texts that are long enough for both. */
static void test_every_byte(const wsf_kernels *k) {
    enum { BLOCK = 64, LENGTH = 64 + 2 * 256 + 20 };
    uint8_t text[LENGTH], src[LENGTH];
    for (int kind = 0; kind < TEXT_KINDS; kind++) {
        make_text(text, LENGTH, kind);
        for (size_t at = BLOCK - 3; at < LENGTH; at += at % BLOCK == 2 ? BLOCK - 5 : 1) {
            for (unsigned byte = 0; byte < 256; byte++) {
                memcpy(src, text, LENGTH);
                src[at] = (uint8_t)byte;
                check_scan(k, src, LENGTH, "any byte at the end of a block");
                if (at + 1 < LENGTH) {
                    src[at + 1] = '.';
                    check_scan(k, src, LENGTH, "any byte before an ASCII one");
                }
            }
        }
    }
}

void test_scan(const wsf_kernels *k) {
    wsf_text text = {0, 0};
    CHECK(k->utf8_scan(NULL, 0, &text) == 0 && text.chars == 0, "%s utf8_scan: nothing", k->name);
    test_texts(k);
    test_corruption(k);
    test_every_byte(k);
    test_big(k);
}

/* ---- All short byte strings ---------------------------------------------------------------- */

/* A valid text with room for a short string at a code point boundary. */
typedef struct setting {
    size_t before, after; /* bytes */
    const char *filler;   /* the text is made of copies of this code point */
} setting;

static const setting SETTINGS[] = {
    {0, 0, "a"},      /* alone */
    {78, 0, "a"},     /* the end of a text, over a multiple of 16 */
    {62, 98, "a"},    /* over the first block boundary, in ASCII */
    {126, 66, "\xE4\xBD\xA0"}, /* the same for the second, in Chinese */
    {13, 9, "a"},     /* short texts, over the end of the first 16 bytes */
    {60, 64, "\xF0\x9F\x98\x80"},
    {190, 2, "\xC3\xA9"}, /* in the block that overlaps the one before */
    {61, 0, "a"},
    {64, 40, "\xC3\xA9"},
    {15, 0, "a"},         /* cut, what is left may end with 16 bytes, and inside a code point */
    {30, 0, "\xC3\xA9"},
    {318, 300, "a"},      /* over the borders of the strides of utf8_valid */
    {318, 8, "\xC3\xA9"},
};

enum { SETTING_COUNT = sizeof(SETTINGS) / sizeof(SETTINGS[0]), SETTING_ROOM = 1024 };

/* The settings used for the 2^29 strings of four bytes. */
enum { FULL_SETTINGS = 4 };

/* A setting made ready for strings of one length: 2^29 of them leave no time to count again. */
typedef struct scene {
    uint8_t text[SETTING_ROOM];
    size_t before, n;
    size_t chars_before, chars_after;
    size_t valid_after;      /* `after` may cut its last code point */
    uint8_t highest_before, highest_all;
} scene;

static scene scenes[SETTING_COUNT];

static void fill(uint8_t *dst, size_t n, const char *filler, size_t unit) {
    for (size_t i = 0; i < n; i++) {
        dst[i] = (uint8_t)filler[i % unit];
    }
}

static void make_scenes(size_t length) {
    for (size_t s = 0; s < SETTING_COUNT; s++) {
        const setting *const from = &SETTINGS[s];
        scene *const to = &scenes[s];
        const size_t unit = strlen(from->filler);
        const uint8_t lead = (uint8_t)from->filler[0] >= 0x80 ? (uint8_t)from->filler[0] : 0;
        fill(to->text, from->before, from->filler, unit);
        fill(to->text + from->before + length, from->after, from->filler, unit);
        to->before = from->before;
        to->n = from->before + length + from->after;
        to->chars_before = from->before / unit;
        to->chars_after = from->after / unit;
        to->valid_after = from->after / unit * unit;
        to->highest_before = to->chars_before ? lead : 0;
        to->highest_all = to->chars_after ? lead : to->highest_before;
    }
}

/*
 * Puts the string in each scene. What is before it is valid and whole, what follows begins with a
 * lead byte: so all is valid if the string is, and otherwise the valid part ends in the string.
 */
static inline void check_string(const wsf_kernels *k, const uint8_t *string, size_t length,
                                size_t count) {
    const reference_result wanted = reference_scan(string, length);
    for (size_t s = 0; s < count; s++) {
        scene *const where = &scenes[s];
        for (size_t i = 0; i < length; i++) {
            where->text[where->before + i] = string[i];
        }
        const bool whole = wanted.valid == length;
        const size_t valid = where->before + wanted.valid + (whole ? where->valid_after : 0);
        const size_t chars = where->chars_before + wanted.chars + (whole ? where->chars_after : 0);
        const uint8_t around = whole ? where->highest_all : where->highest_before;
        const uint8_t highest = wanted.highest > around ? wanted.highest : around;
        wsf_text text = {0, 0};
        const size_t result = k->utf8_scan(where->text, where->n, &text);
        if (result != valid || text.chars != chars || text.highest != highest) {
            check_failed("%s utf8_scan: %02X %02X %02X %02X, length %zu, setting %zu: %zu (%zu), "
                         "chars %zu (%zu), highest %02X (%02X)",
                         k->name, string[0], string[1], string[2], string[3], length, s, result,
                         valid, text.chars, chars, text.highest, highest);
        }
        if (k->utf8_valid(where->text, where->n) != (valid == where->n)) {
            check_failed("%s utf8_valid: %02X %02X %02X %02X, length %zu, setting %zu", k->name,
                         string[0], string[1], string[2], string[3], length, s);
        }
    }
    checks_passed += count;
}

/* Bytes at the borders of what the rules tell apart. */
static const uint8_t CLASSES[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                  0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF4, 0xFF};

static size_t byte_choice(uint8_t out[256]) {
    if (options.full) {
        for (size_t i = 0; i < 256; i++) {
            out[i] = (uint8_t)i;
        }
        return 256;
    }
    memcpy(out, CLASSES, sizeof(CLASSES));
    return sizeof(CLASSES);
}

void test_scan_exhaustive(const wsf_kernels *k) {
    uint8_t bytes[256];
    const size_t count = byte_choice(bytes);
    uint8_t string[4] = {0, 0, 0, 0};

    make_scenes(1);
    for (unsigned a = 0; a < 256; a++) {
        string[0] = (uint8_t)a;
        check_string(k, string, 1, SETTING_COUNT);
    }
    make_scenes(2);
    for (unsigned a = 0; a < 65536; a++) {
        string[0] = (uint8_t)(a >> 8);
        string[1] = (uint8_t)a;
        check_string(k, string, 2, SETTING_COUNT);
    }
    make_scenes(3);
    for (unsigned a = 0; a < 256; a++) {
        string[0] = (uint8_t)a;
        for (size_t b = 0; b < count; b++) {
            string[1] = bytes[b];
            for (size_t c = 0; c < count; c++) {
                string[2] = bytes[c];
                check_string(k, string, 3, options.full ? FULL_SETTINGS : SETTING_COUNT);
            }
        }
    }
    make_scenes(4);
    for (unsigned a = 0xE0; a < 256; a++) {
        string[0] = (uint8_t)a;
        for (size_t b = 0; b < count; b++) {
            string[1] = bytes[b];
            for (size_t c = 0; c < count; c++) {
                string[2] = bytes[c];
                for (size_t d = 0; d < count; d++) {
                    string[3] = bytes[d];
                    check_string(k, string, 4, FULL_SETTINGS);
                }
            }
        }
    }
}

/* ---- The end of a text --------------------------------------------------------------------- */

void test_tail(void) {
    /* All of one and two bytes, and of three with the telling bytes in second and third place. */
    uint8_t string[3];
    for (size_t n = 1; n <= 3; n++) {
        const size_t seconds = n > 1 ? 256 : 1;
        const size_t thirds = n > 2 ? sizeof(CLASSES) : 1;
        for (unsigned a = 0; a < 256; a++) {
            for (unsigned b = 0; b < seconds; b++) {
                for (size_t c = 0; c < thirds; c++) {
                    string[0] = (uint8_t)a;
                    string[1] = (uint8_t)b;
                    string[2] = CLASSES[c];
                    const reference_result wanted = reference_scan(string, n);
                    if (wanted.valid > 0) {
                        continue; /* not what is left after a scan */
                    }
                    size_t at = 99;
                    const wsf_tail tail = wsf_utf8_tail(string, n, &at);
                    CHECK(wanted.error_at == NO_ERROR_AT
                              ? tail == WSF_TAIL_INCOMPLETE
                              : tail == WSF_TAIL_INVALID && at == (size_t)wanted.error_at,
                          "wsf_utf8_tail: %02X %02X %02X, n %zu", string[0], string[1], string[2],
                          n);
                }
            }
        }
    }
}

/* ---- Texts in pieces ----------------------------------------------------------------------- */

/* Feeds src cut at the given places and compares with the reference on the whole. */
static void check_stream(const wsf_kernels *k, const uint8_t *src, size_t n, const size_t *cuts,
                         size_t cut_count) {
    const reference_result wanted = reference_scan(src, n);
    wsf_utf8_stream stream;
    memset(&stream, 0, sizeof(stream));
    size_t start = 0;
    for (size_t c = 0; c <= cut_count; c++) {
        const size_t stop = c < cut_count ? cuts[c] : n;
        const size_t done = wsf_utf8_feed(k, &stream, src + start, stop - start);
        const bool broken_here = wanted.error_at != NO_ERROR_AT && (size_t)wanted.error_at < stop;
        if (broken_here) {
            CHECK(start + done == (size_t)wanted.error_at,
                  "%s wsf_utf8_feed: n %zu, piece at %zu: error at %zu, not %ld", k->name, n, start,
                  start + done, wanted.error_at);
            return;
        }
        CHECK(done == stop - start, "%s wsf_utf8_feed: n %zu, piece [%zu, %zu): stopped at %zu",
              k->name, n, start, stop, start + done);
        start = stop;
    }
    CHECK(stream.text.chars == wanted.chars && stream.text.highest == wanted.highest &&
              stream.held_length == n - wanted.valid &&
              memcmp(stream.held, src + wanted.valid, n - wanted.valid) == 0,
          "%s wsf_utf8_feed: n %zu: state at the end", k->name, n);
}

void test_stream(const wsf_kernels *k) {
    enum { MOST = 260 };
    uint8_t src[MOST];
    size_t cuts[MOST];
    const size_t rounds = options.full ? 1500 : 150;
    for (size_t round = 0; round < rounds; round++) {
        const size_t n = round % 3 == 0 ? random_below(MOST) : random_below(40);
        make_text(src, n, (int)(round % TEXT_KINDS));
        if (round % 4 == 3 && n > 0) {
            src[random_below((uint32_t)n)] = (uint8_t)random_bits();
        }
        const size_t whole = round % 4 == 1 && n > 2 ? n - random_below(3) : n;
        for (cuts[0] = 0; cuts[0] <= whole; cuts[0]++) {
            check_stream(k, src, whole, cuts, 1);
            if (whole <= 40) {
                for (cuts[1] = cuts[0]; cuts[1] <= whole; cuts[1]++) {
                    check_stream(k, src, whole, cuts, 2);
                }
            }
        }
        for (size_t i = 0; i < whole; i++) {
            cuts[i] = i + 1;
        }
        check_stream(k, src, whole, cuts, whole); /* one byte at a time, then nothing */
    }
}
