// SPDX-License-Identifier: Apache-2.0
//
// Watches one run from outside: an own read_committed consumer of orders.events says when an event
// can be seen in the log, and the offsets that the read model `orders` has stored (they are written
// with its rows, in one transaction) say when it can be seen in PostgreSQL.
#ifndef ORDERLOG_BENCH_WATCH_H
#define ORDERLOG_BENCH_WATCH_H

#include "bench_load.h"

enum bench_mark { MARK_PLACED, MARK_CONFIRMED, MARK_BOOKED, MARK_COMPLETED, MARK_COUNT };

// One order's times, clock_monotonic_us(); 0: not yet. Written by the watch's threads only; to be
// read after bench_watch_await() or bench_watch_stop().
struct bench_seen {
    int64_t in_log_us[MARK_COUNT];
    int64_t in_rows_us[MARK_COUNT];
};

struct bench_watch;

// Watches count orders, ids[i] filling seen[i]; both borrowed until the stop. Returns when the
// consumer stands at the end of the log.
struct bench_watch *bench_watch_start(const struct bench_options *options, const struct id *ids,
                                      struct bench_seen *seen, size_t count);

// False: not all were completed and visible by then.
bool bench_watch_await(struct bench_watch *watch, int64_t deadline_us);

void bench_watch_stop(struct bench_watch *watch);

#endif
