// SPDX-License-Identifier: Apache-2.0
//
// A consumer with explicit assignment. Records come in batches from librdkafka's queue and are
// handed out one by one. The end of a partition is librdkafka's own end-of-partition event, which
// with read_committed stands at the last stable offset, trailing transaction markers included.
#include "stream/log_reader.h"

#include "stream/kafka_conf.h"

#include <assert.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

// librdkafka waits for a full batch as long as it may: that must be short, or every end costs it.
enum { BATCH_RECORDS = 1000, CONNECT_MS = 15000, SILENCE_MS_MAX = 60000, POLL_MS = 10 };

struct log_reader {
    enum topic_id topic;
    rd_kafka_t *client;      // owned
    rd_kafka_queue_t *queue; // owned
    int32_t partition;       // or LOG_READER_ALL
    int32_t partitions;
    int64_t *from;      // owned, per partition
    int64_t *until;     // owned, per partition
    bool *done;         // owned, per partition
    int32_t open_count; // partitions not done
    bool assigned;
    bool end_told;
    int silence_ms;
    rd_kafka_message_t *batch[BATCH_RECORDS]; // owned from batch_at on
    ssize_t batch_count;
    ssize_t batch_at;
    rd_kafka_message_t *current; // owned: what the caller looks at
};

static rd_kafka_t *open_client(const struct config *config, struct error *err) {
    static const struct kafka_setting settings[] = {
        {"group.id", "orderlog.tools"}, // never joined, never committed
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"auto.offset.reset", "earliest"},
        {"fetch.queue.backoff.ms", "5"},
        {"fetch.wait.max.ms", "20"}, // a partition's end is told by a fetch that finds nothing
        {"queued.min.messages", "50000"},
        {"queued.max.messages.kbytes", "65536"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.reader", err);
    if (!conf)
        return NULL;
    if (!kafka_conf_set(conf, settings, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
}

struct log_reader *log_reader_open(const struct config *config, enum topic_id topic,
                                   int32_t partition, struct error *err) {
    struct log_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        return NULL;
    }
    reader->topic = topic;
    reader->partition = partition;
    reader->client = open_client(config, err);
    if (!reader->client || !kafka_partitions(reader->client, topics[topic].name, CONNECT_MS,
                                             &reader->partitions, err)) {
        log_reader_close(reader);
        return NULL;
    }
    assert(partition == LOG_READER_ALL || partition < reader->partitions);
    (void)rd_kafka_poll_set_consumer(reader->client);
    reader->queue = rd_kafka_queue_get_consumer(reader->client);
    const size_t count = (size_t)reader->partitions;
    reader->from = calloc(count, sizeof(*reader->from));
    reader->until = calloc(count, sizeof(*reader->until));
    reader->done = calloc(count, sizeof(*reader->done));
    if (!reader->from || !reader->until || !reader->done) {
        (void)error_set(err, DISP_FATAL, ENOMEM, "out of memory");
        log_reader_close(reader);
        return NULL;
    }
    log_reader_bound(reader, NULL, NULL);
    return reader;
}

struct log_reader *log_reader_open_key(const struct config *config, enum topic_id topic,
                                       const void *key, size_t key_len, struct error *err) {
    struct log_reader *reader = log_reader_open(config, topic, LOG_READER_ALL, err);
    if (reader)
        reader->partition = topic_partition_of(key, key_len, reader->partitions);
    return reader;
}

void log_reader_close(struct log_reader *reader) {
    if (!reader)
        return;
    if (reader->current)
        rd_kafka_message_destroy(reader->current);
    for (; reader->batch_at < reader->batch_count; reader->batch_at++)
        rd_kafka_message_destroy(reader->batch[reader->batch_at]);
    if (reader->queue)
        rd_kafka_queue_destroy(reader->queue);
    if (reader->client)
        kafka_client_free(reader->client);
    free(reader->from);
    free(reader->until);
    free(reader->done);
    free(reader);
}

int32_t log_reader_partitions(const struct log_reader *reader) {
    return reader->partitions;
}

void log_reader_bound(struct log_reader *reader, const int64_t *from, const int64_t *until) {
    assert(!reader->assigned);
    for (int32_t p = 0; p < reader->partitions; p++) {
        reader->from[p] = from ? from[p] : 0;
        reader->until[p] = until ? until[p] : INT64_MAX;
    }
}

static bool assign(struct log_reader *reader, struct error *err) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->partitions);
    for (int32_t p = 0; p < reader->partitions; p++) {
        reader->done[p] = (reader->partition != LOG_READER_ALL && reader->partition != p) ||
                          reader->from[p] >= reader->until[p];
        if (reader->done[p])
            continue;
        rd_kafka_topic_partition_list_add(list, topics[reader->topic].name, p)->offset =
            reader->from[p];
        reader->open_count++;
    }
    const rd_kafka_resp_err_t code = rd_kafka_assign(reader->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return error_set(err, DISP_RETRY, code, "reading %s: %s", topics[reader->topic].name,
                         rd_kafka_err2str(code));
    reader->assigned = true;
    return true;
}

static void set_done(struct log_reader *reader, int32_t partition) {
    if (reader->done[partition])
        return;
    reader->done[partition] = true;
    reader->open_count--;
}

// True when the message is a record to hand out.
static bool is_wanted(struct log_reader *reader, const rd_kafka_message_t *message,
                      struct error *reterr) {
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        set_done(reader, message->partition);
        return false;
    }
    if (message->err) {
        (void)error_set(reterr, DISP_RETRY, message->err, "reading %s: %s",
                        topics[reader->topic].name, rd_kafka_message_errstr(message));
        return false;
    }
    if (message->offset >= reader->until[message->partition]) {
        set_done(reader, message->partition);
        return false;
    }
    return true;
}

