// SPDX-License-Identifier: Apache-2.0
#include "bench_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

_Noreturn void bench_kafka_die(const char *what) {
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

rd_kafka_t *
bench_kafka_open(rd_kafka_type_t type, const char *bootstrap, const char *const (*settings)[2],
                 void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *)) {
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
    for (; (*settings)[0]; settings++)
        if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], reason, sizeof(reason)))
            bench_kafka_die(reason);
    if (on_delivery)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (!client)
        bench_kafka_die(reason);
    return client;
}

struct bench_record *bench_kafka_read(const char *bootstrap, const char *topic, uint64_t count,
                                      const int64_t *offsets, int partitions) {
    static const char *const settings[][2] = {{"group.id", "bench.read"},
                                              {"enable.auto.commit", "false"},
                                              {"isolation.level", "read_committed"},
                                              {"queued.max.messages.kbytes", "524288"},
                                              {NULL, NULL}};
    rd_kafka_t *client = bench_kafka_open(RD_KAFKA_CONSUMER, bootstrap, settings, NULL);
    rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(from, topic, i)->offset = offsets[i];
    (void)rd_kafka_poll_set_consumer(client);
    if (rd_kafka_assign(client, from))
        bench_kafka_die("cannot read the records");
    rd_kafka_topic_partition_list_destroy(from);
    struct bench_record *all = calloc(count + 1, sizeof(*all));
    if (!all)
        bench_kafka_die("out of memory");
    for (uint64_t i = 0; i < count; i++) {
        all[i].message = rd_kafka_consumer_poll(client, BENCH_KAFKA_WAIT_MS);
        if (!all[i].message || all[i].message->err)
            bench_kafka_die("a record is missing");
        (void)rd_kafka_message_detach_headers(all[i].message, &all[i].headers);
    }
    (void)rd_kafka_assign(client, NULL); // left open: the records are in its buffers
    return all;
}

void bench_kafka_produce(rd_kafka_t *client, rd_kafka_topic_t *topic,
                         const struct bench_record *record) {
    const rd_kafka_message_t *message = record->message;
    rd_kafka_headers_t *headers = record->headers ? rd_kafka_headers_copy(record->headers) : NULL;
    while (rd_kafka_producev(client, RD_KAFKA_V_RKT(topic),
                             RD_KAFKA_V_PARTITION(message->partition),
                             RD_KAFKA_V_KEY(message->key, message->key_len),
                             RD_KAFKA_V_VALUE(message->payload, message->len),
                             RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END))
        (void)rd_kafka_poll(client, 10);
}

void bench_kafka_phase(const char *name) {
    printf("%s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double bench_kafka_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double bench_kafka_cpu(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}
