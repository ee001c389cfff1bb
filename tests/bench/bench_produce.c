// SPDX-License-Identifier: Apache-2.0
//
// The yardstick of batch ingest: the records that the gateway wrote, read back into memory and
// written once more by librdkafka alone: same keys, values, header and partitions, acks=all,
// idempotent, to a topic of the same shape.
//
//   bench_produce BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT OFFSET_OF_PARTITION...
//
// Prints "begin" and waits for a line of input, writes, prints "end" and waits again; then one line
// of JSON with its own CPU.
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POLL_EVERY = 1000, READ_MS = 10000, FLUSH_MS = 60000 };

static uint64_t delivered;

static _Noreturn void die(const char *what) {
    (void)fprintf(stderr, "bench_produce: %s\n", what);
    exit(1);
}

static double now_s(clockid_t clock) {
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void wait_at(const char *name) {
    printf("%s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    if (message->err)
        die(rd_kafka_err2str(message->err));
    delivered++;
}

static rd_kafka_t *open_client(rd_kafka_type_t type, const char *bootstrap,
                               const char *const (*settings)[2]) {
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
    for (; (*settings)[0]; settings++)
        if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], reason, sizeof(reason)))
            die(reason);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (!client)
        die(reason);
    return client;
}

static rd_kafka_message_t **read_records(const char *bootstrap, const char *topic, uint64_t count,
                                         char **offsets, int partitions) {
    static const char *const settings[][2] = {{"group.id", "bench.produce"},
                                              {"enable.auto.commit", "false"},
                                              {"queued.max.messages.kbytes", "524288"},
                                              {NULL, NULL}};
    rd_kafka_t *client = open_client(RD_KAFKA_CONSUMER, bootstrap, settings);
    rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(from, topic, i)->offset = atoll(offsets[i]);
    (void)rd_kafka_poll_set_consumer(client);
    if (rd_kafka_assign(client, from))
        die("cannot read the records");
    rd_kafka_topic_partition_list_destroy(from);
    rd_kafka_message_t **all = calloc(count, sizeof(rd_kafka_message_t *));
    for (uint64_t i = 0; all && i < count; i++) {
        all[i] = rd_kafka_consumer_poll(client, READ_MS);
        if (!all[i] || all[i]->err)
            die("a record is missing");
    }
    return all; // the client is left open: the records are in its buffers
}

// In the caller's thread, as fast as the queue takes them; reports are served now and then.
static void produce_all(rd_kafka_t *client, const char *topic, rd_kafka_message_t **all,
                        uint64_t count) {
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    for (uint64_t i = 0; i < count; i++) {
        const rd_kafka_message_t *record = all[i];
        rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
        (void)rd_kafka_header_add(headers, "ce_type", -1, "orderlog.PlaceOrder", -1);
        while (rd_kafka_producev(client, RD_KAFKA_V_RKT(handle),
                                 RD_KAFKA_V_PARTITION(record->partition),
                                 RD_KAFKA_V_KEY(record->key, record->key_len),
                                 RD_KAFKA_V_VALUE(record->payload, record->len),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END))
            (void)rd_kafka_poll(client, 10);
        if (i % POLL_EVERY == 0)
            (void)rd_kafka_poll(client, 0);
    }
    if (rd_kafka_flush(client, FLUSH_MS))
        die("not all was delivered in time");
    rd_kafka_topic_destroy(handle);
}

int main(int argc, char **argv) {
    static const char *const settings[][2] = {{"enable.idempotence", "true"},
                                              {"acks", "all"},
                                              {"linger.ms", "5"},
                                              {"queue.buffering.max.messages", "500000"},
                                              {NULL, NULL}};
    if (argc < 6)
        return 2;
    const uint64_t count = (uint64_t)atoll(argv[4]);
    rd_kafka_message_t **all = read_records(argv[1], argv[2], count, argv + 5, argc - 5);
    if (!all)
        die("out of memory");
    rd_kafka_t *client = open_client(RD_KAFKA_PRODUCER, argv[1], settings);
    // Connected, and with its producer id, before the clock runs.
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(client, 1, NULL, &metadata, READ_MS))
        die("no broker answers");
    rd_kafka_metadata_destroy(metadata);
    produce_all(client, argv[3], all, 1);
    wait_at("begin");
    delivered = 0;
    const double began_s = now_s(CLOCK_MONOTONIC), cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    produce_all(client, argv[3], all, count);
    const double ended_s = now_s(CLOCK_MONOTONIC), used_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    wait_at("end");
    if (delivered != count)
        die("not all was delivered");
    printf("{\"records\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_us\":%.3f}\n", count, ended_s - began_s,
           used_s * 1e6 / (double)count);
    (void)fflush(stdout);
    _exit(0); // the records need no tidying up
}
