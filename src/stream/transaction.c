// SPDX-License-Identifier: Apache-2.0
//
// Begin and end. What can go wrong with a transaction ends in transaction_finish() or
// transaction_settle(): the two places where an outcome becomes an action.
#include "transaction.h"

#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "stream/takeover.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_LOOK_MS = 20 };

static void undo(struct txn_loop *loop) {
    output_drop(loop->output);
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        if (partition->state && loop->role->undo)
            loop->role->undo(loop->role->context, partition->state);
        if (partition->restored)
            partition_rewind(partition);
    }
    loop->open = false;
    loop->failures++;
}

bool transaction_seek(struct txn_loop *loop, const struct partition *only, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (int32_t p = 0; p < loop->partitions_count; p++)
        if (loop->partitions[p].assigned && (!only || only == &loop->partitions[p]))
            rd_kafka_topic_partition_list_add(list, txn_loop_input_name(loop), p)->offset =
                loop->partitions[p].next_offset;
    rd_kafka_error_t *failed =
        list->cnt ? rd_kafka_seek_partitions(loop->consumer, list, TXN_LOOP_CALL_TIMEOUT_MS) : NULL;
    bool sought = !failed;
    if (failed) {
        error_set(err, DISP_FATAL, rd_kafka_error_code(failed), "seek: %s",
                  rd_kafka_error_string(failed));
        rd_kafka_error_destroy(failed);
    }
    for (int i = 0; sought && i < list->cnt; i++)
        if (list->elems[i].err)
            sought = error_set(err, DISP_FATAL, list->elems[i].err, "seek in %s[%d]: %s",
                               txn_loop_input_name(loop), list->elems[i].partition,
                               rd_kafka_err2str(list->elems[i].err));
    rd_kafka_topic_partition_list_destroy(list);
    return sought;
}

// After undo() we stand where the last commit was.
static bool rewind_input(struct txn_loop *loop, struct error *err) {
    return transaction_seek(loop, NULL, err);
}

// What is committed has been delivered, and its deliveries were reported: a commit waits for both.
// A broker that knows no more where a record lies that was sent twice is not known to exist.
static bool all_located(const struct events_sent *sent) {
    for (size_t i = 0; i < sent->count; i++)
        if (sent->offsets[i] < 0)
            return false;
    return true;
}

// How long what comes next may gather. A flood needs not be answered at once, but each of its
// orders cheaply: the more was in this transaction, the longer, so that there are fewer of them.
static int64_t gather_us(const struct txn_loop *loop) {
    enum { CALM_MESSAGES = 200, FLOOD_MESSAGES = 1000 };
    const int64_t least_us = loop->config->commit_linger_ms * 1000;
    const int64_t most_us = loop->config->commit_linger_ms_max * 1000;
    int64_t above = (int64_t)loop->messages - CALM_MESSAGES;
    if (above <= 0 || most_us <= least_us)
        return least_us;
    if (above > FLOOD_MESSAGES - CALM_MESSAGES)
        above = FLOOD_MESSAGES - CALM_MESSAGES;
    return least_us + (most_us - least_us) * above / (FLOOD_MESSAGES - CALM_MESSAGES);
}

// How long the next batch may take. Where more is waiting than time was enough for, what is last
// has waited for long already, and a commit keeps everything waiting: fewer of them, then.
static int64_t interval_ms(const struct txn_loop *loop) {
    const int64_t least_ms = loop->config->commit_interval_ms;
    const int64_t most_ms = loop->config->commit_interval_ms_max;
    if (!loop->more_waits || most_ms <= least_ms)
        return least_ms;
    return 2 * loop->interval_ms < most_ms ? 2 * loop->interval_ms : most_ms;
}

static void measure(const struct txn_loop *loop) {
    metrics_add(METRIC_TRANSACTIONS, 0, 1);
    metrics_observe_us(METRIC_STEP, STEP_TRANSACTION, clock_monotonic_us() - loop->begun_us);
    if (loop->oldest_ms != INT64_MAX) {
        int64_t delay_us = clock_now_us() - loop->oldest_ms * 1000;
        metrics_observe_us(METRIC_DELAY, 0, delay_us > 0 ? delay_us : 0);
    }
}

static void commit_succeeded(struct txn_loop *loop) {
    const struct producer *producer = &loop->producers[loop->current];
    bool located = true;
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        const struct events_sent *sent = &producer->events[p];
        if (!partition->touched)
            continue;
        located = located && (!loop->role->located || all_located(sent));
        if (loop->role->located && sent->count > 0)
            loop->role->located(loop->role->context, partition->state, sent->offsets, sent->count);
        if (loop->role->commit)
            loop->role->commit(loop->role->context, partition->state);
        partition_commit_staged(partition, sent->count ? sent->offsets[sent->count - 1] + 1 : 0);
    }
    if (!located) {
        struct error err;
        error_set(&err, DISP_FATAL, 0,
                  "the broker did not say where our events lie: a restart reads them");
        txn_loop_fail(loop, EXIT_UNAVAILABLE, &err);
    }
    output_committed(loop->output);
    loop->open = false;
    loop->failures = 0;
    loop->current ^= 1;
    loop->interval_ms = interval_ms(loop);
    loop->gather_us = gather_us(loop);
    loop->gather_until_us = clock_monotonic_us() + loop->gather_us;
    measure(loop);
    FAILPOINT(loop_kept);
}