static void fill(struct log_record *record, const rd_kafka_message_t *message) {
    *record = (struct log_record){
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
        .key = message->key,
        .key_len = message->key_len,
        .value = message->payload,
        .value_len = message->len,
    };
}

enum log_reader_result log_reader_next(struct log_reader *reader, int timeout_ms,
                                       struct log_record *ret, struct error *err) {
    if (!reader->assigned && !assign(reader, err))
        return LOG_READER_FAILED;
    if (reader->current)
        rd_kafka_message_destroy(reader->current);
    reader->current = NULL;
    reader->silence_ms = 0;

    for (;;) {
        struct error failed = {0};
        while (reader->batch_at < reader->batch_count) {
            rd_kafka_message_t *message = reader->batch[reader->batch_at++];
            if (is_wanted(reader, message, &failed)) {
                reader->current = message;
                fill(ret, message);
                return LOG_READER_RECORD;
            }
            rd_kafka_message_destroy(message);
            if (failed.what != DISP_NONE) {
                *err = failed;
                return LOG_READER_FAILED;
            }
        }
        if (reader->open_count == 0 && !reader->end_told) {
            reader->end_told = true;
            return LOG_READER_END;
        }

        reader->batch_at = 0;
        reader->batch_count =
            rd_kafka_consume_batch_queue(reader->queue, POLL_MS, reader->batch, BATCH_RECORDS);
        if (reader->batch_count > 0) {
            reader->silence_ms = 0;
            continue;
        }
        reader->batch_count = 0;
        reader->silence_ms += POLL_MS;
        if (reader->end_told && reader->silence_ms >= timeout_ms)
            return LOG_READER_IDLE;
        if (!reader->end_told && reader->silence_ms >= SILENCE_MS_MAX) {
            (void)error_set(err, DISP_RETRY, 0,
                            "reading %s: nothing came from the brokers for %d s",
                            topics[reader->topic].name, SILENCE_MS_MAX / 1000);
            return LOG_READER_FAILED;
        }
    }
}
