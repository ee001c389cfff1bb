// SPDX-License-Identifier: Apache-2.0
//
// Time comes through here. What decides by time takes a struct clock, so that tests own it; what
// merely measures calls the two plain functions. Any thread.
#ifndef ORDERLOG_SERVICE_CLOCK_H
#define ORDERLOG_SERVICE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Microseconds since 1970 (wall clock, may jump).
int64_t clock_now_us(void);

// Never goes back; origin unspecified.
int64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);
int64_t clock_coarse_ms(void); // the same, a few milliseconds behind and many times cheaper

struct clock {
    int64_t (*now_us)(const struct clock *clock);
    int64_t (*monotonic_ms)(const struct clock *clock);
};

extern const struct clock clock_system;

// A clock that stands still until told: for tests. Pass &manual.clock.
struct clock_manual {
    struct clock clock; // first member
    _Atomic int64_t us;
};

void clock_manual_init(struct clock_manual *manual, int64_t now_us);
void clock_manual_advance_ms(struct clock_manual *manual, int64_t ms);

// "2026-01-31T12:34:56.123456Z": 27 characters and a NUL.
enum { CLOCK_TEXT_SIZE = 28 };
void clock_format_us(int64_t us, char text[CLOCK_TEXT_SIZE]);

// RFC 3339: "2026-01-31T12:34:56Z", with up to 9 digits of a fraction (cut to microseconds) and a
// zone of Z or ±hh:mm. False: it is not of that form, or no such day.
bool clock_parse_us(const char *text, int64_t *ret_us);

#endif
