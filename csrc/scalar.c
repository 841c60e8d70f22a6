/*
 * The kernels in plain C: what runs where no vector set fits, and what the vector sets call for the
 * odd bytes at an end. Loops over words are written so that compilers can vectorise them.
 */
#include "wsf_impl.h"
#include "utf8_sizes.h"

/* ---- Masking ------------------------------------------------------------------------------- */

static uint64_t key_twice(wsf_key key) {
    const wsf_key pair[2] = {key, key};
    uint64_t word;
    memcpy(&word, pair, 8);
    return word;
}

static void mask_in_place(uint8_t *dst, size_t n, uint64_t key) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        wsf_store64(dst + i, wsf_load64(dst + i) ^ key);
    }
    uint8_t key_bytes[8];
    wsf_store64(key_bytes, key);
    for (; i < n; i++) {
        dst[i] ^= key_bytes[i & 3];
    }
}

static void mask_copy(uint8_t *WSF_RESTRICT dst, const uint8_t *WSF_RESTRICT src, size_t n,
                      uint64_t key) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        wsf_store64(dst + i, wsf_load64(src + i) ^ key);
    }
    uint8_t key_bytes[8];
    wsf_store64(key_bytes, key);
    for (; i < n; i++) {
        dst[i] = src[i] ^ key_bytes[i & 3];
    }
}

/* Two loops, because only a compiler that knows the buffers' relation vectorises them. */
static void mask(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    if (dst == src) {
        mask_in_place(dst, n, key_twice(key));
    } else {
        mask_copy(dst, src, n, key_twice(key));
    }
}

static size_t mask_ascii(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    const uint64_t key64 = key_twice(key);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const uint64_t a = wsf_load64(src + i) ^ key64;
        const uint64_t b = wsf_load64(src + i + 8) ^ key64;
        const uint64_t c = wsf_load64(src + i + 16) ^ key64;
        const uint64_t d = wsf_load64(src + i + 24) ^ key64;
        if ((a | b | c | d) & WSF_HIGH_BITS) {
            return i;
        }
        wsf_store64(dst + i, a);
        wsf_store64(dst + i + 8, b);
        wsf_store64(dst + i + 16, c);
        wsf_store64(dst + i + 24, d);
    }
    for (; i + 4 <= n; i += 4) {
        const uint32_t word = wsf_load32(src + i) ^ key;
        if (word & (uint32_t)WSF_HIGH_BITS) {
            return i;
        }
        wsf_store32(dst + i, word);
    }
    uint8_t key_bytes[4], last[3] = {0, 0, 0};
    wsf_store32(key_bytes, key);
    for (size_t j = 0; i + j < n; j++) {
        last[j] = src[i + j] ^ key_bytes[j];
    }
    if ((last[0] | last[1] | last[2]) & 0x80) {
        return i;
    }
    for (size_t j = 0; i + j < n; j++) {
        dst[i + j] = last[j];
    }
    return n;
}

/* ---- UTF-8 validation ---------------------------------------------------------------------- */

static bool is_continuation(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

/*
 * Length of the code point at p, of which `left` > 0 bytes are there; 0 when it is broken or cut.
 * RFC 3629 §4, with lead and second byte tried as one number, which settles overlong forms,
 * surrogates and the upper limit at once.
 */
WSF_INLINE size_t code_point_length(const uint8_t *p, size_t left) {
    const uint8_t lead = p[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xE0) {
        return lead >= 0xC2 && left >= 2 && is_continuation(p[1]) ? 2 : 0;
    }
    if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2])) {
        return 0;
    }
    const uint32_t two = (uint32_t)lead << 8 | p[1];
    if (lead < 0xF0) {
        return two >= 0xE0A0 && (two < 0xEDA0 || two > 0xEDBF) ? 3 : 0;
    }
    return two >= 0xF090 && two <= 0xF48F && left >= 4 && is_continuation(p[3]) ? 4 : 0;
}

