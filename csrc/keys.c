/*
 * Masking keys by the thousand (RFC 6455 §5.3, §10.3: unpredictable, from a strong source of entropy).
 *
 * The operating system takes about 12 ns for four random bytes even when asked for thousands at once;
 * ChaCha20 (RFC 8439), seeded by it, takes 2. Each refill of the pool spends its last 32 bytes on the key
 * of the next one ("fast key erasure"), so that keys handed out earlier cannot be worked out from what
 * the memory holds later. State is per thread: no locks, and no key is given out twice.
 */
#include "wsfast.h"

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

enum {
    BLOCKS = 64,         /* a refill */
    LANES = 16, /* blocks worked on side by side; with fewer, gcc does not make vectors of them */
    SEED_WORDS = 8, /* 32 bytes */
    REFILLS = 256 /* from one seed: 1 MiB */
};

typedef struct key_pool {
    uint32_t seed[SEED_WORDS];
    uint32_t refills; /* that the seed is still good for */
    uint32_t left; /* bytes at the start of `bytes` that are keys not given out */
    uint8_t bytes[BLOCKS * 64];
} key_pool;

static THREAD_LOCAL key_pool pool;

#define ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))
#define EACH_LANE for (int lane = 0; lane < LANES; lane++)
#define QUARTER_ROUND(a, b, c, d)                         \
    EACH_LANE {                                           \
        x[a][lane] += x[b][lane];                         \
        x[d][lane] = ROTATE(x[d][lane] ^ x[a][lane], 16); \
        x[c][lane] += x[d][lane];                         \
        x[b][lane] = ROTATE(x[b][lane] ^ x[c][lane], 12); \
        x[a][lane] += x[b][lane];                         \
        x[d][lane] = ROTATE(x[d][lane] ^ x[a][lane], 8);  \
        x[c][lane] += x[d][lane];                         \
        x[b][lane] = ROTATE(x[b][lane] ^ x[c][lane], 7);  \
    }

void wsf_chacha20(uint8_t *out, size_t blocks, const uint32_t key[8]) {
    uint32_t counter = 0;
    for (; blocks >= LANES; blocks -= LANES, counter += LANES, out += 64 * LANES) {
        uint32_t start[16][LANES];
        uint32_t x[16][LANES];
        EACH_LANE {
            start[0][lane] = 0x61707865; /* "expand 32-byte k" */
            start[1][lane] = 0x3320646E;
            start[2][lane] = 0x79622D32;
            start[3][lane] = 0x6B206574;
            for (int i = 0; i < 8; i++) {
                start[4 + i][lane] = key[i];
            }
            start[12][lane] = counter + (uint32_t)lane;
            start[13][lane] = start[14][lane] = start[15][lane] = 0;
        }
        memcpy(x, start, sizeof x);
        for (int round = 0; round < 20; round += 2) {
            QUARTER_ROUND(0, 4, 8, 12)
            QUARTER_ROUND(1, 5, 9, 13)
            QUARTER_ROUND(2, 6, 10, 14)
            QUARTER_ROUND(3, 7, 11, 15)
            QUARTER_ROUND(0, 5, 10, 15)
            QUARTER_ROUND(1, 6, 11, 12)
            QUARTER_ROUND(2, 7, 8, 13)
            QUARTER_ROUND(3, 4, 9, 14)
        }
        for (int i = 0; i < 16; i++) {
            EACH_LANE {
                const uint32_t word = x[i][lane] + start[i][lane];
                uint8_t *p = out + 64 * lane + 4 * i;
                p[0] = (uint8_t)word;
                p[1] = (uint8_t)(word >> 8);
                p[2] = (uint8_t)(word >> 16);
                p[3] = (uint8_t)(word >> 24);
            }
        }
    }
}

void wsf_keys_seed(const uint8_t seed[32]) {
    memcpy(pool.seed, seed, sizeof pool.seed);
    pool.refills = REFILLS;
    pool.left = 0;
}

void wsf_keys_forget(void) {
    memset(&pool, 0, sizeof pool);
}

bool wsf_keys_take(wsf_key *key) {
    key_pool *mine = &pool;
    if (mine->left == 0) {
        if (mine->refills == 0) {
            return false;
        }
        mine->refills--;
        wsf_chacha20(mine->bytes, BLOCKS, mine->seed);
        mine->left = sizeof mine->bytes - sizeof mine->seed;
        memcpy(mine->seed, mine->bytes + mine->left, sizeof mine->seed);
        memset(mine->bytes + mine->left, 0, sizeof mine->seed);
    }
    mine->left -= 4;
    memcpy(key, mine->bytes + mine->left, 4);
    memset(mine->bytes + mine->left, 0, 4);
    return true;
}
