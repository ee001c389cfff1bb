// SPDX-License-Identifier: Apache-2.0
//
// A set of four buckets is one cache line. A bucket that changes hands while another thread takes
// from it may count that token for the wrong caller: it is worth no lock.
#include "http/rate_limit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

enum { SETS = 4096, WAYS = 4, POLICY_MAX = 64 };

struct bucket {
    _Atomic uint64_t caller; // hash, 0: nobody
    _Atomic int64_t full_ns; // when it will be full
};

struct rate_limit {
    alignas(64) struct bucket sets[SETS][WAYS];
    uint64_t seed; // nobody can choose callers that meet in one set
    int64_t token_ns;
    int64_t burst_ns;
    char policy[POLICY_MAX];
};

struct rate_limit *rate_limit_new(int64_t per_second, int64_t burst) {
    assert(per_second >= 1 && per_second <= RATE_LIMIT_PER_SECOND_MAX);
    assert(burst >= 1 && burst <= RATE_LIMIT_BURST_MAX);
    struct rate_limit *limit = aligned_alloc(alignof(struct rate_limit), sizeof(*limit));
    if (!limit)
        return NULL;
    for (size_t set = 0; set < SETS; set++) {
        for (size_t way = 0; way < WAYS; way++) {
            atomic_init(&limit->sets[set][way].caller, 0);
            atomic_init(&limit->sets[set][way].full_ns, INT64_MIN);
        }
    }
    if (getrandom(&limit->seed, sizeof(limit->seed), GRND_NONBLOCK) < 0)
        limit->seed = (uint64_t)(uintptr_t)limit;
    limit->token_ns = 1000000000 / per_second;
    limit->burst_ns = burst * limit->token_ns;
    int64_t window_s = (burst + per_second - 1) / per_second;
    (void)snprintf(limit->policy, sizeof(limit->policy), "\"caller\";q=%" PRId64 ";w=%" PRId64,
                   burst, window_s);
    return limit;
}

void rate_limit_free(struct rate_limit *limit) {
    free(limit);
}

const char *rate_limit_policy(const struct rate_limit *limit) {
    return limit->policy;
}

// The caller's bucket, made out of another one's when there is none.
static struct bucket *find(struct rate_limit *limit, uint64_t caller) {
    struct bucket *set = limit->sets[caller % SETS];
    for (;;) {
        struct bucket *fullest = &set[0];
        for (size_t way = 0; way < WAYS; way++) {
            if (atomic_load_explicit(&set[way].caller, memory_order_relaxed) == caller)
                return &set[way];
            if (atomic_load_explicit(&set[way].full_ns, memory_order_relaxed) <
                atomic_load_explicit(&fullest->full_ns, memory_order_relaxed))
                fullest = &set[way];
        }
        uint64_t before = atomic_load_explicit(&fullest->caller, memory_order_relaxed);
        if (before != caller && atomic_compare_exchange_strong(&fullest->caller, &before, caller)) {
            atomic_store_explicit(&fullest->full_ns, INT64_MIN, memory_order_relaxed);
            return fullest;
        }
    }
}

static int64_t seconds_up(int64_t ns) {
    return (ns + 999999999) / 1000000000;
}

void rate_limit_take(struct rate_limit *limit, const void *caller, size_t caller_length,
                     int64_t now_us, struct rate_limit_state *ret) {
    uint64_t hash = XXH3_64bits_withSeed(caller, caller_length, limit->seed);
    struct bucket *bucket = find(limit, hash ? hash : 1);
    int64_t now_ns = now_us * 1000;
    int64_t full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
    for (;;) {
        int64_t begin_ns = full_ns > now_ns ? full_ns : now_ns;
        int64_t after_ns = begin_ns + limit->token_ns;
        int64_t lacking_ns = after_ns - now_ns - limit->burst_ns;
        if (lacking_ns > 0) {
            *ret = (struct rate_limit_state){.full_in_s = seconds_up(begin_ns - now_ns),
                                             .retry_after_s = seconds_up(lacking_ns)};
            return;
        }
        if (!atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns, after_ns,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        *ret = (struct rate_limit_state){.allowed = true,
                                         .remaining = -lacking_ns / limit->token_ns,
                                         .full_in_s = seconds_up(after_ns - now_ns)};
        return;
    }
}
