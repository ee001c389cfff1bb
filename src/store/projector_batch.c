// SPDX-License-Identifier: Apache-2.0
#include "projector_batch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"
#include "service/failpoint.h"
#include "service/metrics.h"
#include "stream/address.h"
#include "stream/trace_headers.h"

// Decoded structs of one batch; the messages themselves are bounded by the consumer's queue.
enum { ARENA_BYTES_MAX = 512 << 20, SKIP_ERROR_MAX = 400 };

static bool is_of_events(const char *topic) {
    for (size_t i = 0; i < DOMAIN_COUNT; i++)
        if (strcmp(topics[domains[i].events].name, topic) == 0)
            return true;
    return false;
}

// NULL: it is about no order, or was not decoded.
static const struct id *order_of(const struct projector_batch *batch,
                                 const struct batch_entry *entry) {
    struct address address;
    struct error ignored;
    bool good = batch->of_events && !entry->error &&
                address_of_event(entry->record.type, entry->record.value, &address, &ignored);
    return good ? address.order_id : NULL;
}

// Headers are unpacked only for a line that is written.
static void tell(const void *opaque, struct log_about *ret) {
    const struct projector_batch *batch = opaque;
    const struct batch_entry *entry = batch->told;
    if (!entry)
        return;
    ret->topic = projection_set_topic(batch->set);
    ret->partition = entry->message->partition;
    ret->offset = entry->message->offset;
    const struct id *order_id = order_of(batch, entry);
    ret->has_order_id = order_id != NULL;
    if (order_id)
        memcpy(ret->order_id, order_id->bytes, sizeof(ret->order_id));
    trace_of_record(entry->message, &ret->trace);
}

bool projector_batch_init(struct projector_batch *batch, struct projection_set *set, struct db *db,
                          const struct schema_ids *ids, size_t entries_max) {
    *batch = (struct projector_batch){.set = set, .db = db, .ids = ids, .entries_max = entries_max};
    batch->of_events = is_of_events(projection_set_topic(set));
    batch->log_context = (struct log_context){.tell = tell, .opaque = batch};
    arena_init(&batch->arena, ARENA_BYTES_MAX);
    size_t moves_max = (size_t)PARTITIONS_MAX * projection_set_count(set);
    batch->messages = calloc(entries_max, sizeof(rd_kafka_message_t *));
    batch->entries = calloc(entries_max, sizeof(*batch->entries));
    batch->records = calloc(entries_max, sizeof(*batch->records));
    batch->skips = calloc(entries_max, sizeof(*batch->skips));
    batch->group = calloc(entries_max, sizeof(*batch->group));
    batch->moves = calloc(moves_max, sizeof(*batch->moves));
    return batch->messages && batch->entries && batch->records && batch->skips && batch->group &&
           batch->moves;
}

void projector_batch_clear(struct projector_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        rd_kafka_message_destroy(batch->messages[i]);
    batch->count = batch->from = batch->entries_count = 0;
    batch->folded = 0;
}

void projector_batch_done(struct projector_batch *batch) {
    projector_batch_clear(batch);
    free(batch->messages);
    free(batch->entries);
    free(batch->records);
    free(batch->skips);
    free(batch->group);
    free(batch->moves);
    arena_done(&batch->arena);
    span_batch_done(&batch->spans);
}

// --- decoding -----------------------------------------------------------------------------------

