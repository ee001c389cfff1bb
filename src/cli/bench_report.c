// SPDX-License-Identifier: Apache-2.0
#include "cli/bench.h"

#include "cli/replay.h"

#include <stdlib.h>

struct figures {
    struct bench_times late, accepted, visible;
    size_t looked;
    double per_s; // accepted, from the first one's due time to the last answer
};

static bool collect(const struct bench_run *run, struct figures *ret) {
    int64_t *late = malloc(run->count * sizeof(*late));
    int64_t *accepted = malloc(run->count * sizeof(*accepted));
    int64_t *visible = malloc(run->count * sizeof(*visible));
    const bool good = late && accepted && visible;
    size_t late_count = 0, accepted_count = 0, visible_count = 0;
    int64_t ended_us = run->begun_us + 1;
    *ret = (struct figures){0};
    for (size_t i = 0; good && i < run->count; i++) {
        const int64_t due_us = bench_due_us(run, i);
        late[late_count++] = run->sent[i].sent_us - due_us;
        if (run->sent[i].outcome != BENCH_ACCEPTED)
            continue;
        accepted[accepted_count++] = run->sent[i].answered_us - due_us;
        if (run->sent[i].answered_us > ended_us)
            ended_us = run->sent[i].answered_us;
        if (i % run->looked_step != 0)
            continue;
        ret->looked++;
        if (run->visible_us[i / run->looked_step])
            visible[visible_count++] = run->visible_us[i / run->looked_step] - due_us;
    }
    if (good) {
        ret->late = bench_times_of(late, late_count);
        ret->accepted = bench_times_of(accepted, accepted_count);
        ret->visible = bench_times_of(visible, visible_count);
        ret->per_s = (double)run->accepted * 1e6 / (double)(ended_us - run->begun_us);
    }
    free(late);
    free(accepted);
    free(visible);
    return good;
}

static void print_json(const struct bench_run *run, const struct figures *figures, FILE *out) {
    (void)fprintf(out,
                  "{\"rate\":%lld,\"seconds\":%lld,\"connections\":%lld,\"batch\":%lld,"
                  "\"orders\":%zu,\"accepted_per_s\":%.1f,\"refused\":%zu,\"unanswered\":%zu,"
                  "\"found\":%zu,\"missing\":%zu,\"different\":%zu,\"looked_for\":%zu",
                  (long long)run->plan.rate, (long long)run->plan.seconds,
                  (long long)run->plan.connections, (long long)run->plan.batch, run->count,
                  figures->per_s, run->refused, run->unanswered, run->found, run->missing,
                  run->different, figures->looked);
    (void)fprintf(out, ",\"sent_late\":");
    bench_times_print(out, &figures->late);
    (void)fprintf(out, ",\"accepted\":");
    bench_times_print(out, &figures->accepted);
    (void)fprintf(out, ",\"visible\":");
    bench_times_print(out, &figures->visible);
    (void)fprintf(out, "}\n");
}

static void print_times(FILE *out, const char *what, const struct bench_times *times) {
    (void)fprintf(out, "%-22s %8zu %9.1f %9.1f %9.1f %9.1f %9.1f\n", what, times->count,
                  times->p50_ms, times->p90_ms, times->p99_ms, times->p999_ms, times->max_ms);
}

static void print_text(const struct bench_run *run, const struct figures *figures, FILE *out) {
    (void)fprintf(out, "\n%zu orders, %lld/s", run->count, (long long)run->plan.rate);
    if (run->plan.batch > 0)
        (void)fprintf(out, " in batches of %lld", (long long)run->plan.batch);
    (void)fprintf(out, ": %zu accepted (%.1f/s), %zu refused, %zu unanswered\n\n", run->accepted,
                  figures->per_s, run->refused, run->unanswered);
    (void)fprintf(out, "%-22s %8s %9s %9s %9s %9s %9s\n", "ms since it was due", "count", "p50",
                  "p90", "p99", "p99.9", "max");
    print_times(out, "accepted", &figures->accepted);
    print_times(out, "visible", &figures->visible);
    print_times(out, "sent (late)", &figures->late);
    if (figures->looked > figures->visible.count)
        (void)fprintf(out, "%zu of %zu looked for did not become visible in time\n",
                      figures->looked - figures->visible.count, figures->looked);
    (void)fprintf(out, "\nread back: %zu as sent, %zu missing, %zu different\n", run->found,
                  run->missing, run->different);
    if (run->replay->first_error[0])
        (void)fprintf(out, "the first that went wrong: %s\n", run->replay->first_error);
}

bool bench_report(struct bench_run *run, bool as_json, FILE *out) {
    struct figures figures;
    if (!collect(run, &figures))
        return false;
    (as_json ? print_json : print_text)(run, &figures, out);
    return run->accepted > 0 && run->missing == 0 && run->different == 0;
}
