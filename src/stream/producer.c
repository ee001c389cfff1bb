// SPDX-License-Identifier: Apache-2.0
//
// Payloads are handed to librdkafka without a copy; they live in an arena that is reset only after
// the transaction has ended, when nothing refers to them any more.
#include "stream/producer.h"

#include "service/clock.h"
#include "service/failpoint.h"
#include "service/log.h"
#include "service/metrics.h"
#include "stream/kafka_conf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAYLOAD_BYTES_MAX = 256 << 20,
    INIT_TIMEOUT_MS = 30000,
    INIT_STEP_MS_MIN = 10,
    INIT_STEP_MS_MAX = 500,
    SEND_NOW_MS = 1,
    CALL_RETRIES_MAX = 5,
    QUEUE_FULL_WAIT_MS = 10000,
};

// Without a callback flush() sleeps in slices of 10 ms; with one it is woken.
static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    struct producer *producer = opaque;
    size_t number = (size_t)(uintptr_t)message->_private;
    if (message->err || !number) // the commit will fail and say so; no event
        return;
    producer->events[message->partition].offsets[number - 1] = message->offset;
}

// A connection broke or a request timed out: a straggling request of this epoch may still arrive at
// the coordinator, so the transaction in hand is the last one of this client.
static void error_raised(rd_kafka_t *client, int code, const char *reason, void *opaque) {
    struct producer *producer = opaque;
    producer->suspect = true;
    LOG(WARN, "producer lost a broker, it is made anew after this transaction",
        F_STR("client", rd_kafka_name(client)),
        F_STR("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)), F_STR("detail", reason));
}

static bool open_client(struct producer *producer, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    rd_kafka_conf_t *conf = kafka_conf_new(settings->config, producer->transactional_id, err);
    if (!conf)
        return false;
    char timeout[32];
    (void)snprintf(timeout, sizeof(timeout), "%lld",
                   (long long)settings->config->transaction_timeout_ms);
    const struct kafka_setting own[] = {
        {"transactional.id", producer->transactional_id},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"},
        {"transaction.timeout.ms", timeout},
        // Must not pass transaction.timeout.ms: librdkafka refuses that.
        {"message.timeout.ms", timeout},
        {"message.max.bytes", "4194304"},
        {NULL, NULL}};
    // What is handled while a transaction gathers goes out together: every request costs the broker
    // as much as dozens of records. producer_commit() sends what is still held.
    const struct kafka_setting tuning[] = {
        {"linger.ms", "25"}, {"queue.buffering.max.messages", "1000000"}, {NULL, NULL}};
    if (!kafka_conf_set(conf, own, err) ||
        !kafka_conf_suggest(conf, settings->config, tuning, err)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_error_cb(conf, error_raised);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->client = kafka_client_new(RD_KAFKA_PRODUCER, conf, err);
    if (!producer->client)
        return false;
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        producer->topics[i] = rd_kafka_topic_new(producer->client, topics[i].name, NULL);

    return true;
}

enum init_result { INIT_DONE, INIT_PENDING, INIT_FAILED };

static enum init_result init_step(struct producer *producer, int wait_ms, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    watchdog_enter(settings->watchdog, "init_transactions", settings->config->watchdog_ms);
    rd_kafka_error_t *failed = rd_kafka_init_transactions(producer->client, wait_ms);
    watchdog_leave(settings->watchdog);
    producer->suspect = failed != NULL; // of use only once this has succeeded
    if (!failed)
        return INIT_DONE;
    enum init_result result = rd_kafka_error_is_retriable(failed) ? INIT_PENDING : INIT_FAILED;
    error_set(err, rd_kafka_error_is_fatal(failed) ? DISP_FATAL : DISP_RETRY,
              rd_kafka_error_code(failed), "init_transactions of %s: %s",
              producer->transactional_id, rd_kafka_error_string(failed));
    rd_kafka_error_destroy(failed);
    return result;
}

// init_transactions goes on by itself when its call times out, and each call makes the client ask
// again at once. By itself it rests for half a second whenever it finds no connection yet, or the
// coordinator still busy with the transaction of a predecessor: so it is called often at first, and
// all producers get on meanwhile.
static bool init_all(struct producer *producers, size_t count, struct error *err) {
    int64_t begun_ms = clock_monotonic_ms();
    size_t pending = count;
    for (size_t i = 0; pending > 0; i = (i + 1) % count) {
        if (!producers[i].suspect)
            continue;
        int64_t passed_ms = clock_monotonic_ms() - begun_ms;
        int64_t wait_ms = passed_ms / 8;
        if (wait_ms < INIT_STEP_MS_MIN)
            wait_ms = INIT_STEP_MS_MIN;
        if (wait_ms > INIT_STEP_MS_MAX)
            wait_ms = INIT_STEP_MS_MAX;
        enum init_result result = init_step(&producers[i], (int)wait_ms, err);
        if (result == INIT_FAILED || (result == INIT_PENDING && passed_ms > INIT_TIMEOUT_MS))
            return false;
        if (result == INIT_DONE && --pending > 0)
            FAILPOINT(takeover_first_producer);
    }
    return true;
}

static void close_client(struct producer *producer) {
    if (!producer->client)
        return;
    // Nothing in flight may outlive the arena its payload is in.
    (void)rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer->client, 1000);
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        if (producer->topics[i]) {
            rd_kafka_topic_destroy(producer->topics[i]);
            producer->topics[i] = NULL;
        }
    kafka_client_free(producer->client);
    producer->client = NULL;
}

bool producers_open(struct producer *producers, const struct producer_settings *settings,
                    size_t count, struct error *err) {
    bool opened = true;
    for (size_t i = 0; i < count; i++) {
        struct producer *producer = &producers[i];
        *producer = (struct producer){.settings = settings[i], .suspect = true};
        (void)snprintf(producer->transactional_id, sizeof(producer->transactional_id), "%s",
                       settings[i].transactional_id);
        arena_init(&producer->payload, PAYLOAD_BYTES_MAX);
        producer->events = calloc((size_t)settings[i].events_partitions, sizeof(*producer->events));
        assert(producer->events);
        opened = opened && open_client(producer, err);
    }
    if (opened && init_all(producers, count, err))
        return true;
    for (size_t i = 0; i < count; i++)
        producer_close(&producers[i]);
    return false;
}

bool producer_reopen(struct producer *producer, struct error *err) {
    watchdog_enter(producer->settings.watchdog, "reopening the producer",
                   producer->settings.config->watchdog_ms);
    producer->suspect = true; // until it is open
    close_client(producer);
    arena_reset(&producer->payload);
    bool opened = open_client(producer, err);
    watchdog_leave(producer->settings.watchdog);
    return opened && init_all(producer, 1, err);
}

void producer_close(struct producer *producer) {
    close_client(producer);
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
    rd_kafka_error_t *failed = rd_kafka_begin_transaction(producer->client);
    if (!failed)
        return true;
    error_set(err, rd_kafka_error_is_fatal(failed) ? DISP_FATAL : DISP_ABORT,
              rd_kafka_error_code(failed), "begin_transaction: %s", rd_kafka_error_string(failed));
    rd_kafka_error_destroy(failed);
    return false;
}

void *producer_memory(struct producer *producer, size_t size) {
    return arena_alloc(&producer->payload, size);
}

// number: of an event among those to its partition, from 1 on; 0: no event.
static bool send_record(struct producer *producer, enum topic_id topic, int32_t partition,
                        const void *key, size_t key_len, void *payload, size_t len,
                        rd_kafka_headers_t *headers, int flags, size_t number, struct error *err) {
    void *opaque = (void *)(uintptr_t)number; // comes back with the delivery
    int64_t deadline_ms = 0; // asked for only when it is needed: this runs for every record
    for (;;) {
        rd_kafka_resp_err_t code =
            headers
                ? rd_kafka_producev(producer->client, RD_KAFKA_V_RKT(producer->topics[topic]),
                                    RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(flags),
                                    RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE(payload, len),
                                    RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque),
                                    RD_KAFKA_V_END)
                : rd_kafka_producev(producer->client, RD_KAFKA_V_RKT(producer->topics[topic]),
                                    RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(flags),
                                    RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE(payload, len),
                                    RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
        if (!code) {
            metrics_add(METRIC_RECORDS_OUT, 0, 1);
            metrics_add(METRIC_BYTES_OUT, 0, (int64_t)(key_len + len));
            return true;
        }
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            int64_t now_ms = clock_monotonic_ms();
            if (!deadline_ms)
                deadline_ms = now_ms + QUEUE_FULL_WAIT_MS;
            if (now_ms < deadline_ms) {
                rd_kafka_poll(producer->client, 10);
                continue;
            }
        }
        if (headers)
            rd_kafka_headers_destroy(headers);
        return error_set(err, DISP_ABORT, code, "produce to %s[%d]: %s", topics[topic].name,
                         partition, rd_kafka_err2str(code));
    }
}

bool producer_send(struct producer *producer, enum topic_id topic, int32_t partition,
                   const void *key, size_t key_len, void *payload, size_t len,
                   rd_kafka_headers_t *headers, struct error *err) {
    return send_record(producer, topic, partition, key, key_len, payload, len, headers, 0, 0, err);
}

bool producer_send_event(struct producer *producer, int32_t partition, const void *key,
                         size_t key_len, void *payload, size_t len, rd_kafka_headers_t *headers,
                         struct error *err) {
    struct events_sent *sent = &producer->events[partition];
    if (sent->count == sent->capacity) {
        sent->capacity = sent->capacity ? 2 * sent->capacity : 1024;
        sent->offsets = realloc(sent->offsets, sent->capacity * sizeof(*sent->offsets));
        assert(sent->offsets && "out of memory for offsets of events");
    }
    sent->offsets[sent->count++] = -1;
    return send_record(producer, producer->settings.events, partition, key, key_len, payload, len,
                       headers, 0, sent->count, err);
}

bool producer_send_copy(struct producer *producer, enum topic_id topic, int32_t partition,
                        const void *key, size_t key_len, const void *payload, size_t len,
                        rd_kafka_headers_t *headers, struct error *err) {
    return send_record(producer, topic, partition, key, key_len, (void *)(uintptr_t)payload, len,
                       headers, RD_KAFKA_MSG_F_COPY, 0, err);
}

static bool code_is_fenced(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

// What the failure of one transaction call means. Once the last step was tried the outcome is open,
// even where the client says "abort": when the coordinator's answer is lost and the request sent
// again, the second answer is an error although the first request had committed. Before that step
// nothing can have been committed.
static enum commit_outcome outcome_of(const rd_kafka_error_t *failed, bool last_step) {
    if (code_is_fenced(rd_kafka_error_code(failed)))
        return COMMIT_FENCED;
    return last_step ? COMMIT_UNKNOWN : COMMIT_ABORT;
}

enum commit_outcome producer_commit(struct producer *producer,
                                    const rd_kafka_topic_partition_list_t *offsets,
                                    const rd_kafka_consumer_group_metadata_t *group,
                                    struct error *err) {
    assert(offsets->cnt > 0 && "a transaction without offsets fences nobody");
    const struct producer_settings *settings = &producer->settings;
    int timeout_ms = (int)settings->config->transaction_timeout_ms;
    // Lets go of what lingers, so that it travels while the offsets do; what is not delivered by
    // then is waited for by the commit.
    (void)rd_kafka_flush(producer->client, SEND_NOW_MS);
    for (int step = 0; step < 2; step++) {
        const char *name = step ? "commit_transaction" : "send_offsets_to_transaction";
        if (step == 0) {
            FAILPOINT(loop_before_offsets);
        } else {
            FAILPOINT(loop_before_commit);
            if (FAILPOINT_FAILS(fail_commit)) {
                error_set(err, DISP_ABORT, 0, "%s: a failpoint", name);
                return COMMIT_ABORT;
            }
        }
        for (int try = 1;; try++) {
            watchdog_enter(settings->watchdog, name, settings->config->watchdog_ms);
            rd_kafka_error_t *failed =
                step ? rd_kafka_commit_transaction(producer->client, timeout_ms)
                     : rd_kafka_send_offsets_to_transaction(producer->client, offsets, group,
                                                            timeout_ms);
            watchdog_leave(settings->watchdog);
            if (!failed)
                break;
            error_set(err, DISP_ABORT, rd_kafka_error_code(failed), "%s: %s", name,
                      rd_kafka_error_string(failed));
            bool again = rd_kafka_error_is_retriable(failed) && try < CALL_RETRIES_MAX;
            producer->suspect = true;
            enum commit_outcome outcome = outcome_of(failed, step == 1);
            rd_kafka_error_destroy(failed);
            if (!again)
                return outcome;
        }
    }
    FAILPOINT(loop_committed);
    if (FAILPOINT_FAILS(fail_commit_answer)) {
        error_set(err, DISP_ABORT, 0, "commit_transaction: a failpoint has lost the answer");
        return COMMIT_UNKNOWN;
    }
    arena_reset(&producer->payload);
    return COMMIT_DONE;
}

bool producer_abort(struct producer *producer, struct error *err) {
    const struct producer_settings *settings = &producer->settings;
    watchdog_enter(settings->watchdog, "abort_transaction", settings->config->watchdog_ms);
    rd_kafka_error_t *failed =
        rd_kafka_abort_transaction(producer->client, (int)settings->config->transaction_timeout_ms);
    watchdog_leave(settings->watchdog);
    if (failed) {
        rd_kafka_resp_err_t code = rd_kafka_error_code(failed);
        LOG(WARN, "abort failed, the next epoch of this producer will abort it",
            F_STR("detail", rd_kafka_error_string(failed)));
        rd_kafka_error_destroy(failed);
        if (code_is_fenced(code))
            return error_set(err, DISP_FATAL, code, "producer %s is fenced",
                             producer->transactional_id);
    }
    return producer_reopen(producer, err);
}
