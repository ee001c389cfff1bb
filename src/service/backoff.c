// SPDX-License-Identifier: Apache-2.0
#include "service/backoff.h"

#include "service/clock.h"

#include <sys/random.h>

enum { SHIFT_MAX = 20 };

uint64_t backoff_dice(void) {
    uint64_t dice;
    if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != (ssize_t)sizeof(dice))
        dice = (uint64_t)clock_monotonic_us();
    return dice;
}

// splitmix64
uint64_t backoff_roll(uint64_t *dice) {
    uint64_t z = (*dice += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t backoff_us(uint64_t *dice, int64_t base_us, int64_t max_us, int tries) {
    int64_t range_us = base_us << (tries < SHIFT_MAX ? tries : SHIFT_MAX);
    if (range_us > max_us)
        range_us = max_us;
    return (int64_t)(backoff_roll(dice) % (uint64_t)(range_us + 1));
}
