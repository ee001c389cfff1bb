// SPDX-License-Identifier: Apache-2.0
//
// One thread per table. Reaching an end is a comparison of two things: where each partition stands
// (the offset after the last record, or of librdkafka's end-of-partition event, which passes the
// transaction markers), and the ends that were asked for before. A partition that is silent because
// its leader is unreachable does not count as read: the age grows.
#include "stream/table_reader.h"

#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/kafka_conf.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 10000, ASK_PERIOD_MS = 1000, ASK_TIMEOUT_MS = 1000, POLL_MS = 50 };

struct table_reader {
    enum topic_id topic;
    table_apply_fn *apply;
    void *state; // borrowed
    rd_kafka_t *client;
    int32_t partitions;
    int64_t *reached; // owned, per partition
    int64_t *ends;    // owned, per partition, as asked for at asked_ms
    int64_t asked_ms;
    bool waiting_for_ends;     // not all of `ends` have been reached
    rd_kafka_queue_t *answers; // owned: to the question for ends
    bool asking;               // it has not been answered
    int64_t asked_next_ms;     // when it was asked
    pthread_t thread;
    bool running;
    _Atomic bool stop;
    _Atomic int64_t complete_ms; // 0: never
};

static rd_kafka_t *open_client(const struct config *config, struct error *err) {
    static const struct kafka_setting settings[] = {
        {"group.id", "orderlog.table"}, // never joined, never committed
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"auto.offset.reset", "earliest"},
        {"fetch.queue.backoff.ms", "5"},
        // The end of a silent partition is told by the answer to a fetch: it should not be long.
        {"fetch.wait.max.ms", "100"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.table", err);
    if (!conf)
        return NULL;
    if (!kafka_conf_set(conf, settings, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
}

static bool assign_all(struct table_reader *reader, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->partitions);
    for (int32_t p = 0; p < reader->partitions; p++)
        rd_kafka_topic_partition_list_add(list, topics[reader->topic].name, p)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return !code || error_set(err, DISP_RETRY, code, "reading %s: %s", topics[reader->topic].name,
                              rd_kafka_err2str(code));
}

// Asks for the ends of all partitions, and does not wait: on the connection the question stands
// behind a fetch that waits for records, and records that come meanwhile are to be applied.
static void ask_ends(struct table_reader *reader) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->partitions);
    for (int32_t p = 0; p < reader->partitions; p++)
        rd_kafka_topic_partition_list_add(list, topics[reader->topic].name, p)->offset =
            RD_KAFKA_OFFSET_SPEC_LATEST;
    char text[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(reader->client, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, text, sizeof(text));
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_isolation_level(
        options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED));
    reader->asking = true;
    reader->asked_next_ms = clock_monotonic_ms();
    rd_kafka_ListOffsets(reader->client, list, options, reader->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
}

// Without an answer for every partition there is none: the next round comes soon, and the age
// tells.
static bool take_ends(struct table_reader *reader, rd_kafka_event_t *event) {
    size_t count = 0;
    if (rd_kafka_event_error(event))
        return false;
    const rd_kafka_ListOffsetsResultInfo_t **results =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_ListOffsetsResultInfo_topic_partition(results[i]);
        if (at->err || at->offset < 0 || at->partition < 0 || at->partition >= reader->partitions)
            return false;
        reader->ends[at->partition] = at->offset;
    }
    return count == (size_t)reader->partitions;
}

static void hear_ends(struct table_reader *reader) {
    rd_kafka_event_t *event = reader->asking ? rd_kafka_queue_poll(reader->answers, 0) : NULL;
    if (!event)
        return;
    reader->asking = false;
    reader->asked_ms = reader->asked_next_ms;
    reader->waiting_for_ends = take_ends(reader, event);
    rd_kafka_event_destroy(event);
}

static void check_ends(struct table_reader *reader) {
    if (!reader->waiting_for_ends)
        return;
    for (int32_t p = 0; p < reader->partitions; p++) {
        if (reader->reached[p] < reader->ends[p])
            return;
    }
    reader->waiting_for_ends = false;
    if (atomic_load(&reader->complete_ms) == 0)
        LOG(INFO, "table read", F_STR("topic", topics[reader->topic].name));
    atomic_store(&reader->complete_ms, reader->asked_ms);
}

static void take(struct table_reader *reader, const rd_kafka_message_t *message) {
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reader->reached[message->partition] = message->offset;
        return;
    }
    if (message->err) {
        LOG(WARN, "reading a table failed, trying again",
            F_STR("topic", topics[reader->topic].name),
            F_STR("error", rd_kafka_message_errstr(message)));
        return;
    }
    reader->apply(reader->state, message->key, message->key_len, message->payload, message->len);
    reader->reached[message->partition] = message->offset + 1;
}

static void *run(void *arg) {
    struct table_reader *reader = arg;
    int64_t next_ask_ms = 0;
    while (!atomic_load(&reader->stop)) {
        if (clock_monotonic_ms() >= next_ask_ms && !reader->asking) {
            ask_ends(reader);
            next_ask_ms = clock_monotonic_ms() + ASK_PERIOD_MS;
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->client, POLL_MS);
        if (message) {
            take(reader, message);
            rd_kafka_message_destroy(message);
        }
        hear_ends(reader);
        check_ends(reader);
    }
    return NULL;
}

static bool start(struct table_reader *reader, const struct config *config, struct error *err) {
    reader->client = open_client(config, err);
    if (!reader->client || !kafka_partitions(reader->client, topics[reader->topic].name, CONNECT_MS,
                                             &reader->partitions, err))
        return false;
    (void)rd_kafka_poll_set_consumer(reader->client);
    reader->answers = rd_kafka_queue_new(reader->client);
    reader->reached = calloc((size_t)reader->partitions, sizeof(*reader->reached));
    reader->ends = calloc((size_t)reader->partitions, sizeof(*reader->ends));
    if (!reader->reached || !reader->ends)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    if (!assign_all(reader, err))
        return false;
    if (pthread_create(&reader->thread, NULL, run, reader) != 0)
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    reader->running = true;
    return true;
}

bool table_reader_start(const struct config *config, enum topic_id topic, table_apply_fn *apply,
                        void *state, struct table_reader **ret, struct error *err) {
    struct table_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory");
    reader->topic = topic;
    reader->apply = apply;
    reader->state = state;
    if (!start(reader, config, err)) {
        table_reader_stop(reader);
        return false;
    }
    *ret = reader;
    return true;
}

void table_reader_stop(struct table_reader *reader) {
    if (!reader)
        return;
    atomic_store(&reader->stop, true);
    if (reader->running)
        (void)pthread_join(reader->thread, NULL);
    if (reader->answers)
        rd_kafka_queue_destroy(reader->answers);
    if (reader->client)
        kafka_client_free(reader->client);
    free(reader->reached);
    free(reader->ends);
    free(reader);
}

int64_t table_reader_age_ms(const struct table_reader *reader) {
    int64_t complete_ms = atomic_load_explicit(&reader->complete_ms, memory_order_relaxed);
    return complete_ms == 0 ? INT64_MAX : clock_monotonic_ms() - complete_ms;
}

bool table_reader_wait(const struct table_reader *reader, int timeout_ms) {
    enum { LOOK_MS = 10 };
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    while (table_reader_age_ms(reader) == INT64_MAX && clock_monotonic_ms() < deadline_ms) {
        if (service_wait_stop(LOOK_MS))
            break;
    }
    return table_reader_age_ms(reader) != INT64_MAX;
}
