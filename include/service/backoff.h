// SPDX-License-Identifier: Apache-2.0
//
// How long to wait before something that failed is tried again: anything from nothing to a bound
// that doubles with every failure ("full jitter"), so that those who failed together do not come
// back together. Needs no lock: every owner has dice of its own.
#ifndef ORDERLOG_SERVICE_BACKOFF_H
#define ORDERLOG_SERVICE_BACKOFF_H

#include <stdint.h>

// State of the dice; nobody else rolls the same.
uint64_t backoff_dice(void);

// Any 64 bits.
uint64_t backoff_roll(uint64_t *dice);

// tries: how often it has failed before. From 0 to base_us doubled `tries` times, at most max_us.
int64_t backoff_us(uint64_t *dice, int64_t base_us, int64_t max_us, int tries);

#endif
