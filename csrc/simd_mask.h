/*
 * Template: mask and mask_ascii for one vector set.
 *
 * The file that includes it defines OP and FN (attributes of inline and of real functions), VEC
 * (the vector size in bytes), V(name) (the set's prefix pasted before a name); and, for that prefix
 * and each narrower one from v16 on: _t, _load, _store, _xor, _or, _key, _is_ascii.
 *
 * No loop ever runs over single bytes. A length that is no multiple of the vector is covered by a
 * last vector that ends where the data ends and overlaps the one before:
 *
 *     |---- a ----|---- b ----|---- c ----|
 *                                    |---- last ----|
 *
 * In place that would mask the overlap twice, so `last` is loaded before anything is stored.
 */

/* The key for byte i of a buffer that starts with `key`: turned by i % 4 bytes (little-endian). */
OP wsf_key key_at(wsf_key key, size_t i) {
    const unsigned bits = (unsigned)(i & 3) * 8;
    return key >> bits | key << ((32 - bits) & 31);
}

OP uint64_t key64_at(wsf_key key, size_t i) {
    const uint64_t turned = key_at(key, i);
    return turned << 32 | turned;
}

/* Fewer than 16 bytes. With `ascii`, stores only if all is ASCII, and returns whether it was. */
OP bool mask_words(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key, bool ascii) {
    if (n >= 8) {
        const uint64_t head = wsf_load64(src) ^ key64_at(key, 0);
        const uint64_t last = wsf_load64(src + n - 8) ^ key64_at(key, n);
        if (ascii && ((head | last) & WSF_HIGH_BITS)) {
            return false;
        }
        wsf_store64(dst, head);
        wsf_store64(dst + n - 8, last);
    } else if (n >= 4) {
        const uint32_t head = wsf_load32(src) ^ key;
        const uint32_t last = wsf_load32(src + n - 4) ^ key_at(key, n);
        if (ascii && ((head | last) & (uint32_t)WSF_HIGH_BITS)) {
            return false;
        }
        wsf_store32(dst, head);
        wsf_store32(dst + n - 4, last);
    } else if (n > 0) {
        /* 1-3 bytes: first, middle and last are all of them, some more than once. */
        const uint8_t first = src[0] ^ (uint8_t)key;
        const uint8_t middle = src[n / 2] ^ (uint8_t)key_at(key, n / 2);
        const uint8_t last = src[n - 1] ^ (uint8_t)key_at(key, n - 1);
        if (ascii && ((first | middle | last) & 0x80)) {
            return false;
        }
        dst[0] = first;
        dst[n / 2] = middle;
        dst[n - 1] = last;
    }
    return true;
}

/* Between one and two vectors of type P. */
#define MASK_PAIR(P, size)                                                                      \
    OP bool P##mask_pair(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key, bool ascii) { \
        const P##t head = P##xor(P##load(src), P##key(key));                                    \
        const P##t last = P##xor(P##load(src + n - (size)), P##key(key_at(key, n)));            \
        if (ascii && !P##is_ascii(P##or(head, last))) {                                         \
            return false;                                                                       \
        }                                                                                       \
        P##store(dst, head);                                                                    \
        P##store(dst + n - (size), last);                                                       \
        return true;                                                                            \
    }

MASK_PAIR(v16_, 16)
#if VEC >= 32
MASK_PAIR(v32_, 32)
#endif
#if VEC >= 64
MASK_PAIR(v64_, 64)
#endif

#if VEC <= 32
/* Between two and four vectors: two from the start, two from the end. */
OP bool mask_quad(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key, bool ascii) {
    const V(t) head_key = V(key)(key);
    const V(t) last_key = V(key)(key_at(key, n));
    const V(t) a = V(xor)(V(load)(src), head_key);
    const V(t) b = V(xor)(V(load)(src + VEC), head_key);
    const V(t) c = V(xor)(V(load)(src + n - 2 * VEC), last_key);
    const V(t) d = V(xor)(V(load)(src + n - VEC), last_key);
    if (ascii && !V(is_ascii)(V(or)(V(or)(a, b), V(or)(c, d)))) {
        return false;
    }
    V(store)(dst, a);
    V(store)(dst + VEC, b);
    V(store)(dst + n - 2 * VEC, c);
    V(store)(dst + n - VEC, d);
    return true;
}
enum { MASK_SHORT = 4 * VEC };
#else
enum { MASK_SHORT = 2 * VEC };
#endif

/* Up to MASK_SHORT <= 128 bytes: all loads before the first store, so one answer fits all of it. */
OP bool mask_short(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key, bool ascii) {
    if (n < 16) {
        return mask_words(dst, src, n, key, ascii);
    }
    if (n <= 32) {
        return v16_mask_pair(dst, src, n, key, ascii);
    }
#if VEC >= 32
    if (n <= 64) {
        return v32_mask_pair(dst, src, n, key, ascii);
    }
#endif
#if VEC >= 64
    return v64_mask_pair(dst, src, n, key, ascii);
#else
    return mask_quad(dst, src, n, key, ascii);
#endif
}

