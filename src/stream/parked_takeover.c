// SPDX-License-Identifier: Apache-2.0
//
// Dead letters are few: they are read from the beginning, and not at all where there are none.
#include "stream/parked_takeover.h"

#include "event/message.h"
#include "log_span.h"
#include "service/log.h"
#include "service/spans.h"
#include "stream/trace_headers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static enum topic_id letters_topic(const struct takeover *takeover) {
    return domains[takeover->role->domain].deadletters;
}

// Letters without a key are only set aside.
static bool fold_letter(struct parked *parked, const struct message *message,
                        const struct trace_context *trace) {
    if (message->type == RECORD_DEAD_LETTER) {
        const struct dead_letter *dead = message->body;
        const struct parked_letter letter = {
            .at = {.offset = dead->offset, .index = dead->index},
            .key = dead->key,
            .value = dead->value,
            .trace = *trace,
        };
        if (dead->parked_key.ptr && dead->parked_key.len <= TOPIC_KEY_MAX)
            parked_add(parked, dead->parked_key.ptr, dead->parked_key.len, &letter);
        return true;
    }
    if (message->type != RECORD_DEAD_LETTER_SETTLED)
        return false;
    const struct dead_letter_settled *settled = message->body;
    const struct parked_at at = {.offset = settled->offset, .index = settled->index};
    struct parked_letter *letter =
        parked_find(parked, settled->parked_key.ptr, settled->parked_key.len, at);
    if (letter)
        parked_settle(parked, settled->parked_key.ptr, settled->parked_key.len, letter);
    return true;
}

// What is no letter of ours cannot have been written by a worker: it is named and skipped.
static void fold_record(void *context, struct log_span *span,
                        const struct log_span_record *record) {
    const struct takeover *takeover = context;
    struct trace_context trace = {0};
    struct error err;
    if (spans_are_on())
        trace_of_headers(&record->read->record.headers, &trace);
    bool ours = log_span_is_message(record, &err);
    if (ours && !fold_letter(span->opaque, &record->message, &trace))
        ours = error_set(&err, DISP_POISON, 0, "%s is no dead letter",
                         record_types[record->message.type]->name);
    if (!ours)
        LOG(ERROR, "foreign record among our dead letters, skipped",
            F_STR("topic", topics[letters_topic(takeover)].name),
            F_INT("partition", span->partition), F_INT("offset", record->read->offset),
            F_ERR(&err));
    parked_commit(span->opaque);
}

// Executors answer out of order: their letters may lie after the committed offset.
static enum takeover_result check(const struct takeover *takeover,
                                  const struct partition *partition, const struct parked *set,
                                  struct error *err) {
    const struct parked_letter *last = parked_last(set);
    const struct parked_at next = {.offset = partition->committed_offset, .index = PARKED_ALONE};
    if (takeover->role->poll || !last || parked_at_is_before(last->at, next))
        return TAKEOVER_DONE;
    error_set(err, DISP_FATAL, 0,
              "%s[%d]: the committed offset %" PRId64 " was set back: the input at %" PRId64
              " was already parked, working on would decide it twice. Commit the offset and "
              "metadata of the last transaction again.",
              topics[domains[takeover->role->domain].inbox].name, partition->id,
              partition->committed_offset, last->at.offset);
    return TAKEOVER_REFUSED;
}

static void hand_over(const struct takeover *takeover, struct partition *partition,
                      struct parked *set) {
    partition->parked = set;
    if (takeover->role->watch_parked)
        takeover->role->watch_parked(takeover->role->context, partition->state, set);
    if (parked_count(set))
        LOG(WARN, "keys are parked: `orderlog deadletters list` tells why",
            F_STR("topic", topics[domains[takeover->role->domain].inbox].name),
            F_INT("partition", partition->id), F_UINT("keys", parked_keys(set)),
            F_UINT("letters", parked_count(set)));
}

enum takeover_result parked_takeover_run(const struct takeover *takeover,
                                         struct partition **partitions, size_t count,
                                         struct error *err) {
    struct log_span *spans = calloc(count + 1, sizeof(*spans));
    assert(spans);
    enum takeover_result result = TAKEOVER_DONE;
    for (size_t i = 0; i < count; i++) {
        struct log_span *span = &spans[i];
        span->partition = partitions[i]->id;
        if (result != TAKEOVER_DONE || partitions[i]->parked)
            continue; // nothing to read
        span->opaque = parked_new((size_t)takeover->config->parked_letters_max,
                                  (size_t)takeover->config->parked_bytes_max);
        result = log_span_bounds(takeover, letters_topic(takeover), span->partition, &span->from,
                                 &span->end, err);
    }
    if (result == TAKEOVER_DONE)
        result = log_span_read(takeover, letters_topic(takeover), spans, count, fold_record,
                               (void *)takeover, err);
    for (size_t i = 0; result == TAKEOVER_DONE && i < count; i++)
        if (spans[i].opaque)
            result = check(takeover, partitions[i], spans[i].opaque, err);
    for (size_t i = 0; i < count; i++) {
        if (!spans[i].opaque)
            continue;
        if (result == TAKEOVER_DONE)
            hand_over(takeover, partitions[i], spans[i].opaque);
        else
            parked_free(spans[i].opaque);
    }
    free(spans);
    return result;
}
