// SPDX-License-Identifier: Apache-2.0
//
// Counters, gauges and histograms of this process: fixed memory, atomics only, any thread, a few
// nanoseconds per call. A series shows up in a scrape once it has been touched.
#ifndef ORDERLOG_SERVICE_METRICS_H
#define ORDERLOG_SERVICE_METRICS_H

#include "service/metrics_table.h"

#include <stddef.h>
#include <stdint.h>

#define METRICS_ID(id, ...) METRIC_##id,
enum metric { METRICS(METRICS_ID, METRICS_ID, METRICS_ID) METRIC_COUNT };
#undef METRICS_ID

// series is 0 for metrics without a label. Out of range is our bug: asserted.
void metrics_add(enum metric metric, int series, int64_t n);     // counters, n >= 0; gauges, any n
void metrics_set(enum metric metric, int series, int64_t value); // gauges

// Of a gauge that is the sum of parts: this part's value now. *shown is what it was when last said,
// 0 at first; the caller keeps it, and says 0 when the part goes.
void metrics_set_part(enum metric metric, int series, int64_t value, int64_t *shown);

void metrics_observe_us(enum metric metric, int series, int64_t us);

// What has been counted: for tests and decisions.
int64_t metrics_value(enum metric metric, int series);

// Gives a NAMED series its label value (borrowed for ever: a literal).
void metrics_name_series(enum metric metric, int series, const char *name);

// Prometheus text format 0.0.4, with the process's own CPU, memory and descriptors. Returns an
// owned string (free()) and its length, or NULL when memory is out.
char *metrics_render(size_t *ret_length);

#endif
