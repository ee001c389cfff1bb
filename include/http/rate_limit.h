// SPDX-License-Identifier: Apache-2.0
//
// A token bucket per caller: `burst` requests at once, `per_second` in the long run. A bucket is
// one number, the time at which it will be full again (the generic cell rate algorithm), so that
// taking a token is one compare-and-swap: no lock, no allocation, any thread. The table is bounded;
// where it has no room the bucket that is nearest to full makes way, as a full one says nothing.
#ifndef ORDERLOG_HTTP_RATE_LIMIT_H
#define ORDERLOG_HTTP_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RATE_LIMIT_PER_SECOND_MAX = 1000000, RATE_LIMIT_BURST_MAX = 10000000 };

struct rate_limit;

struct rate_limit_state {
    bool allowed;
    int64_t remaining;     // tokens left
    int64_t full_in_s;     // rounded up
    int64_t retry_after_s; // when refused: until there is a token, rounded up
};

// NULL when memory is out. Both are at least 1.
struct rate_limit *rate_limit_new(int64_t per_second, int64_t burst);
void rate_limit_free(struct rate_limit *limit); // NULL is fine

// now_us is monotonic.
void rate_limit_take(struct rate_limit *limit, const void *caller, size_t caller_length,
                     int64_t now_us, struct rate_limit_state *ret);

// Of the header RateLimit-Policy: `"caller";q=BURST;w=SECONDS`
// (draft-ietf-httpapi-ratelimit-headers).
const char *rate_limit_policy(const struct rate_limit *limit);

#endif
