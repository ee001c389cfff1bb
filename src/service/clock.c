// SPDX-License-Identifier: Apache-2.0
//
// The only file that asks the kernel for the time.
#include "service/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec now;
    int failed = clock_gettime(id, &now);
    assert(failed == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_us(void) {
    return read_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void) {
    return clock_monotonic_us() / 1000;
}

static int64_t system_now_us(const struct clock *clock) {
    (void)clock;
    return clock_now_us();
}

static int64_t system_monotonic_ms(const struct clock *clock) {
    (void)clock;
    return clock_monotonic_ms();
}

const struct clock clock_system = {.now_us = system_now_us, .monotonic_ms = system_monotonic_ms};

static int64_t manual_now_us(const struct clock *clock) {
    return atomic_load(&((const struct clock_manual *)clock)->us);
}

static int64_t manual_monotonic_ms(const struct clock *clock) {
    return manual_now_us(clock) / 1000;
}

void clock_manual_init(struct clock_manual *manual, int64_t now_us) {
    manual->clock = (struct clock){.now_us = manual_now_us, .monotonic_ms = manual_monotonic_ms};
    atomic_init(&manual->us, now_us);
}

void clock_manual_advance_ms(struct clock_manual *manual, int64_t ms) {
    assert(ms >= 0);
    atomic_fetch_add(&manual->us, ms * 1000);
}

void clock_format_us(int64_t us, char text[CLOCK_TEXT_SIZE]) {
    int64_t seconds = us / 1000000;
    int64_t rest = us % 1000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000;
    }
    time_t at = (time_t)seconds;
    struct tm utc;
    // Years of five digits have no place in the format; no clock or log of ours reaches them.
    if (!gmtime_r(&at, &utc) || utc.tm_year < -1900 || utc.tm_year > 9999 - 1900) {
        (void)snprintf(text, CLOCK_TEXT_SIZE, "0000-00-00T00:00:00.000000Z");
        return;
    }
    char date[24];
    size_t length = strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    assert(length > 0);
    (void)snprintf(text, CLOCK_TEXT_SIZE, "%.19s.%06dZ", date, (int)rest);
}
