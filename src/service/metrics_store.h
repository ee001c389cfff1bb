// SPDX-License-Identifier: Apache-2.0
//
// What metrics.c keeps and metrics_render.c reads.
#ifndef ORDERLOG_SERVICE_METRICS_STORE_H
#define ORDERLOG_SERVICE_METRICS_STORE_H

#include "service/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>

enum metric_kind {
    METRIC_KIND_COUNTER,
    METRIC_KIND_GAUGE,
    METRIC_KIND_SECONDS,
    METRIC_KIND_HISTOGRAM
};
enum metric_label_kind {
    METRIC_LABEL_UNLABELLED,
    METRIC_LABEL_NUMBERED,
    METRIC_LABEL_NAMED,
    METRIC_LABEL_STEPPED,
};
enum { METRIC_BUCKETS = 20 };

struct metric_row {
    enum metric_kind kind;
    const char *name;
    const char *label;
    enum metric_label_kind label_kind;
    int series;
    const char *help;
};

struct metric_value {
    _Atomic int64_t number; // histograms: observations
    _Atomic bool touched;
    _Atomic(const char *) name;
};

struct metric_histogram {
    _Atomic int64_t counts[METRIC_BUCKETS + 1]; // the last one is "more"
    _Atomic int64_t sum_us;
};

struct metric_storage {
    struct metric_value *values;
    struct metric_histogram *histograms; // NULL for the others
};

extern const struct metric_row metrics_rows[METRIC_COUNT];
extern const struct metric_storage metrics_storage[METRIC_COUNT];
extern const char *metrics_role; // NULL: nobody said
extern int metrics_slot;         // < 0: none
extern const int64_t metrics_bucket_us[METRIC_BUCKETS];

#endif
