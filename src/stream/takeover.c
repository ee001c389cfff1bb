// SPDX-License-Identifier: Apache-2.0
#include "stream/takeover.h"

#include "event/message.h"
#include "log_span.h"
#include "restore.h"
#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/spans.h"
#include "stream/trace_headers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CALL_TIMEOUT_MS = 5000,
    FOLD_COMMIT_EVERY = 1024,
};

static const char *input_name(const struct takeover *takeover) {
    return topics[domains[takeover->role->domain].inbox].name;
}

static const char *events_name(const struct takeover *takeover) {
    return topics[domains[takeover->role->domain].events].name;
}

enum takeover_result takeover_committed(const struct takeover *takeover,
                                        struct partition *const *partitions, size_t count,
                                        rd_kafka_topic_partition_list_t **ret, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, input_name(takeover), partitions[i]->id);
    rd_kafka_resp_err_t code = rd_kafka_committed(takeover->consumer, list, CALL_TIMEOUT_MS);
    for (int i = 0; !code && i < list->cnt; i++)
        code = list->elems[i].err;
    if (code) {
        // Among them UNSTABLE_OFFSET_COMMIT: a transaction of a predecessor is still pending.
        rd_kafka_topic_partition_list_destroy(list);
        error_set(err, DISP_RETRY, code, "committed offsets of %s: %s", input_name(takeover),
                  rd_kafka_err2str(code));
        return TAKEOVER_RETRY;
    }
    *ret = list;
    return TAKEOVER_DONE;
}

struct fold {
    struct restore restore;
    int64_t from;
    int64_t known;     // events expected to start new ones at
    int64_t new_count; // committed events at or after known
    uint64_t folded;
};

// A record that is no event of ours cannot have been written by a worker: it is named and skipped.
static void fold_record(void *context, struct log_span *span,
                        const struct log_span_record *record) {
    const struct takeover *takeover = context;
    const struct wire_read_record *read = record->read;
    struct fold *fold = span->opaque;
    void *state = fold->restore.partition->state;
    struct error err;
    bool ours = log_span_is_message(record, &err);
    if (ours && takeover->role->caused && spans_are_on()) {
        struct trace_context trace;
        trace_of_headers(&read->record.headers, &trace);
        takeover->role->caused(takeover->role->context, state, &trace);
    }
    if (ours && takeover->role->fold)
        ours = takeover->role->fold(takeover->role->context, state, record->message.type,
                                    record->message.body, read->offset, &err);
    if (!ours) {
        LOG(ERROR, "foreign record among our events, skipped",
            F_STR("topic", events_name(takeover)), F_INT("partition", span->partition),
            F_INT("offset", read->offset), F_ERR(&err));
        return;
    }
    fold->folded++;
    FAILPOINT(takeover_folding);
    // Nothing of a fold is ever undone: do not keep what it was.
    if (fold->folded % FOLD_COMMIT_EVERY == 0 && takeover->role->commit)
        takeover->role->commit(takeover->role->context, state);
    if (read->offset >= fold->known)
        fold->new_count++;
}

// Step 3: snapshots first, then the events that they have not all seen.
static enum takeover_result fold_all(const struct takeover *takeover, struct fold *folds,
                                     size_t count, struct error *err) {
    struct restore *restores = calloc(count + 1, sizeof(*restores));
    struct log_span *spans = calloc(count + 1, sizeof(*spans));
    assert(restores && spans);
    for (size_t i = 0; i < count; i++)
        restores[i] = folds[i].restore;
    enum takeover_result result = restore_run(takeover, restores, count, err);
    for (size_t i = 0; i < count; i++) {
        struct fold *fold = &folds[i];
        fold->restore = restores[i];
        fold->from = fold->known;
        // What has no state to fold reads only what the check needs.
        if (takeover->role->fold && restores[i].events_from < fold->from)
            fold->from = restores[i].events_from;
        spans[i] = (struct log_span){.partition = restores[i].partition->id,
                                     .from = fold->from,
                                     .end = restores[i].events_end,
                                     .state = restores[i].partition->state,
                                     .opaque = fold};
    }
    if (result == TAKEOVER_DONE)
        result = log_span_read(takeover, domains[takeover->role->domain].events, spans, count,
                               fold_record, (void *)takeover, err);
    free(restores);
    free(spans);
    return result;
}

// Step 4.
static enum takeover_result check(const struct takeover *takeover, const struct fold *fold,
                                  struct error *err) {
    const struct partition *partition = fold->restore.partition;
    const struct offset_metadata *committed = &partition->committed;
    if (fold->new_count == committed->events_new && committed->events <= fold->restore.events_end)
        return TAKEOVER_DONE;
    bool more = fold->new_count > committed->events_new;
    error_set(err, DISP_FATAL, 0,
              "%s[%d]: the committed offset %" PRId64 " (transaction %" PRIu64
              ") does not belong to %s[%d]: it promises %" PRId64 " events from offset %" PRId64
              " on, the log holds %" PRId64 ". %s",
              input_name(takeover), partition->id, partition->committed_offset, committed->seq,
              events_name(takeover), partition->id, committed->events_new, committed->events,
              fold->new_count,
              more
                  ? "The offset was set back: working on would decide the same input twice. Commit "
                    "the offset and metadata of the last transaction again."
                  : "Events were lost: restore the topic from a replica or a backup.");
    return TAKEOVER_REFUSED;
}