// A worker that slept (SIGSTOP, a paused machine) may have lost its slot to a successor, and making
// its producers anew would fence the successor's. The first heartbeat after the sleep tells: a
// static member whose place was taken is refused for good.
static bool slot_is_ours(struct txn_loop *loop) {
    txn_loop_note_stall(loop);
    char reason[256];
    rd_kafka_resp_err_t fatal;
    while (!(fatal = rd_kafka_fatal_error(loop->consumer, reason, sizeof(reason))) &&
           clock_monotonic_ms() < loop->uncertain_until_ms) {
        if (service_wait_stop(HEARTBEAT_LOOK_MS)) {
            loop->done = true; // whoever comes next ends the transaction
            return false;
        }
    }
    if (!fatal)
        return true;
    struct error err;
    error_set(&err, DISP_FATAL, fatal, "%s", reason);
    txn_loop_fail(loop, EXIT_FENCED, &err);
    return false;
}

// Aborts on the broker, undoes in memory, reads again. False: the process has to end.
bool transaction_abort(struct txn_loop *loop, const struct error *why, bool rewind) {
    LOG(WARN, "transaction aborted, its input is read again", F_ERR(why));
    metrics_add(METRIC_TRANSACTIONS, 1, 1);
    metrics_add(METRIC_ERRORS, ERROR_TRANSACTION, 1);
    undo(loop);
    FAILPOINT(abort_undone);
    if (!slot_is_ours(loop))
        return false;
    struct error err;
    if (!producer_abort(&loop->producers[loop->current], &err)) {
        txn_loop_fail(loop, err.what == DISP_FATAL ? EXIT_FENCED : EXIT_UNAVAILABLE, &err);
        return false;
    }
    FAILPOINT(abort_aborted);
    if (rewind && !rewind_input(loop, &err)) {
        txn_loop_fail(loop, EXIT_INTERNAL, &err);
        return false;
    }
    FAILPOINT(abort_rewound);
    return true;
}

enum outcome_found { FOUND_COMMITTED, FOUND_ABORTED, FOUND_OTHER, FOUND_NOTHING };

// Asks the broker what became of the transaction: its number and ours stand in the metadata.
static enum outcome_found find_outcome(struct txn_loop *loop, struct error *err) {
    struct takeover takeover = {.config = loop->config,
                                .role = loop->role,
                                .ids = loop->ids,
                                .consumer = loop->consumer,
                                .uncommitted = loop->uncommitted};
    struct partition *touched = NULL;
    for (int32_t p = 0; !touched && p < loop->partitions_count; p++)
        if (loop->partitions[p].touched)
            touched = &loop->partitions[p];
    assert(touched);
    FAILPOINT(unknown_reopened);
    int64_t deadline_ms = clock_monotonic_ms() + TXN_LOOP_TAKEOVER_MS_MAX;
    rd_kafka_topic_partition_list_t *list = NULL;
    int tries = 0;
    while (takeover_committed(&takeover, &touched, 1, &list, err) != TAKEOVER_DONE) {
        if (clock_monotonic_ms() > deadline_ms)
            return FOUND_NOTHING;
        txn_loop_back_off(loop, tries++);
    }
    struct offset_metadata now;
    bool parsed =
        offset_metadata_parse(list->elems[0].metadata, list->elems[0].metadata_size, &now);
    rd_kafka_topic_partition_list_destroy(list);
    FAILPOINT(unknown_resolved);
    if (parsed && now.by == touched->staged.by && now.seq == touched->staged.seq)
        return FOUND_COMMITTED;
    if (parsed && now.by == touched->committed.by && now.seq == touched->committed.seq)
        return FOUND_ABORTED;
    return FOUND_OTHER;
}

// The commit's answer never came. A new epoch of the producer ends the transaction one way or the
// other; then the stable committed offsets tell which.
static bool resolve_unknown(struct txn_loop *loop, const struct error *why) {
    LOG(WARN, "outcome of a commit is unknown, asking for the committed offsets", F_ERR(why));
    metrics_add(METRIC_TRANSACTIONS, 2, 1);
    metrics_add(METRIC_ERRORS, ERROR_TRANSACTION, 1);
    if (!slot_is_ours(loop)) {
        undo(loop);
        return false;
    }
    struct error err;
    if (!producer_reopen(&loop->producers[loop->current], &err)) {
        undo(loop);
        txn_loop_fail(loop, err.what == DISP_FATAL ? EXIT_FENCED : EXIT_UNAVAILABLE, &err);
        return false;
    }
    switch (find_outcome(loop, &err)) {
    case FOUND_COMMITTED:
        LOG(INFO, "the commit had succeeded, its state is kept");
        commit_succeeded(loop);
        return true;
    case FOUND_ABORTED:
        undo(loop);
        if (rewind_input(loop, &err))
            return true;
        txn_loop_fail(loop, EXIT_INTERNAL, &err);
        return false;
    case FOUND_OTHER:
        undo(loop);
        error_set(&err, DISP_FATAL, 0, "another worker has committed on %s meanwhile",
                  txn_loop_input_name(loop));
        txn_loop_fail(loop, EXIT_FENCED, &err);
        return false;
    case FOUND_NOTHING:
        undo(loop);
        txn_loop_fail(loop, EXIT_UNAVAILABLE, &err);
        return false;
    }
    return false;
}

