/*
 * wsfast kernels: the byte work of a WebSocket codec (RFC 6455), in plain C11.
 *
 * This is the only public header. Nothing here knows Python, sockets or protocol state; nothing
 * allocates; nothing reads or writes a byte outside the ranges named in a contract. Pointers need no
 * alignment. Lengths are in bytes unless a contract says otherwise; a length of 0 is always legal,
 * and then the pointers are not followed.
 *
 * The per-CPU functions sit in tables (`wsf_kernels`), one table for each instruction set this build
 * contains. `wsf_active()` is the table in use.
 */
#ifndef WSFAST_H
#define WSFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Masking keys (RFC 6455 §5.3) ---------------------------------------------------------- */

/*
 * A masking key as one word *in memory order*: storing the word gives the key's bytes in wire order
 * on little- and big-endian machines alike. The word is never used as a number, only XORed with
 * other words that were loaded from memory.
 */
typedef uint32_t wsf_key;

/* The key for a payload of which `phase` bytes were already masked: byte i is key[(phase + i) % 4]. */
static inline wsf_key wsf_key_load(const uint8_t key[4], size_t phase) {
    const uint8_t rotated[4] = {key[phase & 3], key[(phase + 1) & 3], key[(phase + 2) & 3],
                                key[(phase + 3) & 3]};
    wsf_key word;
    memcpy(&word, rotated, 4);
    return word;
}

/* `key` after `n` more bytes were masked with it. */
static inline wsf_key wsf_key_advance(wsf_key key, size_t n) {
    uint8_t bytes[4];
    memcpy(bytes, &key, 4);
    return wsf_key_load(bytes, n);
}

/*
 * Stores a fresh, unpredictable key in *key. Returns false, and stores nothing, when this thread's
 * generator needs a seed first: at the start, after wsf_keys_forget(), and every 260,000 keys.
 * Every thread has its own generator.
 */
bool wsf_keys_take(wsf_key *key);

/* Seeds this thread's generator with 32 bytes from the operating system's CSPRNG. */
void wsf_keys_seed(const uint8_t seed[32]);

/* Drops all keys and the seed of this thread: to be called in the child after a fork. */
void wsf_keys_forget(void);

/*
 * The generator behind the keys: `blocks` (a multiple of 16) 64-byte blocks of ChaCha20 (RFC 8439 §2.4),
 * nonce 0, counter from 0, key words in the RFC's order. Public for its test vectors.
 */
void wsf_chacha20(uint8_t *out, size_t blocks, const uint32_t key[8]);

/* ---- Kernels ------------------------------------------------------------------------------- */

/* What a UTF-8 scan found out about the text it accepted; scans add to it. */
typedef struct wsf_text {
    size_t chars;    /* code points */
    uint8_t highest; /* largest byte from 0x80 on: 0 ASCII, <= 0xC3 Latin-1, <= 0xEF the BMP */
} wsf_text;

