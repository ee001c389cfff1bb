// SPDX-License-Identifier: Apache-2.0
#include "stream/takeover.h"

#include "event/message.h"
#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/kafka_conf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CALL_TIMEOUT_MS = 5000,
    FOLD_SILENCE_MS_MAX = 60000, // no progress for so long: something hangs
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
    struct partition *partition;
    int64_t from;
    int64_t end;       // uncommitted high watermark
    int64_t position;  // read up to here
    int64_t known;     // events expected to start new ones at
    int64_t new_count; // committed events at or after known
    uint64_t folded;
};

static bool folds_finished(const struct fold *folds, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (folds[i].position < folds[i].end)
            return false;
    return true;
}

static struct fold *fold_of(struct fold *folds, size_t count, int32_t partition) {
    for (size_t i = 0; i < count; i++)
        if (folds[i].partition->id == partition)
            return &folds[i];
    return NULL;
}

// A record that is no event of ours cannot have been written by a worker: it is named and skipped.
static void fold_record(const struct takeover *takeover, struct fold *fold,
                        const rd_kafka_message_t *record, struct arena *arena) {
    struct message message;
    struct error err;
    arena_reset(arena);
    bool ours = message_decode(takeover->ids, record->payload, record->len, arena, &message, &err);
    if (ours && takeover->role->fold)
        ours = takeover->role->fold(takeover->role->context, fold->partition->state, message.type,
                                    message.body, &err);
    if (!ours) {
        LOG(ERROR, "foreign record among our events, skipped",
            F_STR("topic", events_name(takeover)), F_INT("partition", record->partition),
            F_INT("offset", record->offset), F_ERR(&err));
        return;
    }
    fold->folded++;
    FAILPOINT(takeover_folding);
    // Nothing of a fold is ever undone: do not keep what it was.
    if (fold->folded % FOLD_COMMIT_EVERY == 0 && takeover->role->commit)
        takeover->role->commit(takeover->role->context, fold->partition->state);
    if (record->offset >= fold->known)
        fold->new_count++;
}

static rd_kafka_t *reader_new(const struct takeover *takeover, struct error *err) {
    rd_kafka_conf_t *conf = kafka_conf_new(takeover->config, "orderlog-takeover", err);
    if (!conf)
        return NULL;
    const struct kafka_setting own[] = {{"group.id", "orderlog.takeover"},
                                        {"enable.auto.commit", "false"},
                                        {"enable.auto.offset.store", "false"},
                                        {"auto.offset.reset", "error"},
                                        {"isolation.level", "read_committed"},
                                        {"enable.partition.eof", "true"},
                                        {"check.crcs", "true"},
                                        {"fetch.queue.backoff.ms", "5"},
                                        {"queued.max.messages.kbytes", "16384"},
                                        {NULL, NULL}};
    if (!kafka_conf_set(conf, own, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *reader = kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
    if (reader)
        rd_kafka_poll_set_consumer(reader);
    return reader;
}

static enum takeover_result fold_all(const struct takeover *takeover, struct fold *folds,
                                     size_t count, struct error *err) {
    if (folds_finished(folds, count))
        return TAKEOVER_DONE;
    rd_kafka_t *reader = reader_new(takeover, err);
    if (!reader)
        return TAKEOVER_FAILED;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        if (folds[i].position < folds[i].end)
            rd_kafka_topic_partition_list_add(list, events_name(takeover), folds[i].partition->id)
                ->offset = folds[i].from;
    rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);

    struct arena arena;
    arena_init(&arena, 0);
    enum takeover_result result = TAKEOVER_DONE;
    int64_t silent_since_ms = clock_monotonic_ms();
    while (result == TAKEOVER_DONE && !folds_finished(folds, count)) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(reader, 200);
        if (service_stopping()) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, 0, "stopped while taking over");
        } else if (!record) {
            if (clock_monotonic_ms() - silent_since_ms > FOLD_SILENCE_MS_MAX) {
                result = TAKEOVER_RETRY;
                error_set(err, DISP_RETRY, 0, "%s: no record and no end for %d s",
                          events_name(takeover), FOLD_SILENCE_MS_MAX / 1000);
            }
        } else if (record->err && record->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, record->err, "reading %s: %s", events_name(takeover),
                      rd_kafka_message_errstr(record));
        } else {
            struct fold *fold = fold_of(folds, count, record->partition);
            assert(fold);
            if (record->err) {
                // At the last stable offset, which may still lie before the end we wait for.
                if (record->offset > fold->position)
                    fold->position = record->offset;
            } else if (record->offset < fold->end) {
                fold_record(takeover, fold, record, &arena);
                fold->position = record->offset + 1;
            } else {
                fold->position = fold->end;
            }
            silent_since_ms = clock_monotonic_ms();
        }
        if (record)
            rd_kafka_message_destroy(record);
    }
    arena_done(&arena);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    return result;
}

// Step 4.
static enum takeover_result check(const struct takeover *takeover, const struct fold *fold,
                                  struct error *err) {
    const struct offset_metadata *committed = &fold->partition->committed;
    if (fold->new_count == committed->events_new && committed->events <= fold->end)
        return TAKEOVER_DONE;
    bool more = fold->new_count > committed->events_new;
    error_set(err, DISP_FATAL, 0,
              "%s[%d]: the committed offset %" PRId64 " (transaction %" PRIu64
              ") does not belong to %s[%d]: it promises %" PRId64 " events from offset %" PRId64
              " on, the log holds %" PRId64 ". %s",
              input_name(takeover), fold->partition->id, fold->partition->committed_offset,
              committed->seq, events_name(takeover), fold->partition->id, committed->events_new,
              committed->events, fold->new_count,
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
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(takeover->uncommitted, events_name(takeover),
                                             partition->id, &low, &high, CALL_TIMEOUT_MS);
        if (code) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, code, "end of %s[%d]: %s", events_name(takeover),
                      partition->id, rd_kafka_err2str(code));
            break;
        }
        // What has no state to fold reads only what the check needs.
        int64_t from = takeover->role->fold ? low : partition->committed.events;
        folds[folds_count++] = (struct fold){.partition = partition,
                                             .from = from,
                                             .position = from,
                                             .end = high,
                                             .known = partition->committed.events};
    }
    rd_kafka_topic_partition_list_destroy(list);
    FAILPOINT(takeover_end);
    if (result == TAKEOVER_DONE)
        result = fold_all(takeover, folds, folds_count, err);
    FAILPOINT(takeover_folded);
    for (size_t i = 0; result == TAKEOVER_DONE && i < folds_count; i++)
        result = check(takeover, &folds[i], err);
    for (size_t i = 0; result == TAKEOVER_DONE && i < folds_count; i++) {
        struct partition *partition = folds[i].partition;
        if (takeover->role->commit)
            takeover->role->commit(takeover->role->context, partition->state);
        // Everything up to the end is known now; nothing at or after it is ours yet.
        partition->committed.events = folds[i].end;
        partition->committed.events_new = 0;
        partition->restored = true;
        LOG(INFO, "partition taken over", F_STR("topic", input_name(takeover)),
            F_INT("partition", partition->id), F_INT("offset", partition->committed_offset),
            F_UINT("transaction", partition->committed.seq), F_UINT("folded", folds[i].folded));
    }
    free(folds);
    FAILPOINT(takeover_checked);
    return result;
}
