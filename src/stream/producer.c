// SPDX-License-Identifier: Apache-2.0
#include "stream/producer.h"

#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "wire/wire_code.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAYLOAD_BYTES_MAX = 256 << 20,
    INIT_TIMEOUT_MS = 30000,
    INIT_TRY_MS = 5000,
    INIT_PAUSE_MS_MIN = 10,
    INIT_PAUSE_MS_MAX = 500,
};

static void event_written(void *opaque, size_t topic, int32_t partition, int32_t first,
                          int32_t count, int64_t base_offset) {
    struct producer *producer = opaque;
    if (topic != (size_t)domains[producer->settings.domain].events)
        return;
    const struct events_sent *sent = &producer->events[partition];
    assert((size_t)first + (size_t)count <= sent->count);
    for (int32_t i = 0; i < count; i++)
        sent->offsets[first + i] = base_offset + i;
}

static bool make_txn(struct producer *producer, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    const char *names[TOPIC_COUNT];
    for (int i = 0; i < TOPIC_COUNT; i++)
        names[i] = topic_concerns((enum topic_id)i, settings->domain) ? topics[i].name : NULL;
    if (!wire_settings_read(settings->config, producer->transactional_id, WIRE_LZ4, &producer->wire,
                            err))
        return false;
    const struct wire_txn_settings txn = {
        .wire = &producer->wire,
        .transactional_id = producer->transactional_id,
        .group = producer->group,
        .timeout_ms = settings->config->transaction_timeout_ms,
        .topics = names,
        .topics_count = TOPIC_COUNT,
        .written = event_written,
        .opaque = producer,
    };
    producer->txn = wire_txn_new(&txn, err);
    return producer->txn != NULL;
}

// Brokers may be away for a moment, and the coordinator busy with the transaction that a
// predecessor has left.
static bool init(struct producer *producer, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    const int64_t begun_ms = clock_monotonic_ms();
    producer->suspect = true; // of use only once this has succeeded
    for (int64_t pause_ms = INIT_PAUSE_MS_MIN;;) {
        watchdog_enter(settings->watchdog, "InitProducerId", settings->config->watchdog_ms);
        const bool done = wire_txn_init(producer->txn, clock_monotonic_ms() + INIT_TRY_MS, err);
        watchdog_leave(settings->watchdog);
        if (done)
            break;
        if (err->what == DISP_FATAL || clock_monotonic_ms() - begun_ms > INIT_TIMEOUT_MS)
            return error_wrap(err, "producer %s", producer->transactional_id);
        if (!wire_code_is_passing(err->code))
            pause_ms = pause_ms * 2 > INIT_PAUSE_MS_MAX ? INIT_PAUSE_MS_MAX : pause_ms * 2;
        (void)poll(NULL, 0, (int)pause_ms);
    }
    producer->suspect = false;
    return true;
}

bool producers_open(struct producer *producers, const struct producer_settings *settings,
                    size_t count, struct error *err) {
    bool opened = true;
    for (size_t i = 0; i < count; i++) {
        struct producer *producer = &producers[i];
        *producer = (struct producer){.settings = settings[i], .suspect = true};
        (void)snprintf(producer->transactional_id, sizeof(producer->transactional_id), "%s",
                       settings[i].transactional_id);
        (void)snprintf(producer->group, sizeof(producer->group), "orderlog.%s",
                       domains[settings[i].domain].name);
        arena_init(&producer->payload, PAYLOAD_BYTES_MAX);
        producer->events = calloc((size_t)settings[i].events_partitions, sizeof(*producer->events));
        assert(producer->events);
        opened = opened && make_txn(producer, err) && init(producer, err);
        if (opened && i == 0)
            FAILPOINT(takeover_first_producer);
    }
    if (opened)
        return true;
    for (size_t i = 0; i < count; i++)
        producer_close(&producers[i]);
    return false;
}

bool producer_reopen(struct producer *producer, struct error *err) {
    arena_reset(&producer->payload);
    return init(producer, err);
}

void producer_close(struct producer *producer) {
    wire_txn_free(producer->txn);
    producer->txn = NULL;
    arena_done(&producer->payload);
    for (int32_t p = 0; producer->events && p < producer->settings.events_partitions; p++)
        free(producer->events[p].offsets);
    free(producer->events);
    producer->events = NULL;
}