typedef struct wsf_kernels {
    const char *name;  /* "scalar", "sse4.1", "avx2", "avx512", "neon" */
    uint32_t required; /* WSF_CPU_* bits (see wsf_impl.h) */

    /* dst[i] = src[i] ^ key byte i%4, for i < n. dst == src, or the ranges are disjoint. */
    void (*mask)(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key);

    /*
     * The same, but stops before the first block that holds a non-ASCII result.
     * Returns r: dst[0, r) is written and all of it is < 0x80; dst[r, n) is untouched. r == n, or
     * r is a multiple of 4 (so the key's phase is unchanged) and at most 128 bytes before
     * the first non-ASCII byte. dst == src, or the ranges are disjoint. key 0 copies.
     */
    size_t (*mask_ascii)(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key);

    /*
     * Validates UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
     * `src` starts at a code point boundary. Returns the length of the longest prefix that is made
     * of whole, valid code points, and adds that prefix to `text`. If the result is less than n,
     * wsf_utf8_tail() tells whether the rest is broken or only incomplete.
     */
    size_t (*utf8_scan)(const uint8_t *src, size_t n, wsf_text *text);

    /* Tells whether n bytes are whole, valid UTF-8: utf8_scan() == n, with nothing counted. */
    bool (*utf8_valid)(const uint8_t *src, size_t n);

    /*
     * Transcode n bytes of *valid* UTF-8 (a scan accepted all of it) into fixed-width storage of
     * exactly `chars` units; nothing past dst[chars) is written. The caller picks the width by
     * wsf_text.highest: ucs1 when <= 0xC3, ucs2 when <= 0xEF, ucs4 always. dst is aligned to its
     * unit; the ranges are disjoint.
     */
    void (*utf8_to_ucs1)(uint8_t *dst, size_t chars, const uint8_t *src, size_t n);
    void (*utf8_to_ucs2)(uint16_t *dst, size_t chars, const uint8_t *src, size_t n);
    void (*utf8_to_ucs4)(uint32_t *dst, size_t chars, const uint8_t *src, size_t n);

    /*
     * Decodes and validates in one pass what may well be Latin-1 text. `src` starts at a code point
     * boundary. Returns the length of the longest prefix that is made of whole, valid code points up
     * to U+00FF; dst, which has n bytes, then holds those code points, and *chars tells how many they
     * are. The bytes of dst behind them are unspecified. The ranges are disjoint.
     */
    size_t (*utf8_to_latin1)(uint8_t *dst, size_t *chars, const uint8_t *src, size_t n);

    /*
     * Number of bytes that n units encode to as UTF-8, or SIZE_MAX if there is a surrogate (or, for
     * ucs4, a value above 0x10FFFF) among them. src is aligned to its unit.
     */
    size_t (*ucs1_utf8_size)(const uint8_t *src, size_t n);
    size_t (*ucs2_utf8_size)(const uint16_t *src, size_t n);
    size_t (*ucs4_utf8_size)(const uint32_t *src, size_t n);

    /*
     * Encode n units as UTF-8 into dst, which has exactly `size` bytes: what the size function
     * above returned for them. The ranges are disjoint.
     */
    void (*ucs1_to_utf8)(uint8_t *dst, size_t size, const uint8_t *src, size_t n);
    void (*ucs2_to_utf8)(uint8_t *dst, size_t size, const uint16_t *src, size_t n);
    void (*ucs4_to_utf8)(uint8_t *dst, size_t size, const uint32_t *src, size_t n);
} wsf_kernels;

/*
 * The tables that this CPU and operating system can run, best first, ending with "scalar".
 * Stores up to `max` of them in `out` and returns how many there are.
 */
size_t wsf_available(const wsf_kernels **out, size_t max);

/*
 * Makes the named table the active one for the whole process (NULL: the best available) and returns
 * it. Returns NULL, and changes nothing, when the name is unknown or the CPU cannot run it. Safe to
 * call from any thread at any time.
 */
const wsf_kernels *wsf_select(const char *name);

/* The active table; the best available one until wsf_select() says otherwise. Never NULL. */
const wsf_kernels *wsf_active(void);

/* ---- UTF-8 beyond one buffer --------------------------------------------------------------- */

/* What follows the longest valid prefix of a text. */
typedef enum wsf_tail {
    WSF_TAIL_INCOMPLETE, /* 1-3 bytes that begin a code point whose end is missing */
    WSF_TAIL_INVALID     /* a byte that cannot stand where it stands */
} wsf_tail;

/*
 * Judges n > 0 bytes of which no prefix is a whole valid code point (what is left after utf8_scan).
 * When invalid, *at is the index of the offending byte: the first one that no valid text could have
 * at that place (0 for a bad lead byte, 1 for E0 80, F4 90, ED A0, C3 41, ...).
 */
wsf_tail wsf_utf8_tail(const uint8_t *src, size_t n, size_t *at);

/* A text that arrives in pieces, cut anywhere. All zero bytes is the initial state. */
typedef struct wsf_utf8_stream {
    wsf_text text;       /* the whole code points so far */
    uint8_t held[4];     /* the beginning of a code point that the next piece must finish */
    uint8_t held_length; /* 0-3; 0 means the text so far ends at a code point boundary */
} wsf_utf8_stream;

/*
 * Validates the next n bytes with kernels `k`. Returns n when the text so far is the beginning of
 * some valid text; otherwise the index in `src` of the offending byte, as for wsf_utf8_tail(), and
 * the stream must not be used again before it is zeroed.
 */
size_t wsf_utf8_feed(const wsf_kernels *k, wsf_utf8_stream *stream, const uint8_t *src, size_t n);

/* ---- Frame headers (RFC 6455 §5.2) --------------------------------------------------------- */

enum { WSF_HEADER_MAX = 14 };

typedef struct wsf_header {
    uint64_t length;  /* of the payload */
    wsf_key key;      /* in memory order; 0 when not masked */
    uint8_t first;    /* the first byte as it stands: FIN, RSV1-3, opcode */
    uint8_t masked;   /* 0 or 1 */
    uint8_t size;     /* of the header: 2-14 */
} wsf_header;

