// SPDX-License-Identifier: Apache-2.0
//
// The yardstick of batch ingest: the records that the gateway wrote, read back into memory and
// written once more by librdkafka alone: same keys, values, headers and partitions, acks=all,
// idempotent, to a topic of the same shape. Also fills one topic with what is in another.
//
//   bench_produce BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT OFFSET_OF_PARTITION...
//
// Prints "begin" and waits for a line of input, writes, prints "end" and waits again; then one line
// of JSON with its own CPU.
#include "bench_kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { POLL_EVERY = 1000, FLUSH_MS = 60000, PARTITIONS_MAX = 64 };

static uint64_t delivered;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    if (message->err)
        bench_kafka_die(rd_kafka_err2str(message->err));
    delivered++;
}

// In the caller's thread, as fast as the queue takes them; reports are served now and then.
static void produce_all(rd_kafka_t *client, const char *topic, const struct bench_record *all,
                        uint64_t count) {
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    for (uint64_t i = 0; i < count; i++) {
        bench_kafka_produce(client, handle, &all[i]);
        if (i % POLL_EVERY == 0)
            (void)rd_kafka_poll(client, 0);
    }
    if (rd_kafka_flush(client, FLUSH_MS))
        bench_kafka_die("not all was delivered in time");
    rd_kafka_topic_destroy(handle);
}

int main(int argc, char **argv) {
    static const char *const settings[][2] = {{"enable.idempotence", "true"},
                                              {"acks", "all"},
                                              {"linger.ms", "5"},
                                              {"queue.buffering.max.messages", "500000"},
                                              {NULL, NULL}};
    int64_t offsets[PARTITIONS_MAX];
    const int partitions = argc - 5;
    if (partitions < 1 || partitions > PARTITIONS_MAX)
        return 2;
    for (int i = 0; i < partitions; i++)
        offsets[i] = atoll(argv[5 + i]);
    const uint64_t count = (uint64_t)atoll(argv[4]);
    const struct bench_record *all = bench_kafka_read(argv[1], argv[2], count, offsets, partitions);
    rd_kafka_t *client = bench_kafka_open(RD_KAFKA_PRODUCER, argv[1], settings, on_delivery);
    // Connected before the clock runs.
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(client, 1, NULL, &metadata, BENCH_KAFKA_WAIT_MS))
        bench_kafka_die("no broker answers");
    rd_kafka_metadata_destroy(metadata);
    bench_kafka_phase("begin");
    const double began_s = bench_kafka_seconds(), cpu_s = bench_kafka_cpu();
    produce_all(client, argv[3], all, count);
    const double ended_s = bench_kafka_seconds(), used_s = bench_kafka_cpu() - cpu_s;
    bench_kafka_phase("end");
    if (delivered != count)
        bench_kafka_die("not all was delivered");
    printf("{\"records\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_us\":%.3f}\n", count, ended_s - began_s,
           used_s * 1e6 / (double)count);
    (void)fflush(stdout);
    _exit(0); // the records need no tidying up
}
