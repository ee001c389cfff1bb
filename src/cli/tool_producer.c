// SPDX-License-Identifier: Apache-2.0
#include "cli/tool_producer.h"

#include "stream/kafka_conf.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

enum { FLUSH_MS = 15000, POLL_MS = 100 };

struct tool_producer {
    rd_kafka_t *client; // owned
    size_t sent;
    size_t reported;
    rd_kafka_resp_err_t failed; // of the last delivery that did
};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    struct tool_producer *producer = opaque;
    producer->reported++;
    if (message->err)
        producer->failed = message->err;
}

struct tool_producer *tool_producer_open(const struct config *config, struct error *err) {
    static const struct kafka_setting settings[] = {
        {"acks", "all"},
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"},
        {"message.timeout.ms", "10000"},
        {NULL, NULL},
    };
    struct tool_producer *producer = calloc(1, sizeof(*producer));
    if (!producer) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return NULL;
    }
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.tool", err);
    if (!conf || !kafka_conf_set(conf, settings, err)) {
        if (conf)
            rd_kafka_conf_destroy(conf);
        free(producer);
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->client = kafka_client_new(RD_KAFKA_PRODUCER, conf, err);
    if (producer->client)
        return producer;
    free(producer);
    return NULL;
}

void tool_producer_close(struct tool_producer *producer) {
    if (!producer)
        return;
    kafka_client_free(producer->client);
    free(producer);
}

bool tool_producer_send(struct tool_producer *producer, enum topic_id topic, enum record_id type,
                        const void *key, size_t key_len, const void *value, size_t value_len,
                        struct error *err) {
    return tool_producer_send_to(producer, topic, RD_KAFKA_PARTITION_UA, type, key, key_len, value,
                                 value_len, err);
}

bool tool_producer_send_to(struct tool_producer *producer, enum topic_id topic, int32_t partition,
                           enum record_id type, const void *key, size_t key_len, const void *value,
                           size_t value_len, struct error *err) {
    const char *name = record_types[type]->full_name;
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_producev(producer->client, RD_KAFKA_V_TOPIC(topics[topic].name),
                                     RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, key_len),
                                     RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_len),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_HEADER("ce_type", name, strlen(name)),
                                     RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        (void)rd_kafka_poll(producer->client, POLL_MS);
    if (code)
        return error_set(err, DISP_RETRY, code, "writing to %s: %s", topics[topic].name,
                         rd_kafka_err2str(code));
    producer->sent++;
    return true;
}

bool tool_producer_flush(struct tool_producer *producer, struct error *err) {
    (void)rd_kafka_flush(producer->client, FLUSH_MS);
    if (producer->failed)
        return error_set(err, DISP_RETRY, producer->failed, "writing: %s",
                         rd_kafka_err2str(producer->failed));
    return producer->reported == producer->sent ||
           error_set(err, DISP_RETRY, 0, "writing: no broker acknowledged it in time");
}