typedef enum wsf_header_result {
    WSF_HEADER_OK,
    WSF_HEADER_INCOMPLETE, /* more bytes are needed; nothing wrong so far */
    WSF_HEADER_NOT_MINIMAL, /* the length fits in a shorter form */
    WSF_HEADER_TOO_LONG     /* the top bit of a 64-bit length is set */
} wsf_header_result;

/*
 * Parses the header at src[0, n). Judges only how the length is written; what the first byte may
 * be, and which side masks, is the decoder's to say. `out` is complete only when the result is
 * WSF_HEADER_OK; for NOT_MINIMAL and TOO_LONG, `length`, `first` and `masked` are set.
 */
static inline wsf_header_result wsf_header_parse(const uint8_t *src, size_t n, wsf_header *out) {
    if (n < 2) {
        return WSF_HEADER_INCOMPLETE;
    }
    const uint8_t length7 = src[1] & 0x7F;
    size_t size = 2;
    out->first = src[0];
    out->masked = src[1] >> 7;
    if (length7 < 126) {
        out->length = length7;
    } else if (length7 == 126) {
        if (n < 4) {
            return WSF_HEADER_INCOMPLETE;
        }
        out->length = (uint64_t)src[2] << 8 | src[3];
        if (out->length < 126) {
            return WSF_HEADER_NOT_MINIMAL;
        }
        size = 4;
    } else {
        if (n < 10) {
            return WSF_HEADER_INCOMPLETE;
        }
        uint64_t length = 0;
        for (size_t i = 2; i < 10; i++) {
            length = length << 8 | src[i];
        }
        out->length = length;
        if (length >> 63) {
            return WSF_HEADER_TOO_LONG;
        }
        if (length < 65536) {
            return WSF_HEADER_NOT_MINIMAL;
        }
        size = 10;
    }
    out->key = 0;
    if (out->masked) {
        if (n < size + 4) {
            return WSF_HEADER_INCOMPLETE;
        }
        memcpy(&out->key, src + size, 4);
        size += 4;
    }
    out->size = (uint8_t)size;
    return WSF_HEADER_OK;
}

/* Size of the header that wsf_header_build() writes. */
static inline size_t wsf_header_size(uint64_t length, bool masked) {
    return (length < 126 ? 2u : length < 65536 ? 4u : 10u) + (masked ? 4u : 0u);
}

/*
 * Writes a header with the shortest length form; `key` follows it when `masked`. dst has
 * wsf_header_size(length, masked) bytes, which is also the result. length < 2^63.
 */
static inline size_t wsf_header_build(uint8_t *dst, uint8_t first, uint64_t length, bool masked,
                                      wsf_key key) {
    const uint8_t mask_bit = masked ? 0x80 : 0;
    size_t size = 2;
    dst[0] = first;
    if (length < 126) {
        dst[1] = (uint8_t)(mask_bit | length);
    } else if (length < 65536) {
        dst[1] = mask_bit | 126;
        dst[2] = (uint8_t)(length >> 8);
        dst[3] = (uint8_t)length;
        size = 4;
    } else {
        dst[1] = mask_bit | 127;
        for (size_t i = 0; i < 8; i++) {
            dst[2 + i] = (uint8_t)(length >> (56 - 8 * i));
        }
        size = 10;
    }
    if (masked) {
        memcpy(dst + size, &key, 4);
        size += 4;
    }
    return size;
}

/*
 * The head of an HTTP/1.1 message. wsf_head_end() returns where the first empty line within n bytes ends,
 * when it does not end within the first `start` of them; 0 without one. A bare LF counts as a line end.
 */
size_t wsf_head_end(const uint8_t *src, size_t n, size_t start);

/*
 * wsf_head_line() returns the size of the line that begins at src, with
 * the CR LF at its end; 0 when none ends within n bytes, or it has a byte that no line has.
 */
size_t wsf_head_line(const uint8_t *src, size_t n);

/* Where the parts of a field's line are; `value` has no white space around it. */
typedef struct wsf_head_field_parts {
    size_t name_size; /* the name is at the start */
    size_t value;
    size_t value_size;
    size_t size; /* of the whole line */
} wsf_head_field_parts;

/* Takes the line apart that begins at src; false when it is no well-formed field. */
bool wsf_head_field(const uint8_t *src, size_t n, wsf_head_field_parts *out);

#ifdef __cplusplus
}
#endif

#endif /* WSFAST_H */