// No transaction could be opened for what was read: it is read again.
static bool rewind_unopened(struct txn_loop *loop, const struct error *why) {
    LOG(WARN, "no transaction could be opened, its input is read again", F_ERR(why));
    metrics_add(METRIC_ERRORS, ERROR_TRANSACTION, 1);
    struct error err;
    undo(loop);
    if (rewind_input(loop, &err))
        return true;
    txn_loop_fail(loop, EXIT_INTERNAL, &err);
    return false;
}

bool transaction_begin(struct txn_loop *loop, struct partition *partition, struct error *err) {
    if (!loop->open) {
        struct producer *producer = &loop->producers[loop->current];
        if (producer->suspect && !slot_is_ours(loop))
            return error_set(err, DISP_NONE, 0, "ending");
        if (!producer_begin(producer, err))
            return false;
        output_begin(loop->output, producer);
        loop->open = true;
        loop->begun_us = clock_monotonic_us();
        FAILPOINT(loop_begun);
    }
    partition->touched = true;
    return true;
}

static enum commit_outcome commit_offsets(struct txn_loop *loop, size_t count, struct error *err) {
    // Taken here, in the polling thread: it names the generation whose input this is.
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(loop->consumer);
    const int32_t generation = rd_kafka_consumer_group_metadata_generation_id(group);
    enum commit_outcome outcome = COMMIT_ABORT;
    // A client that was thrown out of the group has no generation, and a broker takes offsets
    // without one where the group is empty: they would overwrite what a successor has committed.
    if (generation != loop->generation) {
        error_set(err, DISP_ABORT, 0, "the group has gone on without this worker");
    } else {
        const struct wire_group_member member = {
            .generation = generation,
            .member_id = rd_kafka_consumer_group_metadata_member_id(group),
            .instance_id = loop->instance,
            .topic = txn_loop_input_name(loop)};
        int64_t started_us = clock_monotonic_us();
        outcome =
            producer_commit(&loop->producers[loop->current], &member, loop->offsets, count, err);
        metrics_observe_us(METRIC_COMMIT, 0, clock_monotonic_us() - started_us);
    }
    rd_kafka_consumer_group_metadata_destroy(group);
    return outcome;
}

static enum commit_outcome commit(struct txn_loop *loop, struct error *err) {
    int64_t flush_us = clock_monotonic_us();
    if (loop->first_us > 0)
        metrics_observe_us(METRIC_STEP, STEP_INPUT, flush_us - loop->first_us);
    if (!output_flush(loop->output, err))
        return COMMIT_ABORT;
    FAILPOINT(loop_flushed);
    size_t count = 0;
    for (int32_t p = 0; p < loop->partitions_count; p++) {
        struct partition *partition = &loop->partitions[p];
        if (!partition->touched)
            continue;
        partition_stage(partition, output_events_count(loop->output, p), loop->by);
        offset_metadata_format(&partition->staged, loop->offset_texts[count]);
        loop->offsets[count] = (struct wire_offset){.partition = p,
                                                    .offset = partition->staged_offset,
                                                    .metadata = loop->offset_texts[count]};
        count++;
    }
    metrics_observe_us(METRIC_STEP, STEP_FLUSH, clock_monotonic_us() - flush_us);
    return commit_offsets(loop, count, err);
}

// Ends the open transaction, if any.
bool transaction_finish(struct txn_loop *loop) {
    if (!loop->open)
        return true;
    struct error err;
    switch (commit(loop, &err)) {
    case COMMIT_DONE:
        commit_succeeded(loop);
        return true;
    case COMMIT_ABORT:
        return transaction_abort(loop, &err, true);
    case COMMIT_UNKNOWN:
        return resolve_unknown(loop, &err);
    case COMMIT_FENCED:
        error_wrap(&err, "another process has this slot, or the transaction took too long");
        undo(loop);
        txn_loop_fail(loop, EXIT_FENCED, &err);
        return false;
    }
    return false;
}

// What an error inside a transaction asks for. True: go on.
bool transaction_settle(struct txn_loop *loop, const struct error *err) {
    switch (err->what) {
    case DISP_RETRY:
    case DISP_ABORT:
        if (loop->open)
            return transaction_abort(loop, err, true);
        return rewind_unopened(loop, err);
    case DISP_POISON: // was set aside where the message is known
    case DISP_NONE:
    case DISP_FATAL:
        break;
    }
    undo(loop);
    txn_loop_fail(loop, EXIT_INTERNAL, err);
    return false;
}
