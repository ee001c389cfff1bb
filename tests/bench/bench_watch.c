// SPDX-License-Identifier: Apache-2.0
//
// Two threads. The consumer finds each event's order by the record's key and queues what is marked;
// the poller takes from the queues what the stored offsets have passed.
#include "bench_watch.h"
#include "service/clock.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 1024, ASK_PAUSE_US = 2000, POLL_MS = 100, BROKER_MS = 10000 };

static const char topic_name[] = "orders.events";

struct event {
    int64_t offset;
    uint32_t order;
    enum bench_mark mark;
};

// What is in the log and not yet known to be in PostgreSQL, by offset.
struct queue {
    struct event *events; // owned, room for all
    size_t first;
    size_t count;
};

struct bench_watch {
    const struct id *ids;
    struct bench_seen *seen;
    size_t count;
    uint32_t *slots; // owned: order + 1 by hash of its id; 0: free
    size_t slots_mask;

    rd_kafka_t *consumer;
    PGconn *db;
    int partitions_count;
    struct queue queues[PARTITIONS_MAX];
    pthread_mutex_t lock; // of the queues
    pthread_t consuming;
    pthread_t polling;
    _Atomic bool stop;
    _Atomic size_t completed; // visible in PostgreSQL as such
};

static size_t hash_of(const struct id *id) {
    size_t hash;
    memcpy(&hash, id->bytes, sizeof(hash));
    return hash;
}

static void index_orders(struct bench_watch *watch) {
    size_t size = 16;
    while (size < watch->count * 2)
        size *= 2;
    watch->slots_mask = size - 1;
    watch->slots = calloc(size, sizeof(*watch->slots));
    if (!watch->slots)
        bench_die("out of memory");
    for (uint32_t i = 0; i < watch->count; i++) {
        size_t at = hash_of(&watch->ids[i]) & watch->slots_mask;
        while (watch->slots[at])
            at = (at + 1) & watch->slots_mask;
        watch->slots[at] = i + 1;
    }
}

static bool find_order(const struct bench_watch *watch, const struct id *id, uint32_t *ret) {
    for (size_t at = hash_of(id) & watch->slots_mask; watch->slots[at];
         at = (at + 1) & watch->slots_mask)
        if (id_equal(&watch->ids[watch->slots[at] - 1], id)) {
            *ret = watch->slots[at] - 1;
            return true;
        }
    return false;
}

static bool mark_of(const rd_kafka_message_t *message, enum bench_mark *ret) {
    static const char *const types[MARK_COUNT] = {
        [MARK_PLACED] = "orderlog.OrderPlaced",
        [MARK_CONFIRMED] = "orderlog.OrderConfirmed",
        [MARK_BOOKED] = "orderlog.OrderShipmentBooked",
        [MARK_COMPLETED] = "orderlog.OrderCompleted",
    };
    rd_kafka_headers_t *headers = NULL;
    const void *type = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message, &headers) ||
        rd_kafka_header_get_last(headers, "ce_type", &type, &len))
        return false;
    for (int mark = 0; mark < MARK_COUNT; mark++)
        if (len == strlen(types[mark]) && memcmp(type, types[mark], len) == 0) {
            *ret = (enum bench_mark)mark;
            return true;
        }
    return false;
}

static void take_event(struct bench_watch *watch, const rd_kafka_message_t *message) {
    const int64_t now_us = clock_monotonic_us();
    struct id id;
    uint32_t order;
    enum bench_mark mark;
    if (!id_parse(message->key, message->key_len, &id) || !find_order(watch, &id, &order) ||
        !mark_of(message, &mark))
        return;
    watch->seen[order].in_log_us[mark] = now_us;
    struct queue *queue = &watch->queues[message->partition];
    (void)pthread_mutex_lock(&watch->lock);
    if (queue->count < watch->count * MARK_COUNT)
        queue->events[queue->count++] =
            (struct event){.offset = message->offset, .order = order, .mark = mark};
    (void)pthread_mutex_unlock(&watch->lock);
}

