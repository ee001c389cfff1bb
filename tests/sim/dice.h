// SPDX-License-Identifier: Apache-2.0
//
// The simulator's own random numbers: xoshiro256** seeded by splitmix64. The same seed and stream
// give the same throws on every machine, and one stream's throws do not depend on another's.
#ifndef ORDERLOG_TESTS_SIM_DICE_H
#define ORDERLOG_TESTS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t s[4];
};

static inline uint64_t dice_mix(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline struct dice dice_new(uint64_t seed, uint64_t stream) {
    uint64_t state = seed;
    state = dice_mix(&state) ^ stream * UINT64_C(0xd6e8feb86659fd93);
    struct dice dice;
    for (int i = 0; i < 4; i++)
        dice.s[i] = dice_mix(&state);
    return dice;
}

static inline uint64_t dice_next(struct dice *dice) {
    uint64_t *s = dice->s;
    uint64_t five = s[1] * 5;
    uint64_t result = (five << 7 | five >> 57) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

// From 0 to limit - 1.
static inline uint32_t dice_below(struct dice *dice, uint32_t limit) {
    return (uint32_t)((dice_next(dice) >> 32) * limit >> 32);
}

// From 0 to limit_us, which is at most an hour or so.
static inline int64_t dice_us(struct dice *dice, int64_t limit_us) {
    return (int64_t)(dice_next(dice) % (uint64_t)(limit_us + 1));
}

// Never when n is 0.
static inline bool dice_one_in(struct dice *dice, uint32_t n) {
    return n > 0 && dice_below(dice, n) == 0;
}

#endif
