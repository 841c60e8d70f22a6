/*
 * Lines of the head of an HTTP/1.1 message (RFC 9112 §5), judged strictly: no folded line, no line end but
 * CR LF, no control character but the tab, no space around a name.
 */
#include "wsfast.h"

enum {
    TEXT = 1, /* in a value, and in the first line (RFC 9110 §5.5) */
    TOKEN = 2 /* in a name (RFC 9110 §5.6.2) */
};

/* clang-format off */
static const uint8_t kind[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 3, 1, 3, 3, 3, 3, 3, 1, 1, 3, 3, 1, 3, 3, 1, /*  !"#$%&'()*+,-./ */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, /* 0123456789:;<=>? */
    1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, /* @ABCDEFGHIJKLMNO */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 3, 3, /* PQRSTUVWXYZ[\]^_ */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, /* `abcdefghijklmno */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 3, 1, 3, 0, /* pqrstuvwxyz{|}~  */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};
/* clang-format on */

size_t wsf_head_end(const uint8_t *src, size_t n, size_t start) {
    size_t i = start;
    while (i < n) {
        const uint8_t *const found = memchr(src + i, '\n', n - i);
        if (!found) {
            return 0;
        }
        i = (size_t)(found - src);
        if ((i >= 1 && src[i - 1] == '\n') ||
            (i >= 2 && src[i - 1] == '\r' && src[i - 2] == '\n')) {
            return i + 1;
        }
        i++;
    }
    return 0;
}

size_t wsf_head_line(const uint8_t *src, size_t n) {
    size_t i = 0;
    while (i < n && kind[src[i]]) {
        i++;
    }
    return n - i >= 2 && src[i] == '\r' && src[i + 1] == '\n' ? i + 2 : 0;
}

bool wsf_head_field(const uint8_t *src, size_t n, wsf_head_field_parts *out) {
    size_t name = 0;
    while (name < n && kind[src[name]] & TOKEN) {
        name++;
    }
    if (name == 0 || name == n || src[name] != ':') {
        return false;
    }
    size_t size = wsf_head_line(src, n);
    if (size == 0) {
        return false;
    }
    size_t begin = name + 1, end = size - 2;
    while (begin < end && (src[begin] == ' ' || src[begin] == '\t')) {
        begin++;
    }
    while (begin < end && (src[end - 1] == ' ' || src[end - 1] == '\t')) {
        end--;
    }
    out->name_size = name;
    out->value = begin;
    out->value_size = end - begin;
    out->size = size;
    return true;
}
