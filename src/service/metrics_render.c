// SPDX-License-Identifier: Apache-2.0
//
// Metrics as Prometheus reads them. A scrape is rare: clarity before speed.
#include "metrics_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// The label of a series as {label="value"}, or nothing; `more` goes in front of the closing brace.
static void print_label(FILE *out, const struct metric_row *row, const struct metric_value *value,
                        int series, const char *more) {
    if (row->label_kind == METRIC_LABEL_UNLABELLED) {
        if (more[0])
            (void)fprintf(out, "{%s}", more);
        return;
    }
    const char *comma = more[0] ? "," : "";
    const char *name = atomic_load(&((struct metric_value *)value)->name);
    if (row->label_kind == METRIC_LABEL_NAMED && name)
        (void)fprintf(out, "{%s=\"%s\"%s%s}", row->label, name, comma, more);
    else
        (void)fprintf(out, "{%s=\"%d\"%s%s}", row->label, series, comma, more);
}

static void print_histogram(FILE *out, const struct metric_row *row,
                            const struct metric_value *value, struct metric_histogram *histogram,
                            int series) {
    int64_t below = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        below += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        char limit[40];
        if (i < METRIC_BUCKETS)
            (void)snprintf(limit, sizeof(limit), "le=\"%g\"", (double)metrics_bucket_us[i] / 1e6);
        else
            (void)snprintf(limit, sizeof(limit), "le=\"+Inf\"");
        (void)fprintf(out, "%s_bucket", row->name);
        print_label(out, row, value, series, limit);
        (void)fprintf(out, " %lld\n", (long long)below);
    }
    (void)fprintf(out, "%s_sum", row->name);
    print_label(out, row, value, series, "");
    (void)fprintf(out, " %.6f\n", (double)atomic_load(&histogram->sum_us) / 1e6);
    (void)fprintf(out, "%s_count", row->name);
    print_label(out, row, value, series, "");
    // The sum of the buckets, so that count and buckets agree within one scrape.
    (void)fprintf(out, " %lld\n", (long long)below);
}

static void print_metric(FILE *out, enum metric metric) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const struct metric_row *row = &metrics_rows[metric];
    bool headed = false;
    for (int series = 0; series < row->series; series++) {
        struct metric_value *value = &metrics_storage[metric].values[series];
        // A role shows what it uses, not what others would.
        if (!atomic_load_explicit(&value->touched, memory_order_relaxed))
            continue;
        if (!headed) {
            (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                          kinds[row->kind]);
            headed = true;
        }
        if (row->kind == METRIC_KIND_HISTOGRAM) {
            print_histogram(out, row, value, &metrics_storage[metric].histograms[series], series);
            continue;
        }
        (void)fputs(row->name, out);
        print_label(out, row, value, series, "");
        (void)fprintf(out, " %lld\n",
                      (long long)atomic_load_explicit(&value->number, memory_order_relaxed));
    }
}

static void print_process(FILE *out) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        double seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
        (void)fprintf(out,
                      "# HELP process_cpu_seconds_total User and system time\n"
                      "# TYPE process_cpu_seconds_total counter\n"
                      "process_cpu_seconds_total %.6f\n",
                      seconds);
    }
    FILE *statm = fopen("/proc/self/statm", "re");
    if (!statm)
        return;
    long long total = 0;
    long long resident = 0;
    if (fscanf(statm, "%lld %lld", &total, &resident) == 2)
        (void)fprintf(out,
                      "# HELP process_resident_memory_bytes Memory in use\n"
                      "# TYPE process_resident_memory_bytes gauge\n"
                      "process_resident_memory_bytes %lld\n",
                      resident * sysconf(_SC_PAGESIZE));
    (void)fclose(statm);
}

char *metrics_render(size_t *ret_length) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        print_metric(out, (enum metric)metric);
    print_process(out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    *ret_length = length;
    return text;
}
