// SPDX-License-Identifier: Apache-2.0
//
// The yardstick of a processor: exactly-once copying by librdkafka alone. It reads an inbox, writes
// for each input its share of records that are in memory already, sends the offset, commits, and
// goes on with its other producer: as a processor's loop does, but with nothing to decode, decide,
// encode or remember.
//
//   bench_copy BOOTSTRAP INBOX COUNT GROUP COMMIT_MS COMMIT_RECORDS {FROM TO RECORDS}...
//
// Of each topic FROM, its first RECORDS records are written to TO. One partition per topic. Prints
// "begin" and waits for a line of input, copies, prints "end" and waits again; then a line of JSON.
#include "bench_kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALL_MS = 30000, TARGETS_MAX = 8, PRODUCERS = 2 };

struct target {
    struct bench_record *records;
    uint64_t count;
    uint64_t sent;
    rd_kafka_topic_t *topics[PRODUCERS];
};

static struct target targets[TARGETS_MAX];
static int targets_count;
static uint64_t delivered;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    if (message->err)
        bench_kafka_die(rd_kafka_err2str(message->err));
    delivered++;
}

static void must(rd_kafka_error_t *error) {
    if (error)
        bench_kafka_die(rd_kafka_error_string(error));
}

static rd_kafka_t *open_producer(const char *bootstrap, const char *group, int number) {
    char id[128];
    (void)snprintf(id, sizeof(id), "%s.%d", group, number);
    const char *const settings[][2] = {{"transactional.id", id},
                                       {"enable.idempotence", "true"},
                                       {"acks", "all"},
                                       {"linger.ms", "20"}, // until the commit, as the loop has it
                                       {"compression.type", "lz4"}, // too
                                       {"message.max.bytes", "4194304"},
                                       {"queue.buffering.max.messages", "1000000"},
                                       {NULL, NULL}};
    rd_kafka_t *client = bench_kafka_open(RD_KAFKA_PRODUCER, bootstrap, settings, on_delivery);
    must(rd_kafka_init_transactions(client, CALL_MS));
    return client;
}

static rd_kafka_t *open_consumer(const char *bootstrap, const char *group, const char *inbox) {
    const char *const settings[][2] = {{"group.id", group},
                                       {"isolation.level", "read_committed"},
                                       {"enable.auto.commit", "false"},
                                       {"enable.auto.offset.store", "false"},
                                       {"auto.offset.reset", "earliest"},
                                       {"check.crcs", "true"},
                                       {"fetch.queue.backoff.ms", "5"},
                                       {"queued.max.messages.kbytes", "16384"},
                                       {NULL, NULL}};
    rd_kafka_t *client = bench_kafka_open(RD_KAFKA_CONSUMER, bootstrap, settings, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, inbox, RD_KAFKA_PARTITION_UA);
    (void)rd_kafka_poll_set_consumer(client);
    if (rd_kafka_subscribe(client, list))
        bench_kafka_die("cannot subscribe");
    rd_kafka_topic_partition_list_destroy(list);
    return client;
}

// What belongs to the inputs up to this one.
static void produce_share(rd_kafka_t *producer, int turn, uint64_t inputs, uint64_t inputs_count) {
    for (int i = 0; i < targets_count; i++) {
        struct target *target = &targets[i];
        for (uint64_t until = target->count * inputs / inputs_count; target->sent < until;)
            bench_kafka_produce(producer, target->topics[turn], &target->records[target->sent++]);
    }
}

static void commit(rd_kafka_t *consumer, rd_kafka_t *producer, const char *inbox, int64_t offset) {
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, inbox, 0)->offset = offset;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
    must(rd_kafka_send_offsets_to_transaction(producer, offsets, group, CALL_MS));
    must(rd_kafka_commit_transaction(producer, CALL_MS));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
}

static void copy(rd_kafka_t *consumer, rd_kafka_t *const *producers, const char *inbox,
                 uint64_t count, double commit_s, uint64_t commit_records) {
    uint64_t done = 0;
    for (int turn = 0; done < count; turn = (turn + 1) % PRODUCERS) {
        rd_kafka_t *producer = producers[turn];
        double until_s = 0;
        int64_t next_offset = 0;
        uint64_t taken = 0;
        must(rd_kafka_begin_transaction(producer));
        while (done < count && taken < commit_records) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, taken ? 0 : CALL_MS);
            if (!message)
                break;
            if (message->err)
                bench_kafka_die(rd_kafka_message_errstr(message));
            if (taken++ == 0)
                until_s = bench_kafka_seconds() + commit_s;
            produce_share(producer, turn, ++done, count);
            next_offset = message->offset + 1;
            rd_kafka_message_destroy(message);
            if (bench_kafka_seconds() >= until_s)
                break;
        }
        if (taken == 0)
            bench_kafka_die("the inbox ends too early");
        commit(consumer, producer, inbox, next_offset);
    }
}

int main(int argc, char **argv) {
    if (argc < 10 || (argc - 7) % 3 != 0 || (argc - 7) / 3 > TARGETS_MAX)
        return 2;
    const char *bootstrap = argv[1], *inbox = argv[2], *group = argv[4];
    const uint64_t count = (uint64_t)atoll(argv[3]);
    rd_kafka_t *producers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = open_producer(bootstrap, group, i);
    uint64_t records = 0;
    for (char **words = argv + 7; *words; words += 3) {
        static const int64_t begin[] = {0};
        struct target *target = &targets[targets_count++];
        target->count = (uint64_t)atoll(words[2]);
        target->records = bench_kafka_read(bootstrap, words[0], target->count, begin, 1);
        for (int i = 0; i < PRODUCERS; i++)
            target->topics[i] = rd_kafka_topic_new(producers[i], words[1], NULL);
        records += target->count;
    }
    bench_kafka_phase("begin");
    rd_kafka_t *consumer = open_consumer(bootstrap, group, inbox);
    // Joined, and with the first records at hand, before the clock runs.
    rd_kafka_message_t *first = rd_kafka_consumer_poll(consumer, CALL_MS);
    if (!first || first->err)
        bench_kafka_die("the inbox cannot be read");
    rd_kafka_message_destroy(first);
    const double began_s = bench_kafka_seconds(), cpu_s = bench_kafka_cpu();
    copy(consumer, producers, inbox, count - 1, atof(argv[5]) / 1e3, (uint64_t)atoll(argv[6]));
    const double ended_s = bench_kafka_seconds(), used_s = bench_kafka_cpu() - cpu_s;
    bench_kafka_phase("end");
    if (delivered != records)
        bench_kafka_die("not all was delivered");
    printf("{\"records\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_s\":%.3f}\n", records,
           ended_s - began_s, used_s);
    (void)fflush(stdout);
    _exit(0); // the records need no tidying up
}