size_t wsf_utf8_scan_scalar(const uint8_t *src, size_t n, wsf_text *text) {
    size_t i = 0;
    size_t chars = 0;
    uint8_t highest = text->highest;
    while (i < n) {
        /* ASCII, 16 bytes at a time. */
        while (n - i >= 16) {
            const uint64_t a = wsf_load64(src + i);
            const uint64_t b = wsf_load64(src + i + 8);
            if ((a | b) & WSF_HIGH_BITS) {
                break;
            }
            i += 16;
            chars += 16;
        }
        /* Then code points one by one, as long as a word holds anything else. */
        do {
            const size_t length = i < n ? code_point_length(src + i, n - i) : 0;
            if (length == 0) {
                text->chars += chars;
                text->highest = highest;
                return i;
            }
            if (length > 1 && src[i] > highest) {
                highest = src[i]; /* no later byte of a code point is above its first */
            }
            i += length;
            chars++;
        } while (n - i < 8 || (wsf_load64(src + i) & WSF_HIGH_BITS));
    }
    text->chars += chars;
    text->highest = highest;
    return i;
}

static bool utf8_valid(const uint8_t *src, size_t n) {
    wsf_text unused = {0, 0};
    return wsf_utf8_scan_scalar(src, n, &unused) == n;
}

/* ---- UTF-8 to fixed width ------------------------------------------------------------------ */

/* 80 and above from C2 and C3: the lead carries two bits, of which the upper is always set. */
void wsf_utf8_to_ucs1_scalar(uint8_t *dst, size_t chars, const uint8_t *src, size_t n) {
    size_t i = 0;
    size_t k = 0;
    while (k < chars) {
        while (n - i >= 8 && !(wsf_load64(src + i) & WSF_HIGH_BITS)) {
            wsf_store64(dst + k, wsf_load64(src + i));
            i += 8;
            k += 8;
        }
        if (k == chars) {
            break;
        }
        if (src[i] < 0x80) {
            dst[k++] = src[i++];
        } else {
            dst[k++] = (uint8_t)(src[i] << 6) | (src[i + 1] & 0x3F);
            i += 2;
        }
    }
}

size_t wsf_utf8_to_latin1_scalar(uint8_t *dst, size_t *chars, const uint8_t *src, size_t n) {
    size_t i = 0;
    size_t k = 0;
    while (i < n) {
        if (n - i >= 8 && !(wsf_load64(src + i) & WSF_HIGH_BITS)) {
            wsf_store64(dst + k, wsf_load64(src + i));
            i += 8;
            k += 8;
        } else if (src[i] < 0x80) {
            dst[k++] = src[i++];
        } else if ((src[i] & 0xFE) == 0xC2 && n - i >= 2 && (src[i + 1] & 0xC0) == 0x80) {
            dst[k++] = (uint8_t)(src[i] << 6) | (src[i + 1] & 0x3F);
            i += 2;
        } else {
            break;
        }
    }
    *chars = k;
    return i;
}

void wsf_utf8_to_ucs2_scalar(uint16_t *dst, size_t chars, const uint8_t *src, size_t n) {
    size_t i = 0;
    size_t k = 0;
    while (k < chars) {
        while (n - i >= 8 && !(wsf_load64(src + i) & WSF_HIGH_BITS)) {
            for (size_t j = 0; j < 8; j++) {
                dst[k + j] = src[i + j];
            }
            i += 8;
            k += 8;
        }
        if (k == chars) {
            break;
        }
        const uint32_t lead = src[i];
        if (lead < 0x80) {
            dst[k++] = (uint16_t)lead;
            i += 1;
        } else if (lead < 0xE0) {
            dst[k++] = (uint16_t)((lead & 0x1F) << 6 | (src[i + 1] & 0x3F));
            i += 2;
        } else {
            dst[k++] =
                (uint16_t)((lead & 0x0F) << 12 | (src[i + 1] & 0x3Fu) << 6 | (src[i + 2] & 0x3F));
            i += 3;
        }
    }
}

