// SPDX-License-Identifier: Apache-2.0
//
// What the bare Kafka clients of the bench share: records kept in memory, and how they speak with
// whoever started them.
#ifndef ORDERLOG_BENCH_KAFKA_H
#define ORDERLOG_BENCH_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_KAFKA_WAIT_MS = 20000 };

struct bench_record {
    rd_kafka_message_t *message; // never given back
    rd_kafka_headers_t *headers; // may be NULL
};

// Says why, and ends the program.
_Noreturn void bench_kafka_die(const char *what);

// settings end with {NULL, NULL}. Producers serve delivery reports with on_delivery, which may be
// NULL for consumers.
rd_kafka_t *bench_kafka_open(rd_kafka_type_t type, const char *bootstrap,
                             const char *const (*settings)[2],
                             void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *));

// The count records that follow from the offsets, one offset per partition.
struct bench_record *bench_kafka_read(const char *bootstrap, const char *topic, uint64_t count,
                                      const int64_t *offsets, int partitions);

// One more time, to the same partition with the same key, value and headers; waits for room.
void bench_kafka_produce(rd_kafka_t *client, rd_kafka_topic_t *topic,
                         const struct bench_record *record);

// Prints the name and waits for a line of input.
void bench_kafka_phase(const char *name);

double bench_kafka_seconds(void); // of a clock that only goes forward
double bench_kafka_cpu(void);     // of this process

#endif