// A copy that any text column takes.
static const char *keep_error(struct projector_batch *batch, const char *text) {
    size_t length = strnlen(text, SKIP_ERROR_MAX);
    char *copy = arena_alloc(&batch->arena, length + 1);
    if (!copy)
        return "it was refused";
    for (size_t i = 0; i < length; i++)
        copy[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
    copy[length] = '\0';
    return copy;
}

// False with DISP_RETRY: the arena is full.
static bool decode(struct projector_batch *batch, const rd_kafka_message_t *message,
                   struct batch_entry *entry, struct error *err) {
    struct message decoded;
    const char *topic = projection_set_topic(batch->set);
    struct error why;
    if (!message->payload) {
        entry->error = "it has no value";
        return true;
    }
    if (message_decode(batch->ids, message->payload, message->len, &batch->arena, &decoded, &why)) {
        if (strcmp(record_dirs[decoded.type], topic) != 0) {
            entry->error = "its record does not belong to this topic";
            return true;
        }
        entry->record.type = decoded.type;
        entry->record.value = decoded.body;
        return true;
    }
    if (why.what != DISP_POISON) {
        *err = why;
        return false;
    }
    entry->error = keep_error(batch, why.msg);
    return true;
}

static uint32_t takers(const struct projector_input *input,
                       const struct projector_partition *partition, size_t projections,
                       int64_t offset) {
    uint32_t mask = 0;
    for (size_t i = 0; i < projections; i++)
        if (offset >= partition->next[i])
            mask |= 1u << i;
    return mask & ~input->paused;
}

static void begin_span(struct projector_batch *batch, const struct batch_entry *entry) {
    const rd_kafka_message_t *message = entry->message;
    struct trace_context cause;
    trace_of_record(message, &cause);
    struct span *span = trace_is_sampled(&cause) ? span_batch_add(&batch->spans) : NULL;
    if (!span)
        return;
    span_begin(span, &cause, SPAN_CONSUMER, clock_now_us());
    span->topic = projection_set_topic(batch->set);
    span->partition = message->partition;
    span->offset = message->offset;
    const struct id *order_id = order_of(batch, entry);
    span->has_order_id = order_id != NULL;
    if (order_id)
        memcpy(span->order_id, order_id->bytes, sizeof(span->order_id));
    (void)snprintf(span->name, SPAN_NAME_MAX, "project %s", span->topic);
}

// Decodes the messages that are not yet, to the end or to where the arena is full.
static bool decode_some(struct projector_batch *batch, struct projector_input *input,
                        struct error *err) {
    size_t projections = projection_set_count(batch->set);
    size_t n = 0;
    int64_t begun_us = clock_monotonic_us();
    arena_reset(&batch->arena);
    span_batch_drop(&batch->spans); // of a batch that failed
    for (; batch->from < batch->count; batch->from++) {
        const rd_kafka_message_t *message = batch->messages[batch->from];
        struct projector_partition *partition = projector_input_find(input, message->partition);
        assert(partition);
        uint32_t mask = takers(input, partition, projections, message->offset);
        if (mask == 0)
            continue;
        struct batch_entry *entry = &batch->entries[n];
        *entry = (struct batch_entry){
            .mask = mask,
            .slot = input->slot_of[message->partition],
            .record = {.partition = message->partition, .offset = message->offset},
            .message = message};
        if (decode(batch, message, entry, err))
            n++;
        else if (n == 0)
            return false;
        else
            break;
        if (spans_are_on())
            begin_span(batch, entry);
    }
    batch->entries_count = n;
    metrics_observe_us(METRIC_STEP, STEP_DECODE, clock_monotonic_us() - begun_us);
    return true;
}

void projector_batch_prepare(struct projector_batch *batch, struct projector_input *input) {
    struct error ignored;
    if (!decode_some(batch, input, &ignored))
        return;
    // Only what goes into one transaction.
    for (size_t i = 0; i < batch->entries_count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        if (entry->error || entry->mask != batch->entries[0].mask)
            return;
        batch->records[i] = entry->record;
    }
    batch->folded = projection_set_fold(batch->set, batch->records, batch->entries_count);
}

// --- transactions -------------------------------------------------------------------------------

// Positions of the read models in mask, from where they are to after the group's last record.
static size_t make_moves(struct projector_batch *batch, struct projector_input *input,
                         const struct batch_entry *const *group, size_t count, uint32_t mask) {
    int64_t last[PARTITIONS_MAX];
    for (size_t i = 0; i < input->partitions_count; i++)
        last[i] = -1;
    for (size_t i = 0; i < count; i++)
        last[group[i]->slot] = group[i]->record.offset;
    size_t moves = 0;
    for (size_t i = 0; i < input->partitions_count; i++)
        for (uint32_t p = 0; last[i] >= 0 && p < projection_set_count(batch->set); p++)
            if (mask & 1u << p)
                batch->moves[moves++] =
                    (struct projection_move){.projection = p,
                                             .partition = input->partitions[i].partition,
                                             .expected = input->partitions[i].next[p],
                                             .next = last[i] + 1};
    return moves;
}

static void moved(struct projector_batch *batch, struct projector_input *input, size_t moves) {
    for (size_t i = 0; i < moves; i++) {
        const struct projection_move *move = &batch->moves[i];
        projector_input_find(input, move->partition)->next[move->projection] = move->next;
    }
}

static const char *only_name(const struct projector_batch *batch, uint32_t mask) {
    return projection_set_name(batch->set, (size_t)__builtin_ctz(mask));
}

static void tell_applied(struct projector_batch *batch, const struct batch_entry *const *group,
                         size_t count, uint32_t mask, const char *refused) {
    for (size_t i = 0; i < count; i++) {
        const char *error = refused ? refused : group[i]->error;
        batch->told = group[i];
        if (error)
            LOG(ERROR, "record skipped, kept in projection_skipped",
                F_STR("projection", refused ? only_name(batch, mask) : NULL),
                F_STR("error", error));
        else
            LOG(DEBUG, "record projected",
                F_STR("type", record_types[group[i]->record.type]->name));
    }
    batch->told = NULL;
}

// refused: the text why the read model in mask (a single one) does without all of the group; NULL
// to apply it.
static bool commit_group(struct projector_batch *batch, struct projector_input *input,
                         const struct batch_entry *const *group, size_t count, uint32_t mask,
                         const char *refused, int *ret_failed, struct error *err) {
    struct projection_batch transaction = {
        .mask = mask, .records = batch->records, .moves = batch->moves, .skips = batch->skips};
    // The last transaction, if all goes well.
    if (batch->from == batch->count && count == batch->entries_count && !refused) {
        transaction.meanwhile = batch->meanwhile;
        transaction.opaque = batch->opaque;
        transaction.folded = batch->folded;
        batch->folded = 0;
        batch->meanwhile = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct batch_entry *entry = group[i];
        const char *error = refused ? refused : entry->error;
        if (!error) {
            batch->records[transaction.records_count++] = entry->record;
            continue;
        }
        batch->skips[transaction.skips_count++] =
            (struct projection_skip){.projection = refused ? only_name(batch, mask) : NULL,
                                     .partition = entry->record.partition,
                                     .offset = entry->record.offset,
                                     .error = error,
                                     .value = entry->message->payload,
                                     .value_len = entry->message->len};
    }
    transaction.moves_count = make_moves(batch, input, group, count, mask);
    int64_t begun_us = clock_monotonic_us();
    if (!projection_set_apply(batch->set, batch->db, &transaction, ret_failed, err))
        return false;
    metrics_observe_us(METRIC_STEP, STEP_APPLY, clock_monotonic_us() - begun_us);
    FAILPOINT(project_committed);
    // Unless the group has taken them away meanwhile.
    if (!input->is_stale)
        moved(batch, input, transaction.moves_count);
    FAILPOINT(project_kept);
    metrics_add(METRIC_PROJECTED_RECORDS, 0, (int64_t)transaction.records_count);
    metrics_add(METRIC_DEAD_LETTERS, 0, (int64_t)transaction.skips_count);
    if (transaction.skips_count > 0)
        metrics_add(METRIC_ERRORS, refused ? ERROR_UNDECIDABLE : ERROR_UNDECODABLE,
                    (int64_t)transaction.skips_count);
    tell_applied(batch, group, count, mask, refused);
    return true;
}

// Halves until the record that is refused stands alone; depth is log2 of the batch.
static bool apply_group(struct projector_batch *batch, struct projector_input *input,
                        const struct batch_entry *const *group, size_t count, uint32_t mask,
                        struct error *err) {
    int failed = -1;
    if (commit_group(batch, input, group, count, mask, NULL, &failed, err))
        return true;
    if (err->what != DISP_POISON)
        return false;
    if (failed < 0) // not a read model's statement: waiting is all that is left
        return error_set(err, DISP_RETRY, 0, "the batch is refused: %s", err->msg);
    if (count > 1)
        return apply_group(batch, input, group, count / 2, mask, err) &&
               apply_group(batch, input, group + count / 2, count - count / 2, mask, err);
    const char *refused = keep_error(batch, err->msg);
    uint32_t others = mask & ~(1u << failed);
    return commit_group(batch, input, group, count, 1u << failed, refused, &failed, err) &&
           (others == 0 || apply_group(batch, input, group, count, others, err));
}

// The fewest takers first: within a partition these are the older records.
static uint32_t next_mask(const struct projector_batch *batch, size_t entries) {
    uint32_t best = 0;
    for (size_t i = 0; i < entries; i++) {
        uint32_t mask = batch->entries[i].mask;
        if (mask && (!best || __builtin_popcount(mask) < __builtin_popcount(best)))
            best = mask;
    }
    return best;
}

static bool apply_entries(struct projector_batch *batch, struct projector_input *input,
                          struct error *err) {
    const size_t entries = batch->entries_count;
    uint32_t mask;
    while ((mask = next_mask(batch, entries)) != 0) {
        size_t grouped = 0;
        for (size_t i = 0; i < entries; i++) {
            if (batch->entries[i].mask != mask)
                continue;
            batch->group[grouped++] = &batch->entries[i];
            batch->entries[i].mask = 0;
        }
        if (!apply_group(batch, input, batch->group, grouped, mask, err))
            return false;
    }
    span_batch_commit(&batch->spans, clock_now_us());
    int64_t oldest_ms = INT64_MAX;
    for (size_t i = 0; i < entries && !input->is_stale; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        int64_t written_ms = rd_kafka_message_timestamp(entry->message, NULL);
        input->partitions[entry->slot].last_timestamp_ms = written_ms;
        if (written_ms > 0 && written_ms < oldest_ms)
            oldest_ms = written_ms;
    }
    if (oldest_ms != INT64_MAX) {
        int64_t delay_us = clock_now_us() - oldest_ms * 1000;
        metrics_observe_us(METRIC_DELAY, 0, delay_us > 0 ? delay_us : 0);
    }
    return true;
}

bool projector_batch_apply(struct projector_batch *batch, struct projector_input *input,
                           void (*meanwhile)(void *opaque), void *opaque, struct error *err) {
    batch->meanwhile = meanwhile;
    batch->opaque = opaque;
    while (batch->entries_count > 0 || batch->from < batch->count) {
        if (batch->entries_count == 0 && !decode_some(batch, input, err))
            return false;
        if (!apply_entries(batch, input, err))
            return false;
        batch->entries_count = 0;
    }
    return true;
}
