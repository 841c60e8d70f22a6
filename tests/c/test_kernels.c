/*
 * The kernels' own tests, for every set that this CPU can run. See run.sh.
 *
 *     test_kernels [--full] [--set NAME] [--seed N]
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef WSF_TEST_AVX512_EMULATED
extern const wsf_kernels wsf_kernels_avx512;
#endif

/* ---- Frame headers ------------------------------------------------------------------------- */

/* The header of RFC 6455 §5.2 written out, with the length in 0, 2 or 8 more bytes. */
static size_t reference_header(uint8_t *dst, uint8_t first, uint64_t length, unsigned extra,
                               const uint8_t *key) {
    size_t size = 0;
    dst[size++] = first;
    dst[size++] = (uint8_t)((key ? 0x80 : 0) + (extra == 0 ? length : extra == 2 ? 126 : 127));
    for (unsigned i = 0; i < extra; i++) {
        dst[size++] = (uint8_t)(length >> 8 * (extra - 1 - i));
    }
    for (unsigned i = 0; key && i < 4; i++) {
        dst[size++] = key[i];
    }
    return size;
}

void test_header(void) {
    /* clang-format off */
    static const uint64_t LENGTHS[] = {
        0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537, 1 << 24, UINT32_MAX,
        (uint64_t)UINT32_MAX + 1, INT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    /* clang-format on */
    const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};
    uint8_t wire[WSF_HEADER_MAX], built[WSF_HEADER_MAX + 1];
    for (size_t l = 0; l < sizeof(LENGTHS) / sizeof(LENGTHS[0]); l++) {
        const uint64_t length = LENGTHS[l];
        for (unsigned first = 0; first < 256; first++) {
            for (unsigned form = 0; form < 6; form++) {
                const unsigned extra = form / 2 == 0 ? 0 : form / 2 == 1 ? 2 : 8;
                const bool masked = form % 2;
                if ((extra == 0 && length > 125) || (extra == 2 && length > 65535)) {
                    continue;
                }
                const size_t size =
                    reference_header(wire, (uint8_t)first, length, extra, masked ? key : NULL);
                const unsigned needed = length < 126 ? 0 : length < 65536 ? 2 : 8;
                for (size_t n = 0; n <= size; n++) {
                    wsf_header header;
                    memset(&header, 0xEE, sizeof(header));
                    uint8_t *const exact = malloc(n ? n : 1); /* so that over-reads are seen */
                    memcpy(exact, wire, n);
                    const wsf_header_result result = wsf_header_parse(exact, n, &header);
                    free(exact);
                    wsf_header_result wanted = n < size ? WSF_HEADER_INCOMPLETE : WSF_HEADER_OK;
                    if (n >= 2u + extra && length >> 63) {
                        wanted = WSF_HEADER_TOO_LONG;
                    } else if (n >= 2u + extra && extra != needed) {
                        wanted = WSF_HEADER_NOT_MINIMAL;
                    }
                    CHECK(result == wanted, "wsf_header_parse: length %llu in %u, %zu of %zu bytes",
                          (unsigned long long)length, extra, n, size);
                    if (wanted != WSF_HEADER_INCOMPLETE) {
                        CHECK(header.length == length && header.first == first &&
                                  header.masked == masked,
                              "wsf_header_parse: length %llu in %u: fields",
                              (unsigned long long)length, extra);
                    }
                    if (wanted == WSF_HEADER_OK) {
                        CHECK(header.size == size &&
                                  header.key == (masked ? wsf_key_load(key, 0) : 0),
                              "wsf_header_parse: length %llu in %u: size or key",
                              (unsigned long long)length, extra);
                    }
                }
                if (extra == needed && !(length >> 63)) {
                    memset(built, 0xA5, sizeof(built));
                    const size_t done = wsf_header_build(built, (uint8_t)first, length, masked,
                                                         wsf_key_load(key, 0));
                    CHECK(done == size && wsf_header_size(length, masked) == size &&
                              memcmp(built, wire, size) == 0 && built[size] == 0xA5,
                          "wsf_header_build: length %llu", (unsigned long long)length);
                }
            }
        }
    }
    for (size_t phase = 0; phase < 9; phase++) {
        const uint8_t turned[4] = {key[phase % 4], key[(phase + 1) % 4], key[(phase + 2) % 4],
                                   key[(phase + 3) % 4]};
        wsf_key word;
        memcpy(&word, turned, 4);
        CHECK(wsf_key_load(key, phase) == word, "wsf_key_load: phase %zu", phase);
    }
}

/* ---- Masking keys -------------------------------------------------------------------------- */

