// SPDX-License-Identifier: Apache-2.0
//
// Dead letters are few: they are read from the beginning, and not at all where there are none.
#include "stream/parked_takeover.h"

#include "event/message.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/log_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { CALL_TIMEOUT_MS = 5000, POLL_MS = 200 };

static enum topic_id letters_topic(const struct takeover *takeover) {
    return domains[takeover->role->domain].deadletters;
}

// Letters without a key are only set aside.
static bool fold_letter(struct parked *parked, const struct message *message) {
    if (message->type == RECORD_DEAD_LETTER) {
        const struct dead_letter *dead = message->body;
        const struct parked_letter letter = {
            .at = {.offset = dead->offset, .index = dead->index},
            .key = dead->key,
            .value = dead->value,
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
static void fold_record(const struct takeover *takeover, struct parked *const *sets,
                        const struct log_record *record, struct arena *arena) {
    struct message message;
    struct error err;
    arena_reset(arena);
    bool ours =
        message_decode(takeover->ids, record->value, record->value_len, arena, &message, &err);
    if (ours && !fold_letter(sets[record->partition], &message))
        ours = error_set(&err, DISP_POISON, 0, "%s is no dead letter",
                         record_types[message.type]->name);
    if (!ours)
        LOG(ERROR, "foreign record among our dead letters, skipped",
            F_STR("topic", topics[letters_topic(takeover)].name),
            F_INT("partition", record->partition), F_INT("offset", record->offset), F_ERR(&err));
    parked_commit(sets[record->partition]);
}

static enum takeover_result fold_all(const struct takeover *takeover, struct parked *const *sets,
                                     const int64_t *from, const int64_t *until, struct error *err) {
    struct log_reader *reader =
        log_reader_open(takeover->config, letters_topic(takeover), LOG_READER_ALL, err);
    if (!reader)
        return err->what == DISP_RETRY ? TAKEOVER_RETRY : TAKEOVER_FAILED;
    log_reader_bound(reader, from, until);
    log_reader_await(reader);
    struct arena arena;
    arena_init(&arena, 0);
    enum log_reader_result result = LOG_READER_RECORD;
    while (result == LOG_READER_RECORD && !service_stopping()) {
        struct log_record record;
        result = log_reader_next(reader, POLL_MS, &record, err);
        if (result == LOG_READER_RECORD)
            fold_record(takeover, sets, &record, &arena);
    }
    arena_done(&arena);
    log_reader_close(reader);
    if (result == LOG_READER_RECORD)
        error_set(err, DISP_RETRY, 0, "stopped while taking over");
    return result == LOG_READER_END ? TAKEOVER_DONE : TAKEOVER_RETRY;
}

static bool find_end(const struct takeover *takeover, int32_t partition, int64_t *ret_low,
                     int64_t *ret_end, struct error *err) {
    const char *topic = topics[letters_topic(takeover)].name;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
        takeover->uncommitted, topic, partition, ret_low, ret_end, CALL_TIMEOUT_MS);
    return !code || error_set(err, DISP_RETRY, code, "end of %s[%d]: %s", topic, partition,
                              rd_kafka_err2str(code));
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
                                         int32_t topic_partitions, struct error *err) {
    // By partition; those that we do not want have nothing to read.
    int64_t *from = calloc((size_t)topic_partitions, sizeof(*from));
    int64_t *until = calloc((size_t)topic_partitions, sizeof(*until));
    struct parked **sets = calloc((size_t)topic_partitions, sizeof(*sets));
    assert(from && until && sets);
    enum takeover_result result = TAKEOVER_DONE;
    bool any = false;
    for (size_t i = 0; result == TAKEOVER_DONE && i < count; i++) {
        int32_t p = partitions[i]->id;
        if (partitions[i]->parked)
            continue;
        sets[p] = parked_new((size_t)takeover->config->parked_letters_max,
                             (size_t)takeover->config->parked_bytes_max);
        if (!find_end(takeover, p, &from[p], &until[p], err))
            result = TAKEOVER_RETRY;
        any = any || until[p] > from[p];
    }
    if (result == TAKEOVER_DONE && any)
        result = fold_all(takeover, sets, from, until, err);
    for (size_t i = 0; result == TAKEOVER_DONE && i < count; i++)
        if (sets[partitions[i]->id])
            result = check(takeover, partitions[i], sets[partitions[i]->id], err);
    for (size_t i = 0; i < count; i++) {
        int32_t p = partitions[i]->id;
        if (!sets[p])
            continue;
        if (result == TAKEOVER_DONE)
            hand_over(takeover, partitions[i], sets[p]);
        else
            parked_free(sets[p]);
    }
    free(from);
    free(until);
    free(sets);
    return result;
}
