/* wsf_head_line and wsf_head_field against a reference that goes by the words of the RFCs. */
#include "harness.h"

#include <stdlib.h>

static bool is_text(uint8_t c) {
    return c == '\t' || (c >= 0x20 && c != 0x7F);
}

static bool is_token(uint8_t c) {
    return c > 0x20 && c < 0x7F && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* The size of the line at src, or 0. */
static size_t reference_line(const uint8_t *src, size_t n) {
    for (size_t i = 0; i + 1 < n; i++) {
        if (src[i] == '\r' && src[i + 1] == '\n') {
            return i + 2;
        }
        if (!is_text(src[i])) {
            return 0;
        }
    }
    return 0;
}

/* Where the first empty line ends that does not end within the first `start` bytes; or 0. */
static size_t reference_end(const uint8_t *src, size_t n, size_t start) {
    for (size_t end = start + 1; end <= n; end++) {
        if ((end >= 2 && memcmp(src + end - 2, "\n\n", 2) == 0) ||
            (end >= 3 && memcmp(src + end - 3, "\n\r\n", 3) == 0)) {
            return end;
        }
    }
    return 0;
}

static void check_head(const uint8_t *src, size_t n) {
    for (size_t start = 0; start <= n; start++) {
        const size_t end = reference_end(src, n, start);
        CHECK(wsf_head_end(src, n, start) == end, "wsf_head_end: n %zu, start %zu: not %zu", n,
              start, end);
    }
    const size_t size = reference_line(src, n);
    CHECK(wsf_head_line(src, n) == size, "wsf_head_line: n %zu: %zu, not %zu", n,
          wsf_head_line(src, n), size);
    size_t name = 0;
    while (name < size && is_token(src[name])) {
        name++;
    }
    const bool good = size > 0 && name > 0 && src[name] == ':';
    wsf_head_field_parts parts = {0, 0, 0, 0};
    const bool found = wsf_head_field(src, n, &parts);
    CHECK(found == good, "wsf_head_field: n %zu: %d", n, found);
    if (!found || !good) {
        return;
    }
    CHECK(parts.size == size && parts.name_size == name, "wsf_head_field: n %zu: name and size", n);
    const size_t end = parts.value + parts.value_size;
    bool trimmed = parts.value > name && end <= size - 2;
    for (size_t i = name + 1; trimmed && i < size - 2; i++) {
        if (i < parts.value || i >= end) {
            trimmed = src[i] == ' ' || src[i] == '\t';
        }
    }
    if (trimmed && parts.value_size > 0) {
        trimmed = !strchr(" \t", src[parts.value]) && !strchr(" \t", src[end - 1]);
    }
    CHECK(trimmed, "wsf_head_field: n %zu: value", n);
}

void test_head(void) {
    static const char *const LINES[] = {
        "Host: example.org\r\n",
        "a:\r\n",
        "A:  \t \r\n",
        "b: \tc d\t \r\n",
        ": a\r\n",
        "a b: c\r\n",
        " a: b\r\n",
        "a : b\r\n",
        "no colon\r\n",
        "\r\n",
        "a: b\rc\r\n",
        "a: b\nc\r\n",
        "a: b:c\r\nd: e\r\n",
        "a: b\r",
        "a: b",
        "a",
        "",
    };
    enum { MOST = 40 };
    arena space = arena_new(MOST);
    for (size_t l = 0; l < sizeof(LINES) / sizeof(LINES[0]); l++) {
        const size_t n = strlen(LINES[l]);
        uint8_t *const src = arena_end(&space, n);
        memcpy(src, LINES[l], n);
        check_head(src, n);
        for (size_t i = 0; i < n; i++) {
            const uint8_t right = src[i];
            for (unsigned wrong = 0; wrong < 256; wrong++) {
                src[i] = (uint8_t)wrong;
                check_head(src, n);
            }
            src[i] = right;
        }
    }
    const size_t rounds = options.full ? 2000000 : 20000;
    for (size_t round = 0; round < rounds; round++) {
        static const uint8_t LIKELY[] = "a:: \t\r\n\r\n\x80\x7f";
        const size_t n = random_below(12);
        uint8_t *const src = arena_end(&space, n);
        for (size_t i = 0; i < n; i++) {
            src[i] = LIKELY[random_below(sizeof(LIKELY))];
        }
        check_head(src, n);
    }
    arena_free(&space);
}
