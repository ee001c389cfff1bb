// SPDX-License-Identifier: Apache-2.0
#include "cli/bench.h"

#include "service/clock.h"

#include <poll.h>
#include <stdlib.h>

void bench_wait_until(int64_t us) {
    for (;;) {
        const int64_t left_us = us - clock_monotonic_us();
        if (left_us <= 0)
            return;
        const struct timespec left = {.tv_sec = left_us / 1000000,
                                      .tv_nsec = left_us % 1000000 * 1000};
        (void)ppoll(NULL, 0, &left, NULL);
    }
}

static int compare(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at_share(const int64_t *us, size_t count, double share) {
    const size_t rank = (size_t)((double)count * share);
    return (double)us[rank < count ? rank : count - 1] / 1000;
}

struct bench_times bench_times_of(int64_t *us, size_t count) {
    if (count == 0)
        return (struct bench_times){0};
    qsort(us, count, sizeof(*us), compare);
    return (struct bench_times){
        .count = count,
        .p50_ms = at_share(us, count, 0.5),
        .p90_ms = at_share(us, count, 0.9),
        .p99_ms = at_share(us, count, 0.99),
        .p999_ms = at_share(us, count, 0.999),
        .max_ms = at_share(us, count, 1),
    };
}

void bench_times_print(FILE *out, const struct bench_times *times) {
    (void)fprintf(out, "{\"count\":%zu", times->count);
    if (times->count > 0)
        (void)fprintf(out,
                      ",\"p50_ms\":%.2f,\"p90_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f,"
                      "\"max_ms\":%.2f",
                      times->p50_ms, times->p90_ms, times->p99_ms, times->p999_ms, times->max_ms);
    (void)fprintf(out, "}");
}
