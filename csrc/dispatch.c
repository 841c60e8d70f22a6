/*
 * Which kernels this CPU can run, and which are in use. The choice is made once, not once a call:
 * callers read one pointer.
 */
#include "wsf_impl.h"

#if WSF_X86_64
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

/* Best first; "scalar" last, for it needs nothing. */
static const wsf_kernels *const PRIORITY[] = {
#if WSF_X86_64
    &wsf_kernels_avx512, &wsf_kernels_avx2, &wsf_kernels_sse41,
#endif
#if WSF_AARCH64
    &wsf_kernels_neon,
#endif
    &wsf_kernels_scalar,
};

enum { PRIORITY_COUNT = sizeof(PRIORITY) / sizeof(PRIORITY[0]) };

/* ---- What the CPU has ---------------------------------------------------------------------- */

#if WSF_X86_64

typedef struct registers {
    uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf) {
    registers r = {0, 0, 0, 0};
#if defined(_MSC_VER) && !defined(__clang__)
    int out[4];
    __cpuid(out, 0);
    if ((uint32_t)out[0] >= leaf) {
        __cpuidex(out, (int)leaf, 0);
        r.eax = (uint32_t)out[0];
        r.ebx = (uint32_t)out[1];
        r.ecx = (uint32_t)out[2];
        r.edx = (uint32_t)out[3];
    }
#else
    __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
    return r;
}

/* The register sets that the operating system saves when it switches threads. */
static uint64_t xgetbv(void) {
#if defined(_MSC_VER) && !defined(__clang__)
    return _xgetbv(0);
#else
    uint32_t eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (uint64_t)edx << 32 | eax;
#endif
}

static uint32_t cpu_features(void) {
    enum {
        SSSE3 = 1 << 9,    /* leaf 1, ecx */
        SSE41 = 1 << 19,
        POPCNT = 1 << 23,
        OSXSAVE = 1 << 27,
        BMI1 = 1 << 3,     /* leaf 7, ebx */
        AVX2 = 1 << 5,
        BMI2 = 1 << 8,
        AVX512F = 1 << 16,
        AVX512BW = 1 << 30,
        VBMI = 1 << 1,     /* leaf 7, ecx */
        VBMI2 = 1 << 6,
        YMM_STATE = 0x06,  /* XCR0: SSE and AVX state */
        ZMM_STATE = 0xE6   /* and the mask registers and both parts of the 512-bit state */
    };
    const uint32_t AVX512VL = UINT32_C(1) << 31;
    const uint32_t sse41 = SSSE3 | SSE41 | POPCNT;
    const uint32_t avx2 = AVX2 | BMI1 | BMI2;
    const uint32_t avx512 = avx2 | AVX512F | AVX512BW | AVX512VL;

    const registers one = cpuid(1);
    if ((one.ecx & sse41) != sse41) {
        return 0;
    }
    uint32_t features = WSF_CPU_SSE41;

    const registers seven = cpuid(7);
    const uint64_t saved = (one.ecx & OSXSAVE) ? xgetbv() : 0;
    if ((seven.ebx & avx2) == avx2 && (saved & YMM_STATE) == YMM_STATE) {
        features |= WSF_CPU_AVX2;
        if ((seven.ebx & avx512) == avx512 && (seven.ecx & (VBMI | VBMI2)) == (VBMI | VBMI2) &&
            (saved & ZMM_STATE) == ZMM_STATE) {
            features |= WSF_CPU_AVX512;
        }
    }
    return features;
}

#elif WSF_AARCH64

static uint32_t cpu_features(void) {
    return WSF_CPU_NEON;
}

#else

static uint32_t cpu_features(void) {
    return 0;
}

#endif

/* ---- The active table ---------------------------------------------------------------------- */

/*
 * Relaxed is enough: the pointer leads to constants. Whoever asks first fills the slot, but only
 * while it is empty, so that a wsf_select() in another thread is never undone.
 */
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static void *volatile active_slot;
#define SLOT_LOAD() ((const wsf_kernels *)active_slot)
#define SLOT_STORE(table) ((void)_InterlockedExchangePointer(&active_slot, (void *)(table)))
#define SLOT_FILL(table) \
    ((void)_InterlockedCompareExchangePointer(&active_slot, (void *)(table), NULL))
#else
static const wsf_kernels *active_slot;
#define SLOT_LOAD() __atomic_load_n(&active_slot, __ATOMIC_RELAXED)
#define SLOT_STORE(table) __atomic_store_n(&active_slot, (table), __ATOMIC_RELAXED)
#define SLOT_FILL(table)                                                                \
    do {                                                                                \
        const wsf_kernels *empty = NULL;                                                \
        __atomic_compare_exchange_n(&active_slot, &empty, (table), 0, __ATOMIC_RELAXED, \
                                    __ATOMIC_RELAXED);                                  \
    } while (0)
#endif

size_t wsf_available(const wsf_kernels **out, size_t max) {
    const uint32_t features = cpu_features();
    size_t count = 0;
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        if ((PRIORITY[i]->required & ~features) == 0) {
            if (count < max) {
                out[count] = PRIORITY[i];
            }
            count++;
        }
    }
    return count;
}

const wsf_kernels *wsf_select(const char *name) {
    const wsf_kernels *tables[PRIORITY_COUNT];
    const size_t count = wsf_available(tables, PRIORITY_COUNT);
    for (size_t i = 0; i < count; i++) {
        if (name == NULL || strcmp(name, tables[i]->name) == 0) {
            SLOT_STORE(tables[i]);
            return tables[i];
        }
    }
    return NULL;
}

const wsf_kernels *wsf_active(void) {
    const wsf_kernels *table = SLOT_LOAD();
    if (table == NULL) {
        const wsf_kernels *best;
        wsf_available(&best, 1);
        SLOT_FILL(best);
        table = SLOT_LOAD();
    }
    return table;
}