FN void mask_long(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    /*
     * The first vector reaches at least to where dst is aligned; from there the loop stores to
     * aligned addresses, for a store that crosses into another cache line costs two.
     */
    const size_t skip = VEC - ((uintptr_t)dst & (VEC - 1));
    const V(t) head = V(xor)(V(load)(src), V(key)(key));
    const V(t) last = V(xor)(V(load)(src + n - VEC), V(key)(key_at(key, n)));
    const V(t) turned = V(key)(key_at(key, skip));
    size_t i = skip;
    for (; i + 4 * VEC <= n; i += 4 * VEC) {
        const V(t) a = V(xor)(V(load)(src + i), turned);
        const V(t) b = V(xor)(V(load)(src + i + VEC), turned);
        const V(t) c = V(xor)(V(load)(src + i + 2 * VEC), turned);
        const V(t) d = V(xor)(V(load)(src + i + 3 * VEC), turned);
        V(store)(dst + i, a);
        V(store)(dst + i + VEC, b);
        V(store)(dst + i + 2 * VEC, c);
        V(store)(dst + i + 3 * VEC, d);
    }
    for (; i + VEC <= n; i += VEC) {
        V(store)(dst + i, V(xor)(V(load)(src + i), turned));
    }
    V(store)(dst, head);
    V(store)(dst + n - VEC, last);
}

FN void mask(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    if (n <= MASK_SHORT) {
        mask_short(dst, src, n, key, false);
    } else {
        mask_long(dst, src, n, key);
    }
}

/*
 * Ends mask_ascii_long at i, before a block that is not ASCII. `head` is the first vector; blocks
 * from `skip` on overlap it, so it could not be stored before they were loaded.
 */
OP size_t stop_at(uint8_t *dst, const uint8_t *src, size_t i, size_t skip, V(t) head, wsf_key key) {
    if (i > skip) {
        V(store)(dst, head);
        return i;
    }
    for (size_t k = 0; k < skip; k += 4) {
        wsf_store32(dst + k, wsf_load32(src + k) ^ key);
    }
    return skip;
}

FN size_t mask_ascii_long(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    /* As in mask_long, but by whole keys, because the result may be `skip`. */
    const size_t skip = (VEC - ((uintptr_t)dst & (VEC - 1))) & ~(size_t)3;
    const V(t) key_vector = V(key)(key);
    const V(t) head = V(xor)(V(load)(src), key_vector);
    const V(t) last = V(xor)(V(load)(src + n - VEC), V(key)(key_at(key, n)));
    if (!V(is_ascii)(head)) {
        return 0;
    }
    size_t i = skip;
#if VEC <= 32
    for (; i + 4 * VEC <= n; i += 4 * VEC) {
        const V(t) a = V(xor)(V(load)(src + i), key_vector);
        const V(t) b = V(xor)(V(load)(src + i + VEC), key_vector);
        const V(t) c = V(xor)(V(load)(src + i + 2 * VEC), key_vector);
        const V(t) d = V(xor)(V(load)(src + i + 3 * VEC), key_vector);
        if (WSF_UNLIKELY(!V(is_ascii)(V(or)(V(or)(a, b), V(or)(c, d))))) {
            return stop_at(dst, src, i, skip, head, key);
        }
        V(store)(dst + i, a);
        V(store)(dst + i + VEC, b);
        V(store)(dst + i + 2 * VEC, c);
        V(store)(dst + i + 3 * VEC, d);
    }
#else
    /* Two at a time: the contract allows to stop 128 bytes early. */
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        const V(t) a = V(xor)(V(load)(src + i), key_vector);
        const V(t) b = V(xor)(V(load)(src + i + VEC), key_vector);
        if (WSF_UNLIKELY(!V(is_ascii)(V(or)(a, b)))) {
            return stop_at(dst, src, i, skip, head, key);
        }
        V(store)(dst + i, a);
        V(store)(dst + i + VEC, b);
    }
#endif
    for (; i + VEC <= n; i += VEC) {
        const V(t) a = V(xor)(V(load)(src + i), key_vector);
        if (!V(is_ascii)(a)) {
            return stop_at(dst, src, i, skip, head, key);
        }
        V(store)(dst + i, a);
    }
    /* The part of `last` before i is known to be ASCII, so its verdict is about [i, n). */
    if (!V(is_ascii)(last)) {
        return stop_at(dst, src, i, skip, head, key);
    }
    V(store)(dst, head);
    V(store)(dst + n - VEC, last);
    return n;
}

FN size_t mask_ascii(uint8_t *dst, const uint8_t *src, size_t n, wsf_key key) {
    if (n <= MASK_SHORT) {
        return mask_short(dst, src, n, key, true) ? n : 0;
    }
    return mask_ascii_long(dst, src, n, key);
}
