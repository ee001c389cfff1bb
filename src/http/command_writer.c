// SPDX-License-Identifier: Apache-2.0
//
// librdkafka keeps a message until it is acknowledged or message.timeout.ms has passed; what it
// then knows of it (never sent, sent without an answer, persisted) is exactly what the caller is
// told. The payload is ours and freed with the report: no copy is made.
//
// A fatal error of the idempotent producer (it cannot rule out a duplicate or a gap any more) ends
// the process in an orderly way: it is restarted with a new producer id.
#include "http/command_writer.h"

#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "stream/kafka_conf.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 15000, POLL_MS = 100, FATAL_LOOK_MS = 1000 };

static const enum topic_id written_topics[] = {TOPIC_ORDERS_INBOX, TOPIC_INVENTORY_INBOX};
enum { WRITTEN_TOPICS = sizeof(written_topics) / sizeof(written_topics[0]) };

struct command_writer {
    rd_kafka_t *client;
    rd_kafka_topic_t *topics[TOPIC_COUNT]; // owned; NULL for those not written
    pthread_t thread;
    bool running;
    _Atomic bool stop;
    _Atomic int64_t pending;
};

struct flight {
    struct command_writer *writer;
    writer_done_fn *done;
    void *state;
    uint8_t *bytes; // owned
    int64_t sent_us;
};

static void land(struct flight *flight, enum writer_outcome outcome) {
    struct command_writer *writer = flight->writer;
    flight->done(flight->state, outcome);
    metrics_add(METRIC_GATEWAY_COMMANDS, (int)outcome, 1);
    metrics_set(METRIC_GATEWAY_PENDING, 0, atomic_fetch_sub(&writer->pending, 1) - 1);
    free(flight->bytes);
    free(flight);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    struct flight *flight = message->_private;
    if (!message->err) {
        metrics_observe_us(METRIC_GATEWAY_PRODUCE, 0, clock_monotonic_us() - flight->sent_us);
        land(flight, WRITER_WRITTEN);
        return;
    }
    rd_kafka_msg_status_t status = rd_kafka_message_status(message);
    LOG(WARN, "a command was not acknowledged", F_STR("error", rd_kafka_message_errstr(message)),
        F_BOOL("maybe_written", status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED));
    if (status == RD_KAFKA_MSG_STATUS_PERSISTED)
        land(flight, WRITER_WRITTEN);
    else
        land(flight,
             status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? WRITER_NOT_WRITTEN : WRITER_UNKNOWN);
}

static void look_for_fatal(struct command_writer *writer) {
    char reason[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(writer->client, reason, sizeof(reason));
    if (!code || service_stopping())
        return;
    struct error err = {0};
    (void)error_set(&err, DISP_FATAL, code, "the producer cannot go on: %s", reason);
    service_fail(EXIT_INTERNAL, &err);
}

static void *run(void *arg) {
    struct command_writer *writer = arg;
    int64_t next_look_ms = 0;
    while (!atomic_load(&writer->stop) || atomic_load(&writer->pending) > 0) {
        (void)rd_kafka_poll(writer->client, POLL_MS);
        if (clock_monotonic_ms() < next_look_ms)
            continue;
        look_for_fatal(writer);
        next_look_ms = clock_monotonic_ms() + FATAL_LOOK_MS;
    }
    return NULL;
}

static rd_kafka_t *open_client(const struct config *config, struct error *err) {
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%lld", (long long)config->gateway_request_timeout_ms);
    const struct kafka_setting settings[] = {
        {"enable.idempotence", "true"},  {"acks", "all"}, {"partitioner", "murmur2_random"},
        {"message.timeout.ms", timeout}, {NULL, NULL},
    };
    // Waiting for more is for who chooses it: a caller waits for the acknowledgement.
    const struct kafka_setting linger[] = {{"linger.ms", "0"}, {NULL, NULL}};
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.gateway", err);
    if (!conf)
        return NULL;
    bool given = config_settings_find(&config->kafka, "linger.ms") ||
                 config_settings_find(&config->kafka, "queue.buffering.max.ms");
    if (!kafka_conf_set(conf, settings, err) || (!given && !kafka_conf_set(conf, linger, err))) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf, err);
}

static bool start(struct command_writer *writer, const struct config *config, struct error *err) {
    writer->client = open_client(config, err);
    if (!writer->client)
        return false;
    for (size_t i = 0; i < WRITTEN_TOPICS; i++) {
        const char *name = topics[written_topics[i]].name;
        int32_t partitions = 0;
        if (!kafka_partitions(writer->client, name, CONNECT_MS, &partitions, err))
            return false;
        writer->topics[written_topics[i]] = rd_kafka_topic_new(writer->client, name, NULL);
        if (!writer->topics[written_topics[i]])
            return error_set(err, DISP_FATAL, 0, "topic %s: %s", name,
                             rd_kafka_err2str(rd_kafka_last_error()));
    }
    if (pthread_create(&writer->thread, NULL, run, writer) != 0)
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    writer->running = true;
    return true;
}

bool command_writer_start(const struct config *config, struct command_writer **ret,
                          struct error *err) {
    struct command_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_WRITTEN, "written");
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_NOT_WRITTEN, "not_written");
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_UNKNOWN, "unknown");
    if (!start(writer, config, err)) {
        command_writer_stop(writer);
        return false;
    }
    *ret = writer;
    return true;
}

void command_writer_stop(struct command_writer *writer) {
    if (!writer)
        return;
    atomic_store(&writer->stop, true);
    if (writer->running)
        (void)pthread_join(writer->thread, NULL);
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        if (writer->topics[i])
            rd_kafka_topic_destroy(writer->topics[i]);
    }
    if (writer->client)
        rd_kafka_destroy(writer->client);
    free(writer);
}

void command_writer_send(struct command_writer *writer, struct command *command,
                         const char *traceparent, writer_done_fn *done, void *state) {
    struct flight *flight = malloc(sizeof(*flight));
    if (!flight) {
        command_done(command);
        done(state, WRITER_NOT_WRITTEN);
        return;
    }
    *flight = (struct flight){.writer = writer,
                              .done = done,
                              .state = state,
                              .bytes = command->bytes,
                              .sent_us = clock_monotonic_us()};
    command->bytes = NULL;
    metrics_set(METRIC_GATEWAY_PENDING, 0, atomic_fetch_add(&writer->pending, 1) + 1);

    const char *type = record_types[command->type]->full_name;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    (void)rd_kafka_header_add(headers, "ce_type", -1, type, -1);
    if (traceparent)
        (void)rd_kafka_header_add(headers, "traceparent", -1, traceparent, -1);
    assert(writer->topics[command->topic]);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        writer->client, RD_KAFKA_V_RKT(writer->topics[command->topic]),
        RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA), RD_KAFKA_V_KEY(command->key, command->key_len),
        RD_KAFKA_V_VALUE(flight->bytes, command->length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(flight), RD_KAFKA_V_END);
    if (!code)
        return;
    rd_kafka_headers_destroy(headers);
    LOG(WARN, "a command could not be queued", F_STR("error", rd_kafka_err2str(code)));
    land(flight, WRITER_NOT_WRITTEN);
}
