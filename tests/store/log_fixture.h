// SPDX-License-Identifier: Apache-2.0
//
// A topic of its own on a real Kafka, and a producer that writes events to it. Schema ids are made
// up: no registry is needed.
#ifndef ORDERLOG_TESTS_LOG_FIXTURE_H
#define ORDERLOG_TESTS_LOG_FIXTURE_H

#include <librdkafka/rdkafka.h>

#include "event/message.h"
#include "service/clock.h"
#include "service/config.h"
#include "store_fixture.h"

enum { LOG_PARTITIONS = 2, LOG_DEADLINE_MS = 30000, LOG_UNKNOWN_SCHEMA = 999999 };

static struct config log_config;
static struct schema_ids *log_ids;
static rd_kafka_t *log_producer;
static char log_topic[64];

static inline void log_config_load(const char *batch_records_max) {
    static char dsn[FIXTURE_DSN_MAX + 32], bootstrap[128], batch[64];
    snprintf(dsn, sizeof(dsn), "--postgres.conninfo=%s", fixture_dsn);
    snprintf(bootstrap, sizeof(bootstrap), "--kafka.bootstrap.servers=%s",
             getenv("ORDERLOG_KAFKA_BOOTSTRAP"));
    snprintf(batch, sizeof(batch), "--projector.batch.records.max=%s", batch_records_max);
    char *argv[] = {dsn, bootstrap, batch, NULL};
    const struct config_command command = {.usage = "test", .about = "test", .role = ROLE_PROJECT};
    struct error err;
    enum config_action action;
    int arguments;
    if (!config_load(&command, 3, argv, NULL, &log_config, &arguments, &action, &err))
        fixture_fail("configuration", &err);
}

static inline void log_ids_make(void) {
    struct error err;
    log_ids = schema_ids_new(NULL, &clock_system);
    for (int r = 0; r < RECORD_COUNT; r++)
        if (!schema_ids_add(log_ids, 0, (enum record_id)r, r + 1, &err))
            fixture_fail("schema ids", &err);
}

static inline rd_kafka_t *log_producer_new(const char *transactional_id) {
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", getenv("ORDERLOG_KAFKA_BOOTSTRAP"), reason,
                      sizeof(reason));
    if (transactional_id)
        rd_kafka_conf_set(conf, "transactional.id", transactional_id, reason, sizeof(reason));
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (!producer)
        fixture_fail(reason, &(struct error){.msg = ""});
    return producer;
}

static inline void log_admin_wait(rd_kafka_queue_t *answers, const char *what) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, LOG_DEADLINE_MS);
    if (!event || rd_kafka_event_error(event))
        fixture_fail(what, &(struct error){.msg = "no answer"});
    rd_kafka_event_destroy(event);
}

static inline void log_topic_create(void) {
    char reason[256];
    rd_kafka_queue_t *answers = rd_kafka_queue_new(log_producer);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(log_topic, LOG_PARTITIONS, 1, reason, sizeof(reason));
    rd_kafka_CreateTopics(log_producer, &topic, 1, NULL, answers);
    log_admin_wait(answers, "creating a topic");
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(answers);
}

static inline void log_topic_delete(void) {
    rd_kafka_queue_t *answers = rd_kafka_queue_new(log_producer);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(log_topic);
    rd_kafka_DeleteTopics(log_producer, &topic, 1, NULL, answers);
    log_admin_wait(answers, "deleting a topic");
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(answers);
}

// A fresh topic, and empty tables.
static inline int log_begin(void **state) {
    (void)state;
    static int number;
    snprintf(log_topic, sizeof(log_topic), "store-test-%d-%d", (int)getpid(), number++);
    log_topic_create();
    struct db *db = fixture_connect();
    fixture_exec(db, "TRUNCATE orders, order_counts, customer_counts, order_line_sets, "
                     "order_timeline_parts, order_commands, "
                     "projection_offsets, projection_skipped, projection_control");
    db_free(db);
    return 0;
}

static inline int log_end(void **state) {
    (void)state;
    log_topic_delete();
    return 0;
}

static inline int log_open(void **state) {
    if (!getenv("ORDERLOG_KAFKA_BOOTSTRAP") || fixture_create(state) != 0)
        return -1;
    log_config_load("2000");
    log_ids_make();
    log_producer = log_producer_new(NULL);
    return 0;
}

static inline int log_close(void **state) {
    rd_kafka_destroy(log_producer);
    schema_ids_free(log_ids);
    config_free(&log_config);
    return fixture_drop(state);
}

static inline void log_produce(rd_kafka_t *producer, int32_t partition, const void *value,
                               size_t length) {
    rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(log_topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_VALUE((void *)value, length),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code)
        fixture_fail(rd_kafka_err2str(code), &(struct error){.msg = "produce"});
}

static inline void log_write_record(rd_kafka_t *producer, int32_t partition, enum record_id type,
                                    const void *record) {
    uint8_t bytes[4096];
    uint8_t *end =
        message_encode(type + 1, record_types[type], record, bytes, bytes + sizeof(bytes));
    if (!end)
        fixture_fail(record_types[type]->name, &(struct error){.msg = "encode"});
    log_produce(producer, partition, bytes, (size_t)(end - bytes));
}

// Order n lives in partition n % LOG_PARTITIONS.
static inline void log_write_placed(rd_kafka_t *producer, uint64_t n) {
    struct order_placed placed = fixture_placed(n);
    log_write_record(producer, (int32_t)(n % LOG_PARTITIONS), RECORD_ORDER_PLACED, &placed);
}

static inline void log_write_cancelled(rd_kafka_t *producer, uint64_t n) {
    struct order_cancelled cancelled = fixture_cancelled(n, 2);
    log_write_record(producer, (int32_t)(n % LOG_PARTITIONS), RECORD_ORDER_CANCELLED, &cancelled);
}

static inline void log_flush(rd_kafka_t *producer) {
    if (rd_kafka_flush(producer, LOG_DEADLINE_MS))
        fixture_fail("flush", &(struct error){.msg = "not everything was written"});
}

#endif
