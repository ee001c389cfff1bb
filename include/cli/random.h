// SPDX-License-Identifier: Apache-2.0
//
// splitmix64: small, seedable, the same numbers everywhere. Not for secrets.
#ifndef ORDERLOG_CLI_RANDOM_H
#define ORDERLOG_CLI_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random) {
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// 0 .. bound-1. The bias is below bound / 2^64.
static inline uint64_t random_below(struct random *random, uint64_t bound) {
    return random_next(random) % bound;
}

// [0, 1)
static inline double random_unit(struct random *random) {
    return (double)(random_next(random) >> 11) * 0x1.0p-53;
}

#endif
