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
enum metric { METRICS(METRICS_ID, METRICS_ID, METRICS_ID, METRICS_ID) METRIC_COUNT };
#undef METRICS_ID

// Series of the metrics whose labels are a table: METRIC_STEP, METRIC_ERRORS, METRIC_RETRIES.
#define METRICS_STEP_ID(id, name) STEP_##id,
#define METRICS_ERROR_ID(id, name) ERROR_##id,
#define METRICS_RETRY_ID(id, name) RETRY_##id,
enum metric_step { METRIC_STEPS(METRICS_STEP_ID) STEP_COUNT };
enum metric_error { METRIC_ERRORS(METRICS_ERROR_ID) ERROR_COUNT };
enum metric_retry { METRIC_RETRIES(METRICS_RETRY_ID) RETRY_COUNT };
#undef METRICS_STEP_ID
#undef METRICS_ERROR_ID
#undef METRICS_RETRY_ID

// Before other threads start: who this process is, for the labels that say so. role is borrowed (a
// literal); slot < 0: none.
void metrics_init(const char *role, int slot);

// series is 0 for metrics without a label. Out of range is our bug: asserted.
void metrics_add(enum metric metric, int series, int64_t n);     // counters, n >= 0; gauges, any n
void metrics_set(enum metric metric, int series, int64_t value); // gauges; SECONDS: microseconds

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

// Every metric there is, used or not: for documentation and checks. label is NULL where there is
// none.
void metrics_each(void (*visit)(void *opaque, const char *name, const char *type, const char *label,
                                const char *help),
                  void *opaque);

#endif
