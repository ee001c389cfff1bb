// SPDX-License-Identifier: Apache-2.0
//
// Storage of the metrics: one flat array of atomics per kind, indexed by metric and series.
#include "metrics_store.h"

#include "service/log.h"

#include <assert.h>

#define ROW_COUNTER(id, name_, label_, kind_, series_, help_)                                      \
    [METRIC_##id] = {METRIC_KIND_COUNTER, name_, label_, METRIC_LABEL_##kind_, series_, help_},
#define ROW_GAUGE(id, name_, label_, kind_, series_, help_)                                        \
    [METRIC_##id] = {METRIC_KIND_GAUGE, name_, label_, METRIC_LABEL_##kind_, series_, help_},
#define ROW_SECONDS(id, name_, label_, kind_, series_, help_)                                      \
    [METRIC_##id] = {METRIC_KIND_SECONDS, name_, label_, METRIC_LABEL_##kind_, series_, help_},
#define ROW_HISTOGRAM(id, name_, label_, kind_, series_, help_)                                    \
    [METRIC_##id] = {METRIC_KIND_HISTOGRAM, name_, label_, METRIC_LABEL_##kind_, series_, help_},

const struct metric_row metrics_rows[METRIC_COUNT] = {
    METRICS(ROW_COUNTER, ROW_GAUGE, ROW_SECONDS, ROW_HISTOGRAM)};

#define SERIES_VALUES(id, name_, label_, kind_, series_, help_)                                    \
    static struct metric_value values_##id[series_];
#define SERIES_BUCKETS(id, name_, label_, kind_, series_, help_)                                   \
    static struct metric_value values_##id[series_];                                               \
    static struct metric_histogram histograms_##id[series_];
METRICS(SERIES_VALUES, SERIES_VALUES, SERIES_VALUES, SERIES_BUCKETS)

#define AT_VALUES(id, ...) [METRIC_##id] = {values_##id, NULL},
#define AT_BUCKETS(id, ...) [METRIC_##id] = {values_##id, histograms_##id},
const struct metric_storage metrics_storage[METRIC_COUNT] = {
    METRICS(AT_VALUES, AT_VALUES, AT_VALUES, AT_BUCKETS)};

const int64_t metrics_bucket_us[METRIC_BUCKETS] = {
    100,   250,   500,    1000,   2500,   5000,   7500,    10000,   15000,   25000,
    50000, 75000, 100000, 150000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

const char *metrics_role = NULL;
int metrics_slot = -1;

static const char *const step_names[STEP_COUNT] = {
#define STEP_NAME(id, name) name,
    METRIC_STEPS(STEP_NAME)};
static const char *const error_names[ERROR_COUNT] = {
#define ERROR_NAME(id, name) name,
    METRIC_ERRORS(ERROR_NAME)};
static const char *const retry_names[RETRY_COUNT] = {
#define RETRY_NAME(id, name) name,
    METRIC_RETRIES(RETRY_NAME)};

static const char *const level_names[] = {"debug", "info", "warn", "error"}; // enum log_level

static void name_all(enum metric metric, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        metrics_name_series(metric, i, names[i]);
}

void metrics_init(const char *role, int slot) {
    metrics_role = role;
    metrics_slot = slot;
    name_all(METRIC_STEP, step_names, STEP_COUNT);
    name_all(METRIC_ERRORS, error_names, ERROR_COUNT);
    name_all(METRIC_RETRIES, retry_names, RETRY_COUNT);
    name_all(METRIC_LOG_LINES, level_names, sizeof(level_names) / sizeof(level_names[0]));
    // What an alert watches is there from the start: a series that begins with 1 shows no increase.
    for (int error = 0; error < ERROR_COUNT; error++)
        metrics_add(METRIC_ERRORS, error, 0);
    metrics_add(METRIC_LOG_LINES, LEVEL_ERROR, 0);
}

static struct metric_value *value_of(enum metric metric, int series) {
    assert(metric < METRIC_COUNT);
    assert(series >= 0 && series < metrics_rows[metric].series);
    return &metrics_storage[metric].values[series];
}

void metrics_add(enum metric metric, int series, int64_t n) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].kind != METRIC_KIND_HISTOGRAM);
    assert(n >= 0 || metrics_rows[metric].kind != METRIC_KIND_COUNTER);
    atomic_fetch_add_explicit(&value->number, n, memory_order_relaxed);
    atomic_store_explicit(&value->touched, true, memory_order_relaxed);
}

void metrics_set(enum metric metric, int series, int64_t number) {
    struct metric_value *value = value_of(metric, series);
    assert(metrics_rows[metric].kind == METRIC_KIND_GAUGE ||
           metrics_rows[metric].kind == METRIC_KIND_SECONDS);
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
    assert(metrics_rows[metric].label_kind == METRIC_LABEL_NAMED ||
           metrics_rows[metric].label_kind == METRIC_LABEL_STEPPED);
    atomic_store(&value->name, name);
}