static void *consume(void *opaque) {
    struct bench_watch *watch = opaque;
    while (!watch->stop) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(watch->consumer, POLL_MS);
        if (!message)
            continue;
        if (!message->err)
            take_event(watch, message);
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void take_offset(struct bench_watch *watch, int partition, int64_t next_offset,
                        int64_t now_us) {
    if (partition < 0 || partition >= watch->partitions_count)
        return;
    struct queue *queue = &watch->queues[partition];
    (void)pthread_mutex_lock(&watch->lock);
    for (; queue->first < queue->count && queue->events[queue->first].offset < next_offset;
         queue->first++) {
        const struct event *event = &queue->events[queue->first];
        watch->seen[event->order].in_rows_us[event->mark] = now_us;
        if (event->mark == MARK_COMPLETED)
            (void)atomic_fetch_add(&watch->completed, 1);
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

static void *poll_rows(void *opaque) {
    struct bench_watch *watch = opaque;
    while (!watch->stop) {
        PGresult *result = PQexecPrepared(watch->db, "offsets", 0, NULL, NULL, NULL, 0);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            bench_die("PostgreSQL: %s", PQerrorMessage(watch->db));
        const int64_t now_us = clock_monotonic_us();
        for (int row = 0; row < PQntuples(result); row++)
            take_offset(watch, atoi(PQgetvalue(result, row, 0)), atoll(PQgetvalue(result, row, 1)),
                        now_us);
        PQclear(result);
        bench_wait_until(now_us + ASK_PAUSE_US);
    }
    return NULL;
}

static rd_kafka_t *consumer_new(const struct bench_options *options) {
    const char *const settings[][2] = {{"bootstrap.servers", options->bootstrap},
                                       {"group.id", "bench.watch"},
                                       {"client.id", "bench-watch"},
                                       {"isolation.level", "read_committed"},
                                       {"enable.auto.commit", "false"},
                                       {"fetch.queue.backoff.ms", "5"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[256];
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)))
            bench_die("Kafka: %s", reason);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (!consumer)
        bench_die("Kafka: %s", reason);
    rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static int count_partitions(rd_kafka_t *consumer) {
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, topic_name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(consumer, 0, topic, &metadata, BROKER_MS) || metadata->topic_cnt != 1)
        bench_die("Kafka: no metadata of %s", topic_name);
    const int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    if (count < 1 || count > PARTITIONS_MAX)
        bench_die("Kafka: %s has %d partitions", topic_name, count);
    return count;
}

static void assign_ends(struct bench_watch *watch) {
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(watch->partitions_count);
    for (int p = 0; p < watch->partitions_count; p++) {
        int64_t low, high;
        if (rd_kafka_query_watermark_offsets(watch->consumer, topic_name, p, &low, &high,
                                             BROKER_MS))
            bench_die("Kafka: no end offset of %s", topic_name);
        rd_kafka_topic_partition_list_add(list, topic_name, p)->offset = high;
    }
    if (rd_kafka_assign(watch->consumer, list))
        bench_die("Kafka: cannot read %s", topic_name);
    rd_kafka_topic_partition_list_destroy(list);
}

struct bench_watch *bench_watch_start(const struct bench_options *options, const struct id *ids,
                                      struct bench_seen *seen, size_t count) {
    struct bench_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        bench_die("out of memory");
    watch->ids = ids;
    watch->seen = seen;
    watch->count = count;
    (void)pthread_mutex_init(&watch->lock, NULL);
    index_orders(watch);

    watch->db = bench_connect(options);
    PGresult *prepared = PQprepare(watch->db, "offsets",
                                   "SELECT partition, next_offset FROM projection_offsets WHERE "
                                   "projection = 'orders' AND topic = 'orders.events'",
                                   0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
        bench_die("PostgreSQL: %s", PQerrorMessage(watch->db));
    PQclear(prepared);

    watch->consumer = consumer_new(options);
    watch->partitions_count = count_partitions(watch->consumer);
    for (int p = 0; p < watch->partitions_count; p++) {
        watch->queues[p].events = malloc(count * MARK_COUNT * sizeof(struct event));
        if (!watch->queues[p].events)
            bench_die("out of memory");
    }
    assign_ends(watch);
    if (pthread_create(&watch->consuming, NULL, consume, watch) != 0 ||
        pthread_create(&watch->polling, NULL, poll_rows, watch) != 0)
        bench_die("no thread");
    return watch;
}

bool bench_watch_await(struct bench_watch *watch, int64_t deadline_us) {
    while (watch->completed < watch->count && clock_monotonic_us() < deadline_us)
        bench_wait_until(clock_monotonic_us() + 10 * ASK_PAUSE_US);
    return watch->completed >= watch->count;
}

void bench_watch_stop(struct bench_watch *watch) {
    watch->stop = true;
    (void)pthread_join(watch->consuming, NULL);
    (void)pthread_join(watch->polling, NULL);
    rd_kafka_consumer_close(watch->consumer);
    rd_kafka_destroy(watch->consumer);
    PQfinish(watch->db);
    for (int p = 0; p < watch->partitions_count; p++)
        free(watch->queues[p].events);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch->slots);
    free(watch);
}
