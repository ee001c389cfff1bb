// SPDX-License-Identifier: Apache-2.0
//
// Once it is open only the probe's outcome counts: calls that went out before say nothing about
// now.
#include "breaker.h"

#include "service/backoff.h"

enum { DOUBLINGS_MAX = 4 };

bool breaker_allows(const struct breaker *breaker, int64_t now_us) {
    return breaker->state == BREAKER_CLOSED ||
           (breaker->state == BREAKER_OPEN && now_us >= breaker->until_us);
}

int64_t breaker_due_us(const struct breaker *breaker) {
    return breaker->state == BREAKER_OPEN ? breaker->until_us : INT64_MAX;
}

bool breaker_send(struct breaker *breaker, int64_t now_us) {
    if (breaker->state != BREAKER_OPEN || now_us < breaker->until_us)
        return false;
    breaker->state = BREAKER_PROBING;
    return true;
}

bool breaker_succeeded(struct breaker *breaker, bool was_probe) {
    if (breaker->state != BREAKER_CLOSED && !was_probe)
        return false;
    bool closes = breaker->state != BREAKER_CLOSED;
    breaker->state = BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->doublings = 0;
    return closes;
}

// Between half and all of the time, so that many processes do not probe together.
static void open_again(struct breaker *breaker, int64_t now_us) {
    int64_t open_us = breaker->open_us << breaker->doublings;
    breaker->state = BREAKER_OPEN;
    breaker->until_us = now_us + open_us / 2 +
                        (int64_t)(backoff_roll(&breaker->dice) % (uint64_t)(open_us / 2 + 1));
}

bool breaker_failed(struct breaker *breaker, bool was_probe, int64_t now_us) {
    if (breaker->state == BREAKER_CLOSED) {
        if (++breaker->failures < breaker->failures_max)
            return false;
        open_again(breaker, now_us);
        return true;
    }
    if (was_probe && breaker->state == BREAKER_PROBING) {
        if (breaker->doublings < DOUBLINGS_MAX)
            breaker->doublings++;
        open_again(breaker, now_us);
    }
    return false;
}
