// SPDX-License-Identifier: Apache-2.0
//
// The summary: one line per outcome and reason, with the file's lines and money behind it, and the
// read model's money beside it.
#include "cli/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 64, EXAMPLES_MAX = 10 };

struct report_row {
    enum replay_outcome outcome;
    const char *reason; // borrowed from an order
    bool unexplained;
    int64_t orders;
    int64_t lines;
    int64_t file_minor;
};

struct report {
    struct report_row rows[ROWS_MAX];
    size_t rows_count;
    int64_t accepted;
    int64_t accepted_file_minor;
    int64_t accepted_model_minor;
    int64_t unexplained;
};

static const char *const outcome_names[REPLAY_OUTCOMES_COUNT] = {
    [REPLAY_UNSENT] = "not sent",
    [REPLAY_ACCEPTED] = "accepted, open",
    [REPLAY_COMPLETED] = "completed",
    [REPLAY_REJECTED] = "rejected",
    [REPLAY_CANCELLED] = "cancelled",
    [REPLAY_EXPIRED] = "expired",
    [REPLAY_NEEDS_ATTENTION] = "needs attention",
    [REPLAY_REFUSED] = "refused by the gateway",
    [REPLAY_NOT_APPLIED] = "refused as a command",
    [REPLAY_FAILED] = "failed",
};

// The row for this outcome and reason; the last one takes what does not fit.
static struct report_row *find_row(struct report *report, const struct replay_order *order) {
    for (size_t i = 0; i < report->rows_count; i++) {
        struct report_row *row = &report->rows[i];
        if (row->outcome == order->outcome && row->unexplained == order->unexplained &&
            strcmp(row->reason, order->reason) == 0)
            return row;
    }
    if (report->rows_count == ROWS_MAX)
        return &report->rows[ROWS_MAX - 1];
    struct report_row *row = &report->rows[report->rows_count++];
    *row = (struct report_row){
        .outcome = order->outcome, .reason = order->reason, .unexplained = order->unexplained};
    return row;
}

static void count(struct report *report, const struct replay *replay) {
    for (uint32_t i = 0; i < replay->file->order_ids.count; i++) {
        const struct replay_order *order = &replay->orders[i];
        const struct file_order *file_order = &replay->file->orders[i];
        struct report_row *row = find_row(report, order);
        row->orders++;
        row->lines += file_order->lines_count;
        row->file_minor += file_order->total_minor;
        report->unexplained += order->unexplained;
        if (order->outcome >= REPLAY_ACCEPTED && order->outcome <= REPLAY_NEEDS_ATTENTION) {
            report->accepted++;
            report->accepted_file_minor += file_order->total_minor;
            report->accepted_model_minor += order->total_minor;
        }
    }
}

static int compare_rows(const void *a, const void *b) {
    const struct report_row *left = a;
    const struct report_row *right = b;
    if (left->outcome != right->outcome)
        return left->outcome < right->outcome ? -1 : 1;
    return (left->orders < right->orders) - (left->orders > right->orders);
}

static void print_examples(const struct replay *replay, FILE *out) {
    int printed = 0;
    for (uint32_t i = 0; i < replay->file->order_ids.count && printed < EXAMPLES_MAX; i++) {
        const struct replay_order *order = &replay->orders[i];
        if (!order->unexplained)
            continue;
        printed++;
        (void)fprintf(out, "  %s (order %s): %s %s\n",
                      intern_bytes(&replay->file->order_ids, i, NULL),
                      id_is_nil(&order->order_id) ? "without id" : id_text(&order->order_id).text,
                      outcome_names[order->outcome], order->reason);
    }
}

bool replay_report(struct replay *replay, FILE *out) {
    struct report *report = calloc(1, sizeof(*report));
    if (!report)
        return false;
    count(report, replay);
    qsort(report->rows, report->rows_count, sizeof(report->rows[0]), compare_rows);

    const struct order_file *file = replay->file;
    (void)fprintf(out, "%-58s %10s %10s %16s\n", "outcome", "orders", "lines", "minor units");
    for (size_t i = 0; i < report->rows_count; i++) {
        const struct report_row *row = &report->rows[i];
        char name[80];
        (void)snprintf(name, sizeof(name), "%s%s%s%s", outcome_names[row->outcome],
                       row->reason[0] ? ": " : "", row->reason,
                       row->unexplained ? " (unexplained)" : "");
        (void)fprintf(out, "%-58s %10lld %10lld %16lld\n", name, (long long)row->orders,
                      (long long)row->lines, (long long)row->file_minor);
    }
    (void)fprintf(out, "%-58s %10u %10u %16lld\n", "in the file", file->order_ids.count,
                  file->lines_count, (long long)file->total_minor);

    const bool sums_agree = report->accepted_file_minor == report->accepted_model_minor;
    const uint32_t refused = atomic_load(&replay->counts.refused);
    (void)fprintf(out, "\nproducts: %u registered, %u with stock received, %u refused or unknown\n",
                  atomic_load(&replay->counts.products), atomic_load(&replay->counts.receipts),
                  refused);
    (void)fprintf(out,
                  "accepted: %lld orders of %lld minor units in the file, %lld in the read "
                  "model: %s\n",
                  (long long)report->accepted, (long long)report->accepted_file_minor,
                  (long long)report->accepted_model_minor,
                  sums_agree ? "they agree" : "THEY DIFFER");
    (void)fprintf(out, "unexplained: %lld orders\n", (long long)report->unexplained);
    if (report->unexplained > 0)
        print_examples(replay, out);
    if (replay->first_error[0])
        (void)fprintf(out, "first trouble on the way: %s\n", replay->first_error);

    const bool ok = report->unexplained == 0 && sums_agree && refused == 0;
    free(report);
    return ok;
}