static enum takeover_result missing(const struct takeover *takeover,
                                    const rd_kafka_topic_partition_t *element, struct error *err) {
    error_set(err, DISP_FATAL, 0,
              "%s[%d]: %s. If the system is new, run `orderlog setup`; if not, the offset was lost "
              "or set by a foreign tool: commit the last transaction's offset and metadata again "
              "(an offset without its metadata cannot be trusted)",
              input_name(takeover), element->partition,
              element->offset < 0 ? "no offset is committed"
                                  : "the committed offset does not carry the metadata we gave it");
    return TAKEOVER_REFUSED;
}

// Spread over the interval, so that partitions do not all write at once.
static void schedule_pass(const struct takeover *takeover, const struct restore *restore, size_t i,
                          size_t count) {
    struct partition *partition = restore->partition;
    const bool is_first =
        restore->rows == 0 && !restore->outdated && restore->position.events_offset < 0;
    int64_t interval_us = takeover->config->snapshot_interval_ms * 1000;
    partition->pass.running = false;
    partition->pass.first_from = is_first ? restore->events_low : -1;
    partition->pass.due_us =
        clock_monotonic_us() + interval_us * (int64_t)(i + 1) / (int64_t)(count ? count : 1);
}

enum takeover_result takeover_run(const struct takeover *takeover, struct partition **partitions,
                                  size_t count, struct error *err) {
    rd_kafka_topic_partition_list_t *list = NULL;
    enum takeover_result result = takeover_committed(takeover, partitions, count, &list, err);
    if (result != TAKEOVER_DONE)
        return result;
    FAILPOINT(takeover_offsets);

    struct fold *folds = calloc(count ? count : 1, sizeof(*folds));
    assert(folds);
    size_t folds_count = 0;
    for (size_t i = 0; result == TAKEOVER_DONE && i < count; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        struct partition *partition = partitions[i];
        struct offset_metadata now;
        if (element->offset < 0 ||
            !offset_metadata_parse(element->metadata, element->metadata_size, &now) ||
            now.at != element->offset) {
            result = missing(takeover, element, err);
            break;
        }
        if (partition->restored && partition->committed.seq == now.seq &&
            partition->committed.by == now.by && partition->committed_offset == element->offset) {
            partition_rewind(partition);
            continue;
        }
        partition_drop(partition, takeover->role);
        if (!partition_set_committed(partition, element->offset, element->metadata,
                                     element->metadata_size)) {
            result = missing(takeover, element, err);
            break;
        }
        partition->state = takeover->role->partition_new(takeover->role->context, partition->id);
        struct fold *fold = &folds[folds_count++];
        *fold = (struct fold){.restore.partition = partition, .known = partition->committed.events};
        // Snapshots' ends first: what is in them follows from events before the events' ends.
        result = restore_bounds(takeover, &fold->restore, err);
        if (result == TAKEOVER_DONE)
            result =
                log_span_bounds(takeover, domains[takeover->role->domain].events, partition->id,
                                &fold->restore.events_low, &fold->restore.events_end, err);
    }
    rd_kafka_topic_partition_list_destroy(list);
    FAILPOINT(takeover_end);
    if (result == TAKEOVER_DONE)
        result = fold_all(takeover, folds, folds_count, err);
    FAILPOINT(takeover_folded);
    for (size_t i = 0; result == TAKEOVER_DONE && i < folds_count; i++)
        result = check(takeover, &folds[i], err);
    for (size_t i = 0; result == TAKEOVER_DONE && i < folds_count; i++) {
        const struct restore *restore = &folds[i].restore;
        struct partition *partition = restore->partition;
        if (takeover->role->commit)
            takeover->role->commit(takeover->role->context, partition->state);
        // Everything up to the end is known now; nothing at or after it is ours yet.
        partition->committed.events = restore->events_end;
        partition->committed.events_new = 0;
        partition->restored = true;
        schedule_pass(takeover, restore, i, folds_count);
        metrics_add(METRIC_TAKEOVER_RECORDS, 0, (int64_t)restore->rows);
        metrics_add(METRIC_TAKEOVER_RECORDS, 1, (int64_t)folds[i].folded);
        LOG(INFO, "partition taken over", F_STR("topic", input_name(takeover)),
            F_INT("partition", partition->id), F_INT("offset", partition->committed_offset),
            F_UINT("transaction", partition->committed.seq), F_UINT("snapshots", restore->rows),
            F_UINT("folded", folds[i].folded));
    }
    free(folds);
    FAILPOINT(takeover_checked);
    return result;
}
