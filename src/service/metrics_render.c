// SPDX-License-Identifier: Apache-2.0
//
// Metrics as Prometheus reads them. A scrape is rare: clarity before speed.
#include "metrics_store.h"

#include "service/clock.h"
#include "service/service.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// Early enough: a constructor runs before main().
static int64_t started_us;
__attribute__((constructor)) static void note_start(void) {
    started_us = clock_now_us();
}

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
    (void)fputc('{', out);
    if (row->label_kind == METRIC_LABEL_STEPPED && metrics_role)
        (void)fprintf(out, "role=\"%s\",", metrics_role);
    if (row->label_kind != METRIC_LABEL_NUMBERED && name)
        (void)fprintf(out, "%s=\"%s\"%s%s}", row->label, name, comma, more);
    else
        (void)fprintf(out, "%s=\"%d\"%s%s}", row->label, series, comma, more);
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

static const char *const kinds[] = {[METRIC_KIND_COUNTER] = "counter",
                                    [METRIC_KIND_GAUGE] = "gauge",
                                    [METRIC_KIND_SECONDS] = "gauge",
                                    [METRIC_KIND_HISTOGRAM] = "histogram"};

static void print_metric(FILE *out, enum metric metric) {
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
        int64_t number = atomic_load_explicit(&value->number, memory_order_relaxed);
        if (row->kind == METRIC_KIND_SECONDS)
            (void)fprintf(out, " %.6f\n", (double)number / 1e6);
        else
            (void)fprintf(out, " %lld\n", (long long)number);
    }
}

// ---- the process itself: what every client library of Prometheus shows -------------------------

static bool cpu_seconds(double *ret) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return false;
    *ret = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    return true;
}

static bool resident_bytes(double *ret) {
    FILE *statm = fopen("/proc/self/statm", "re");
    long long total, resident;
    bool known = statm && fscanf(statm, "%lld %lld", &total, &resident) == 2;
    if (known)
        *ret = (double)resident * (double)sysconf(_SC_PAGESIZE);
    if (statm)
        (void)fclose(statm);
    return known;
}

static bool start_time_seconds(double *ret) {
    *ret = (double)started_us / 1e6;
    return started_us > 0;
}

static bool open_fds(double *ret) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;
    int count = -1; // the folder's own
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    *ret = count;
    return true;
}

static bool max_fds(double *ret) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    *ret = (double)limit.rlim_cur;
    return true;
}

static bool ready(double *ret) {
    char reason[SERVICE_REASON_MAX + 64];
    *ret = service_ready(reason);
    return true;
}

static const struct process_row {
    const char *name;
    const char *type;
    bool (*value)(double *ret); // false: not known here
    const char *help;
} process_rows[] = {
    {"orderlog_ready", "gauge", ready, "1 when /readyz says yes"},
    {"process_cpu_seconds_total", "counter", cpu_seconds, "User and system time"},
    {"process_resident_memory_bytes", "gauge", resident_bytes, "Memory in use"},
    {"process_start_time_seconds", "gauge", start_time_seconds, "When it started, since 1970"},
    {"process_open_fds", "gauge", open_fds, "Open file descriptors"},
    {"process_max_fds", "gauge", max_fds, "File descriptors that may be open"},
};
enum { PROCESS_ROWS = sizeof(process_rows) / sizeof(process_rows[0]) };

static const char info_name[] = "orderlog_info";
static const char info_help[] = "Always 1: which role, slot and version this is";

static void print_process(FILE *out) {
    for (size_t i = 0; i < PROCESS_ROWS; i++) {
        const struct process_row *row = &process_rows[i];
        double value;
        if (row->value(&value))
            (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", row->name, row->help,
                          row->name, row->type, row->name, value);
    }
    if (!metrics_role)
        return;
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n%s{role=\"%s\",slot=\"", info_name,
                  info_help, info_name, info_name, metrics_role);
    if (metrics_slot >= 0)
        (void)fprintf(out, "%d", metrics_slot);
    (void)fprintf(out, "\",version=\"%s\"} 1\n", ORDERLOG_VERSION);
}

void metrics_each(void (*visit)(void *opaque, const char *name, const char *type, const char *label,
                                const char *help),
                  void *opaque) {
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_row *row = &metrics_rows[metric];
        const char *label = row->label_kind == METRIC_LABEL_STEPPED ? "role,step" : row->label;
        visit(opaque, row->name, kinds[row->kind], label, row->help);
    }
    for (size_t i = 0; i < PROCESS_ROWS; i++)
        visit(opaque, process_rows[i].name, process_rows[i].type, NULL, process_rows[i].help);
    visit(opaque, info_name, "gauge", "role,slot,version", info_help);
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