void wsf_utf8_to_ucs4_scalar(uint32_t *dst, size_t chars, const uint8_t *src, size_t n) {
    size_t i = 0;
    size_t k = 0;
    while (k < chars) {
        while (n - i >= 8 && !(wsf_load64(src + i) & WSF_HIGH_BITS)) {
            for (size_t j = 0; j < 8; j++) {
                dst[k + j] = src[i + j];
            }
            i += 8;
            k += 8;
        }
        if (k == chars) {
            break;
        }
        const uint32_t lead = src[i];
        if (lead < 0x80) {
            dst[k++] = lead;
            i += 1;
        } else if (lead < 0xE0) {
            dst[k++] = (lead & 0x1F) << 6 | (src[i + 1] & 0x3F);
            i += 2;
        } else if (lead < 0xF0) {
            dst[k++] = (lead & 0x0F) << 12 | (src[i + 1] & 0x3Fu) << 6 | (src[i + 2] & 0x3F);
            i += 3;
        } else {
            dst[k++] = (lead & 0x07) << 18 | (src[i + 1] & 0x3Fu) << 12 |
                       (src[i + 2] & 0x3Fu) << 6 | (src[i + 3] & 0x3F);
            i += 4;
        }
    }
}

/* ---- Fixed width to UTF-8 ------------------------------------------------------------------ */

void wsf_ucs1_to_utf8_scalar(uint8_t *dst, size_t size, const uint8_t *src, size_t n) {
    size_t i = 0;
    size_t k = 0;
    while (i < n) {
        while (n - i >= 8 && !(wsf_load64(src + i) & WSF_HIGH_BITS)) {
            wsf_store64(dst + k, wsf_load64(src + i));
            i += 8;
            k += 8;
        }
        if (i == n) {
            break;
        }
        const uint8_t unit = src[i++];
        if (unit < 0x80) {
            dst[k++] = unit;
        } else {
            dst[k++] = 0xC0 | unit >> 6;
            dst[k++] = 0x80 | (unit & 0x3F);
        }
    }
    (void)size;
}

void wsf_ucs2_to_utf8_scalar(uint8_t *dst, size_t size, const uint16_t *src, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const uint16_t unit = src[i];
        if (unit < 0x80) {
            dst[k++] = (uint8_t)unit;
        } else if (unit < 0x800) {
            dst[k++] = (uint8_t)(0xC0 | unit >> 6);
            dst[k++] = 0x80 | (unit & 0x3F);
        } else {
            dst[k++] = (uint8_t)(0xE0 | unit >> 12);
            dst[k++] = 0x80 | (unit >> 6 & 0x3F);
            dst[k++] = 0x80 | (unit & 0x3F);
        }
    }
    (void)size;
}

void wsf_ucs4_to_utf8_scalar(uint8_t *dst, size_t size, const uint32_t *src, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t unit = src[i];
        if (unit < 0x80) {
            dst[k++] = (uint8_t)unit;
        } else if (unit < 0x800) {
            dst[k++] = (uint8_t)(0xC0 | unit >> 6);
            dst[k++] = 0x80 | (unit & 0x3F);
        } else if (unit < 0x10000) {
            dst[k++] = (uint8_t)(0xE0 | unit >> 12);
            dst[k++] = 0x80 | (unit >> 6 & 0x3F);
            dst[k++] = 0x80 | (unit & 0x3F);
        } else {
            dst[k++] = (uint8_t)(0xF0 | unit >> 18);
            dst[k++] = 0x80 | (unit >> 12 & 0x3F);
            dst[k++] = 0x80 | (unit >> 6 & 0x3F);
            dst[k++] = 0x80 | (unit & 0x3F);
        }
    }
    (void)size;
}

const wsf_kernels wsf_kernels_scalar = {
    .name = "scalar",
    .required = 0,
    .mask = mask,
    .mask_ascii = mask_ascii,
    .utf8_scan = wsf_utf8_scan_scalar,
    .utf8_valid = utf8_valid,
    .utf8_to_ucs1 = wsf_utf8_to_ucs1_scalar,
    .utf8_to_ucs2 = wsf_utf8_to_ucs2_scalar,
    .utf8_to_ucs4 = wsf_utf8_to_ucs4_scalar,
    .utf8_to_latin1 = wsf_utf8_to_latin1_scalar,
    .ucs1_utf8_size = ucs1_utf8_size,
    .ucs2_utf8_size = ucs2_utf8_size,
    .ucs4_utf8_size = ucs4_utf8_size,
    .ucs1_to_utf8 = wsf_ucs1_to_utf8_scalar,
    .ucs2_to_utf8 = wsf_ucs2_to_utf8_scalar,
    .ucs4_to_utf8 = wsf_ucs4_to_utf8_scalar,
};
