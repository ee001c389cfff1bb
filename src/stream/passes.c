// SPDX-License-Identifier: Apache-2.0
//
// A pass begins at the end of a transaction, with the end of our events as of the commit before it:
// everything up to there is in the state. Rows follow, some in each transaction, so that no commit
// waits for long, but the more of them the more there are: whoever takes over folds all events
// since the pass began, and under load there are fewer transactions, not more. Then the position.
// When a transaction is undone the pass has not been, and begins anew: the rows that it has
// committed are as good as any.
#include "passes.h"

#include "service/clock.h"
#include "service/metrics.h"
#include "transaction.h"

#include <string.h>

enum {
    ROWS_MIN = 500,       // per partition and transaction
    ROWS_MAX = 20000,     // some 20 ms of a commit
    TRANSACTIONS = 10,    // for what has changed when a pass begins
    CHANGED_MAX = 500000, // a pass does not wait for its time with more
};

struct to_output {
    struct txn_loop *loop;
    int32_t partition;
};

static bool put(void *opaque, const struct snapshot_row *row, struct error *err) {
    const struct to_output *to = opaque;
    return output_snapshot(to->loop->output, to->partition, row, err);
}

static bool put_position(const struct snapshot_sink *sink, int64_t events_offset,
                         struct error *err) {
    const struct snapshot_position position = {
        .events_offset = events_offset,
        .format = SNAPSHOT_FORMAT,
        .taken_at = clock_now_us(),
    };
    return snapshot_put(sink, SNAPSHOT_POSITION_KEY, strlen(SNAPSHOT_POSITION_KEY),
                        RECORD_SNAPSHOT_POSITION, &position, err);
}

static bool is_due(const struct txn_loop *loop, const struct partition *partition, int64_t now_us) {
    if (partition->pass.running)
        return true;
    size_t changed = loop->role->changed(loop->role->context, partition->state);
    return changed >= CHANGED_MAX || (changed > 0 && now_us >= partition->pass.due_us);
}

// Rows count behind a position only. Before the first pass ends there is none, so one comes before
// it that promises nothing: what it has written so far need not be folded again.
static bool begin(struct txn_loop *loop, struct partition *partition,
                  const struct snapshot_sink *sink, int64_t now_us, struct error *err) {
    partition->pass.running = true;
    partition->pass.begun_us = now_us;
    partition->pass.events_offset = partition->committed.events;
    size_t rows = loop->role->changed(loop->role->context, partition->state) / TRANSACTIONS;
    partition->pass.rows_max = rows < ROWS_MIN ? ROWS_MIN : rows > ROWS_MAX ? ROWS_MAX : rows;
    loop->role->snapshot_begin(loop->role->context, partition->state);
    return partition->pass.first_from < 0 || put_position(sink, partition->pass.first_from, err);
}

static bool go_on(struct txn_loop *loop, struct partition *partition, int64_t now_us,
                  struct error *err) {
    struct to_output to = {.loop = loop, .partition = partition->id};
    const struct snapshot_sink sink = {.put = put, .opaque = &to};
    if (!partition->pass.running && !begin(loop, partition, &sink, now_us, err))
        return false;
    bool done = false;
    int64_t rows_us = clock_monotonic_us();
    if (!loop->role->snapshot(loop->role->context, partition->state, partition->pass.rows_max,
                              &sink, &done, err))
        return false;
    metrics_observe_us(METRIC_STEP, STEP_SNAPSHOTS, clock_monotonic_us() - rows_us);
    if (!done)
        return true;
    if (!put_position(&sink, partition->pass.events_offset, err))
        return false;
    partition->pass.running = false;
    partition->pass.first_from = -1;
    partition->pass.due_us = now_us + loop->config->snapshot_interval_ms * 1000;
    metrics_observe_us(METRIC_SNAPSHOT_PASS, 0, now_us - partition->pass.begun_us);
    return true;
}

bool passes_go_on(struct txn_loop *loop, struct error *err) {
    if (!loop->role->snapshot || loop->config->snapshot_interval_ms == 0)
        return true;
    int64_t now_us = clock_monotonic_us();
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        if (!partition->assigned || !is_due(loop, partition, now_us))
            continue;
        if (!transaction_begin(loop, partition, err))
            return false;
        if (!go_on(loop, partition, now_us, err))
            return false;
    }
    return true;
}

bool passes_running(const struct txn_loop *loop) {
    for (int32_t p = 0; p < loop->partitions_count; p++)
        if (loop->partitions[p].assigned && loop->partitions[p].pass.running)
            return true;
    return false;
}