bool producer_begin(struct producer *producer, struct error *err) {
    if (producer->suspect && !producer_reopen(producer, err))
        return false;
    for (int32_t p = 0; p < producer->settings.events_partitions; p++)
        producer->events[p].count = 0;
    wire_txn_begin(producer->txn);
    producer->now_ms = clock_now_us() / 1000;
    producer->deadline_ms =
        clock_monotonic_ms() + producer->settings.config->transaction_timeout_ms;
    return true;
}

void *producer_memory(struct producer *producer, size_t size) {
    return arena_alloc(&producer->payload, size);
}

void producer_memory_reset(struct producer *producer) {
    arena_reset(&producer->payload);
}

size_t producer_waiting(const struct producer *producer) {
    return producer->txn ? wire_txn_waiting(producer->txn) : 0;
}

bool producer_send(struct producer *producer, enum topic_id topic, int32_t partition,
                   const struct wire_record *record, struct error *err) {
    if (!wire_txn_append(producer->txn, topic, partition, record, producer->now_ms,
                         producer->deadline_ms, err)) {
        producer->suspect = true;
        if (err->what == DISP_RETRY)
            err->what = DISP_ABORT;
        return error_wrap(err, "produce to %s[%d]", topics[topic].name, partition);
    }
    metrics_add(METRIC_RECORDS_OUT, 0, 1);
    metrics_add(METRIC_BYTES_OUT, 0, (int64_t)(record->key_len + record->value_len));
    return true;
}

bool producer_send_event(struct producer *producer, int32_t partition,
                         const struct wire_record *record, struct error *err) {
    struct events_sent *sent = &producer->events[partition];
    if (sent->count == sent->capacity) {
        sent->capacity = sent->capacity ? 2 * sent->capacity : 1024;
        sent->offsets = realloc(sent->offsets, sent->capacity * sizeof(*sent->offsets));
        assert(sent->offsets && "out of memory for offsets of events");
    }
    sent->offsets[sent->count++] = -1;
    return producer_send(producer, domains[producer->settings.domain].events, partition, record,
                         err);
}

// Once the last step was tried the outcome is open, whatever has failed. Before that step nothing
// can have been committed.
static enum commit_outcome failed(struct producer *producer, bool last_step,
                                  const struct error *err) {
    producer->suspect = true;
    if (wire_code_is_fenced(err->code))
        return COMMIT_FENCED;
    return last_step ? COMMIT_UNKNOWN : COMMIT_ABORT;
}

enum commit_outcome producer_commit(struct producer *producer,
                                    const struct wire_group_member *member,
                                    const struct wire_offset *offsets, size_t count,
                                    struct error *err) {
    assert(count > 0 && "a transaction without offsets fences nobody");
    const struct producer_settings *settings = &producer->settings;
    const int64_t timeout_ms = settings->config->transaction_timeout_ms;
    FAILPOINT(loop_before_offsets);
    watchdog_enter(settings->watchdog, "TxnOffsetCommit", settings->config->watchdog_ms);
    const bool sent = wire_txn_offsets(producer->txn, member, offsets, count,
                                       clock_monotonic_ms() + timeout_ms, err);
    watchdog_leave(settings->watchdog);
    if (!sent)
        return failed(producer, false, err);
    FAILPOINT(loop_before_commit);
    if (FAILPOINT_FAILS(fail_commit)) {
        error_set(err, DISP_ABORT, 0, "EndTxn: a failpoint");
        return failed(producer, false, err);
    }
    watchdog_enter(settings->watchdog, "EndTxn", settings->config->watchdog_ms);
    const bool ended = wire_txn_end(producer->txn, true, clock_monotonic_ms() + timeout_ms, err);
    watchdog_leave(settings->watchdog);
    if (!ended)
        return failed(producer, true, err);
    FAILPOINT(loop_committed);
    if (FAILPOINT_FAILS(fail_commit_answer)) {
        error_set(err, DISP_ABORT, 0, "EndTxn: a failpoint has lost the answer");
        return failed(producer, true, err);
    }
    return COMMIT_DONE;
}

bool producer_abort(struct producer *producer, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    watchdog_enter(settings->watchdog, "EndTxn", settings->config->watchdog_ms);
    const bool ended = wire_txn_end(producer->txn, false, clock_monotonic_ms() + INIT_TRY_MS, err);
    watchdog_leave(settings->watchdog);
    if (!ended) {
        LOG(WARN, "abort failed, the next epoch of this producer will abort it", F_ERR(err));
        if (wire_code_is_fenced(err->code))
            return error_set(err, DISP_FATAL, err->code, "producer %s is fenced",
                             producer->transactional_id);
    }
    return producer_reopen(producer, err);
}
