// SPDX-License-Identifier: Apache-2.0
#include "log_span.h"

#include "service/clock.h"
#include "service/service.h"
#include "stream/kafka_conf.h"

#include <assert.h>

enum {
    CALL_TIMEOUT_MS = 5000,
    SILENCE_MS_MAX = 60000, // no progress for so long: something hangs
    POLL_MS = 10,           // so long librdkafka waits for a full batch, at every end too
    BATCH_RECORDS = 1000,
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

static bool finished(const struct log_span *spans, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (spans[i].position < spans[i].end)
            return false;
    return true;
}

static struct log_span *span_of(struct log_span *spans, size_t count, int32_t partition) {
    for (size_t i = 0; i < count; i++)
        if (spans[i].partition == partition)
            return &spans[i];
    return NULL;
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
                                        {"fetch.queue.backoff.ms", "2"},
                                        // The end, past trailing markers, is told by a fetch that
                                        // finds nothing: by default it waits for half a second.
                                        {"fetch.wait.max.ms", "20"},
                                        {"queued.max.messages.kbytes", "8192"},
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

// State is larger than the processor's caches: what the next records of the batch will need comes
// nearer while this one is worked on.
static void look_ahead(const struct role *role, struct log_span *spans, size_t count,
                       rd_kafka_message_t *const *batch, ssize_t left) {
    enum { BYTES = 32 };
    static const struct {
        ssize_t records;
        enum soft_step step;
    } steps[] = {{24, SOFT_SLOT}, {16, SOFT_ENTRY}, {8, SOFT_BLOCK}};
    if (left > BYTES)
        __builtin_prefetch(batch[BYTES]->key);
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        if (steps[s].records >= left)
            continue;
        const rd_kafka_message_t *record = batch[steps[s].records];
        const struct log_span *span = record->key ? span_of(spans, count, record->partition) : NULL;
        if (span && span->state)
            role->expect_key(role->context, span->state, record->key, record->key_len,
                             steps[s].step);
    }
}

// False: it tells of a failure.
static bool take(struct log_span *spans, size_t count, const rd_kafka_message_t *record,
                 void (*each)(void *context, struct log_span *span,
                              const rd_kafka_message_t *record),
                 void *context) {
    if (record->err && record->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return false;
    struct log_span *span = span_of(spans, count, record->partition);
    assert(span);
    if (record->err) {
        // At the last stable offset, which may still lie before the end we wait for.
        if (record->offset > span->position)
            span->position = record->offset;
    } else if (record->offset < span->end) {
        each(context, span, record);
        span->position = record->offset + 1;
    } else {
        span->position = span->end;
    }
    return true;
}

enum takeover_result log_span_read(const struct takeover *takeover, enum topic_id topic,
                                   struct log_span *spans, size_t count,
                                   void (*each)(void *context, struct log_span *span,
                                                const rd_kafka_message_t *record),
                                   void *context, struct error *err) {
    for (size_t i = 0; i < count; i++)
        spans[i].position = spans[i].from;
    if (finished(spans, count))
        return TAKEOVER_DONE;
    rd_kafka_t *reader = reader_new(takeover, err);
    if (!reader)
        return TAKEOVER_FAILED;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        if (spans[i].position < spans[i].end)
            rd_kafka_topic_partition_list_add(list, topics[topic].name, spans[i].partition)
                ->offset = spans[i].from;
    rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);

    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader);
    rd_kafka_message_t *batch[BATCH_RECORDS];
    enum takeover_result result = TAKEOVER_DONE;
    int64_t silent_since_ms = clock_monotonic_ms();
    while (result == TAKEOVER_DONE && !finished(spans, count)) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, POLL_MS, batch, BATCH_RECORDS);
        for (ssize_t i = 0; i < got; i++) {
            if (takeover->role->expect_key)
                look_ahead(takeover->role, spans, count, batch + i, got - i);
            if (result == TAKEOVER_DONE && !take(spans, count, batch[i], each, context)) {
                result = TAKEOVER_RETRY;
                error_set(err, DISP_RETRY, batch[i]->err, "reading %s: %s", topics[topic].name,
                          rd_kafka_message_errstr(batch[i]));
            }
            rd_kafka_message_destroy(batch[i]);
        }
        if (service_stopping()) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, 0, "stopped while taking over");
        } else if (got > 0) {
            silent_since_ms = clock_monotonic_ms();
        } else if (clock_monotonic_ms() - silent_since_ms > SILENCE_MS_MAX) {
            result = TAKEOVER_RETRY;
            error_set(err, DISP_RETRY, 0, "%s: no record and no end for %d s", topics[topic].name,
                      SILENCE_MS_MAX / 1000);
        }
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(reader);
    kafka_client_free(reader);
    return result;
}