void test_keys(void) {
    /* RFC 8439 §A.1, test vectors 1 to 3: the beginning of a block for key and counter. */
    static const struct {
        uint32_t last_key_word;
        size_t block;
        uint8_t begins[8];
    } VECTORS[] = {
        {0x00000000, 0, {0x76, 0xB8, 0xE0, 0xAD, 0xA0, 0xF1, 0x3D, 0x90}},
        {0x00000000, 1, {0x9F, 0x07, 0xE7, 0xBE, 0x55, 0x51, 0x38, 0x7A}},
        {0x01000000, 1, {0x3A, 0xEB, 0x52, 0x24, 0xEC, 0xF8, 0x49, 0x92}},
    };
    uint8_t stream[64 * 16];
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        const uint32_t key[8] = {0, 0, 0, 0, 0, 0, 0, VECTORS[i].last_key_word};
        wsf_chacha20(stream, 16, key);
        CHECK(memcmp(stream + 64 * VECTORS[i].block, VECTORS[i].begins, 8) == 0,
              "wsf_chacha20: test vector %zu", i + 1);
    }
    const uint8_t seed[32] = {0};
    wsf_key key, again;
    wsf_keys_forget();
    CHECK(!wsf_keys_take(&key), "wsf_keys_take: no key without a seed");
    wsf_keys_seed(seed);
    CHECK(wsf_keys_take(&key), "wsf_keys_take: a key with one");
    size_t taken = 1;
    while (wsf_keys_take(&again)) {
        taken++;
    }
    CHECK(taken == 256 * 1016, "wsf_keys_take: %zu keys from a seed", taken);
    wsf_keys_seed(seed);
    CHECK(wsf_keys_take(&again) && again == key, "wsf_keys_seed: starts over");
    wsf_keys_forget();
    CHECK(!wsf_keys_take(&key), "wsf_keys_forget: leaves no key");
}

/* ---- Dispatch ------------------------------------------------------------------------------ */

void test_dispatch(void) {
    const wsf_kernels *sets[8];
    const size_t count = wsf_available(sets, 8);
    CHECK(count >= 1 && count <= 8 && strcmp(sets[count - 1]->name, "scalar") == 0,
          "wsf_available: %zu sets, scalar last", count);
    CHECK(wsf_available(NULL, 0) == count, "wsf_available: count alone");
    CHECK(wsf_active() == sets[0], "wsf_active: the best set at first");
    for (size_t i = 0; i < count; i++) {
        CHECK(wsf_select(sets[i]->name) == sets[i] && wsf_active() == sets[i], "wsf_select: %s",
              sets[i]->name);
    }
    CHECK(wsf_select("mmx") == NULL && wsf_active() == sets[count - 1],
          "wsf_select: an unknown name changes nothing");
    CHECK(wsf_select("") == NULL, "wsf_select: an empty name");
    CHECK(wsf_select(NULL) == sets[0] && wsf_active() == sets[0], "wsf_select: the best again");
}

/* ---- The run ------------------------------------------------------------------------------- */

static void report(const char *set, const char *group) {
    static uint64_t before;
    const uint64_t now = checks_passed + checks_failed;
    printf("%-8s %-12s %12llu checks\n", set, group, (unsigned long long)(now - before));
    fflush(stdout);
    before = now;
}

static void test_set(const wsf_kernels *k) {
    static const struct {
        const char *name;
        void (*run)(const wsf_kernels *);
    } GROUPS[] = {
        {"mask", test_mask},     {"mask_ascii", test_mask_ascii},
        {"scan", test_scan},     {"strings", test_scan_exhaustive},
        {"stream", test_stream}, {"decode", test_decode},
        {"encode", test_encode},
    };
    if (options.only && strcmp(options.only, k->name) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(GROUPS) / sizeof(GROUPS[0]); i++) {
        GROUPS[i].run(k);
        report(k->name, GROUPS[i].name);
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0) {
            options.full = true;
        } else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc) {
            options.only = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            options.seed = strtoull(argv[++i], NULL, 0);
        } else {
            fprintf(stderr, "usage: test_kernels [--full] [--set NAME] [--seed N]\n");
            return 2;
        }
    }
    const wsf_kernels *sets[8];
    const size_t count = wsf_available(sets, 8);
    printf("active %s, seed %llu%s\n", wsf_active()->name, (unsigned long long)options.seed,
           options.full ? ", full" : "");

    test_dispatch();
    report("-", "dispatch");
    test_keys();
    report("-", "keys");
    test_header();
    report("-", "header");
    test_head();
    report("-", "head");
    test_tail();
    report("-", "tail");
#ifdef WSF_TEST_AVX512_EMULATED
    test_set(&wsf_kernels_avx512);
#endif
    for (size_t i = 0; i < count; i++) {
        test_set(sets[i]);
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)checks_passed,
           (unsigned long long)checks_failed);
    return checks_failed ? 1 : 0;
}
