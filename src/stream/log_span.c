// SPDX-License-Identifier: Apache-2.0
#include "log_span.h"

#include "service/clock.h"
#include "service/service.h"
#include "span_feed.h"
#include "stream/kafka_conf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_TIMEOUT_MS = 5000,
    SILENCE_MS_MAX = 60000, // no progress for so long: something hangs
    POLL_MS = 100,          // between looks at whether we are to stop
};

enum takeover_result log_span_bounds(const struct takeover *takeover, enum topic_id topic,
                                     int32_t partition, int64_t *ret_low, int64_t *ret_end,
                                     struct error *err) {
    kafka_hear(takeover->uncommitted);
    return kafka_bounds(takeover->uncommitted, topics[topic].name, partition, CALL_TIMEOUT_MS,
                        ret_low, ret_end, err)
               ? TAKEOVER_DONE
               : TAKEOVER_RETRY;
}

// State is larger than the processor's caches: what the next records of the batch will need comes
// nearer while this one is worked on.
enum {
    KEY_AHEAD = 64,
    SLOT_AHEAD = 48,
    ENTRY_AHEAD = 32,
    BLOCK_AHEAD = 16,
    PRINTS = 64, // of the records up to SLOT_AHEAD later
};

// 0: it has none, or the same as the record before, which finds all there.
static uint64_t print_of(const struct role *role, const struct wire_read_record *read) {
    const struct wire_record *record = &read->record, *before = &(read - 1)->record;
    uint64_t print;
    if (!record->key || (before->key && before->key_len == record->key_len &&
                         memcmp(before->key, record->key, record->key_len) == 0))
        return 0;
    return role->key_print(record->key, record->key_len, &print) ? print : 0;
}

static void look_ahead(const struct role *role, void *state, const struct wire_records *records,
                       size_t at, uint64_t prints[PRINTS]) {
    const size_t left = records->count - at;
    const struct wire_read_record *next = &records->items[at];
    if (KEY_AHEAD < left)
        __builtin_prefetch(next[KEY_AHEAD].record.key);
    static const struct {
        size_t ahead;
        enum soft_step step;
    } steps[] = {{SLOT_AHEAD, SOFT_SLOT}, {ENTRY_AHEAD, SOFT_ENTRY}, {BLOCK_AHEAD, SOFT_BLOCK}};
    if (SLOT_AHEAD < left)
        prints[(at + SLOT_AHEAD) % PRINTS] = print_of(role, &next[SLOT_AHEAD]);
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        const uint64_t print = prints[(at + steps[s].ahead) % PRINTS];
        if (steps[s].ahead < left && print)
            role->expect_print(state, print, steps[s].step);
    }
}

// Says what is wrong with what the feed could not decode. Rare.
static void decode_again(const struct schema_ids *ids, struct arena *arena,
                         struct log_span_record *record) {
    const struct wire_record *read = &record->read->record;
    arena_reset(arena);
    if (!message_decode(ids, read->value, read->value_len, arena, &record->message, &record->err))
        record->message.body = NULL;
}

bool log_span_is_message(const struct log_span_record *record, struct error *err) {
    if (record->message.body)
        return true;
    if (!record->read->record.value)
        return error_set(err, DISP_POISON, 0, "no value");
    *err = record->err;
    return false;
}

static void hand_out(const struct takeover *takeover, struct log_span *span,
                     const struct span_feed_batch *batch, struct arena *arena, log_span_fn *each,
                     void *context) {
    const struct role *role = takeover->role;
    const struct wire_records *records = &batch->records;
    uint64_t prints[PRINTS] = {0}; // by number of the record
    for (size_t i = 0; i < records->count; i++) {
        if (role->expect_print && span->state)
            look_ahead(role, span->state, records, i, prints);
        struct log_span_record record;
        record.read = &records->items[i];
        record.message = batch->messages[i];
        if (!record.message.body && record.read->record.value)
            decode_again(takeover->ids, arena, &record);
        each(context, span, &record);
    }
}

static struct span_feed *feed_new(const struct takeover *takeover, enum topic_id topic,
                                  const struct wire_settings *settings,
                                  const struct log_span *spans, size_t count, struct error *err) {
    struct wire_span *wanted = calloc(count, sizeof(*wanted));
    assert(wanted);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct wire_span){
            .partition = spans[i].partition, .from = spans[i].from, .end = spans[i].end};
    struct wire_fetch *fetch = wire_fetch_new(settings, topics[topic].name, wanted, count, err);
    free(wanted);
    return fetch ? span_feed_new(fetch, takeover->ids, err) : NULL;
}

static enum takeover_result failed(const struct error *err) {
    return err->what == DISP_FATAL ? TAKEOVER_FAILED : TAKEOVER_RETRY;
}

enum takeover_result log_span_read(const struct takeover *takeover, enum topic_id topic,
                                   struct log_span *spans, size_t count, log_span_fn *each,
                                   void *context, struct error *err) {
    size_t wanted = 0;
    for (size_t i = 0; i < count; i++)
        wanted += spans[i].from < spans[i].end;
    if (wanted == 0)
        return TAKEOVER_DONE;
    struct wire_settings settings;
    struct span_feed *feed = NULL;
    if (wire_settings_read(takeover->config, "orderlog-takeover", WIRE_UNCOMPRESSED, &settings,
                           err))
        feed = feed_new(takeover, topic, &settings, spans, count, err);
    if (!feed)
        return failed(err);

    struct arena arena;
    arena_init(&arena, 0);
    enum wire_fetched found = WIRE_FETCH_WAITS;
    enum takeover_result result = TAKEOVER_DONE;
    int64_t silent_since_ms = clock_monotonic_ms();
    while (result == TAKEOVER_DONE && found != WIRE_FETCH_ENDED) {
        const struct span_feed_batch *batch;
        found = span_feed_next(feed, POLL_MS, &batch, err);
        if (found == WIRE_FETCHED) {
            hand_out(takeover, &spans[batch->span], batch, &arena, each, context);
            silent_since_ms = clock_monotonic_ms();
        } else if (found == WIRE_FETCH_FAILED) {
            (void)error_wrap(err, "reading %s", topics[topic].name);
            result = failed(err);
        }
        if (service_stopping()) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, 0, "stopped while taking over");
        } else if (clock_monotonic_ms() - silent_since_ms > SILENCE_MS_MAX) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, 0, "%s: no record and no end for %d s", topics[topic].name,
                      SILENCE_MS_MAX / 1000);
        }
    }
    span_feed_free(feed);
    arena_done(&arena);
    return result;
}
