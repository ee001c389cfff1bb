// SPDX-License-Identifier: Apache-2.0
//
// Storage of the metrics: one flat array of atomics per kind, indexed by metric and series.
#include "metrics_store.h"

#include <assert.h>

#define ROW_COUNTER(id, name_, label_, kind_, series_, help_)                                      \
    [METRIC_##id] = {METRIC_KIND_COUNTER, name_, label_, METRIC_LABEL_##kind_, series_, help_},
#define ROW_GAUGE(id, name_, label_, kind_, series_, help_)                                        \
    [METRIC_##id] = {METRIC_KIND_GAUGE, name_, label_, METRIC_LABEL_##kind_, series_, help_},
#define ROW_HISTOGRAM(id, name_, label_, kind_, series_, help_)                                    \
    [METRIC_##id] = {METRIC_KIND_HISTOGRAM, name_, label_, METRIC_LABEL_##kind_, series_, help_},

const struct metric_row metrics_rows[METRIC_COUNT] = {
    METRICS(ROW_COUNTER, ROW_GAUGE, ROW_HISTOGRAM)};

#define SERIES_VALUES(id, name_, label_, kind_, series_, help_)                                    \
    static struct metric_value values_##id[series_];
#define SERIES_BUCKETS(id, name_, label_, kind_, series_, help_)                                   \
    static struct metric_value values_##id[series_];                                               \
    static struct metric_histogram histograms_##id[series_];
METRICS(SERIES_VALUES, SERIES_VALUES, SERIES_BUCKETS)

#define AT_VALUES(id, ...) [METRIC_##id] = {values_##id, NULL},
#define AT_BUCKETS(id, ...) [METRIC_##id] = {values_##id, histograms_##id},
const struct metric_storage metrics_storage[METRIC_COUNT] = {
    METRICS(AT_VALUES, AT_VALUES, AT_BUCKETS)};

const int64_t metrics_bucket_us[METRIC_BUCKETS] = {
    100,   250,   500,    1000,   2500,   5000,   7500,    10000,   15000,   25000,
    50000, 75000, 100000, 150000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

static struct metric_value *value_of(enum metric metric, int series) {
    assert(metric < METRIC_COUNT);
    assert(series >= 0 && series < metrics_rows[metric].series);
    return &metrics_storage[metric].values[series];
}

void metrics_add(enum metric metric, int series, int64_t n) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].kind != METRIC_KIND_HISTOGRAM);
    assert(n >= 0 || metrics_rows[metric].kind == METRIC_KIND_GAUGE);
    atomic_fetch_add_explicit(&value->number, n, memory_order_relaxed);
    atomic_store_explicit(&value->touched, true, memory_order_relaxed);
}

void metrics_set(enum metric metric, int series, int64_t number) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].kind == METRIC_KIND_GAUGE);
    atomic_store_explicit(&value->number, number, memory_order_relaxed);
    atomic_store_explicit(&value->touched, true, memory_order_relaxed);
}

void metrics_set_part(enum metric metric, int series, int64_t value, int64_t *shown) {
    metrics_add(metric, series, value - *shown);
    *shown = value;
}

void metrics_observe_us(enum metric metric, int series, int64_t us) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].kind == METRIC_KIND_HISTOGRAM);
    struct metric_histogram *histogram = &metrics_storage[metric].histograms[series];
    size_t bucket = 0;
    while (bucket < METRIC_BUCKETS && us > metrics_bucket_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&value->number, 1, memory_order_relaxed);
    atomic_store_explicit(&value->touched, true, memory_order_relaxed);
}

int64_t metrics_value(enum metric metric, int series) {
    return atomic_load_explicit(&value_of(metric, series)->number, memory_order_relaxed);
}

void metrics_name_series(enum metric metric, int series, const char *name) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].label_kind == METRIC_LABEL_NAMED);
    atomic_store(&value->name, name);
}
