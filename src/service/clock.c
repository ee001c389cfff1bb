// SPDX-License-Identifier: Apache-2.0
//
// The only file that asks the kernel for the time.
#include "service/clock.h"

#include <assert.h>
#include <ctype.h>
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

int64_t clock_coarse_ms(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
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
    // The remainders tell the compiler, and us, that every number fits its place.
    (void)snprintf(text, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                   (unsigned)(utc.tm_year + 1900) % 10000, (unsigned)(utc.tm_mon + 1) % 100,
                   (unsigned)utc.tm_mday % 100, (unsigned)utc.tm_hour % 100,
                   (unsigned)utc.tm_min % 100, (unsigned)utc.tm_sec % 100,
                   (unsigned)rest % 1000000);
}

// Exactly `digits` digits; moves *at behind them.
static bool take_digits(const char **at, int digits, int *ret) {
    int number = 0;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)**at))
            return false;
        number = number * 10 + (*(*at)++ - '0');
    }
    *ret = number;
    return true;
}

static bool take_char(const char **at, char c) {
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool take_fraction(const char **at, int *ret_us) {
    int scale = 100000;
    int digits = 0;
    *ret_us = 0;
    if (!take_char(at, '.'))
        return true;
    for (; isdigit((unsigned char)**at); (*at)++, digits++) {
        *ret_us += (**at - '0') * scale;
        scale /= 10;
    }
    return digits >= 1 && digits <= 9;
}

static bool take_zone(const char **at, int *ret_minutes) {
    *ret_minutes = 0;
    if (take_char(at, 'Z'))
        return true;
    int sign = **at == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;
    if (!take_char(at, '+') && !take_char(at, '-'))
        return false;
    if (!take_digits(at, 2, &hours) || !take_char(at, ':') || !take_digits(at, 2, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

bool clock_parse_us(const char *text, int64_t *ret_us) {
    struct tm utc = {0};
    int us = 0;
    int zone_minutes = 0;
    const char *at = text;
    if (!take_digits(&at, 4, &utc.tm_year) || !take_char(&at, '-') ||
        !take_digits(&at, 2, &utc.tm_mon) || !take_char(&at, '-') ||
        !take_digits(&at, 2, &utc.tm_mday) || !take_char(&at, 'T') ||
        !take_digits(&at, 2, &utc.tm_hour) || !take_char(&at, ':') ||
        !take_digits(&at, 2, &utc.tm_min) || !take_char(&at, ':') ||
        !take_digits(&at, 2, &utc.tm_sec))
        return false;
    if (!take_fraction(&at, &us) || !take_zone(&at, &zone_minutes) || *at)
        return false;
    if (utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 59)
        return false;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    struct tm normal = utc;
    time_t seconds = timegm(&normal);
    // timegm makes 2 March of 30 February: then it was no such day.
    if (normal.tm_mday != utc.tm_mday || normal.tm_mon != utc.tm_mon)
        return false;
    *ret_us = ((int64_t)seconds - (int64_t)zone_minutes * 60) * 1000000 + us;
    return true;
}
