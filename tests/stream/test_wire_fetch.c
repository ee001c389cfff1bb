// SPDX-License-Identifier: Apache-2.0
//
// What a broker's readers of committed records are to be given, read by our own reader: two
// transactional producers of librdkafka write at once, in each compression that it knows, and abort
// some of what they write. What has to come is known from their reports alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>

#include "service/clock.h"
#include "wire/wire_fetch.h"

enum { PARTITIONS = 2, RECORDS_MAX = 20000, CALL_MS = 30000, WRITERS = 2, TURNS = 40 };

struct written {
    int64_t offset; // -1: not reported yet
    int32_t partition;
    int writer;
    unsigned number;
    bool is_committed;
};

static struct written written[RECORDS_MAX];
static size_t written_count;
static char topic[64];
static uint64_t seed;

static unsigned draw(unsigned below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static const char *servers(void) {
    const char *text = getenv("ORDERLOG_KAFKA_BOOTSTRAP");
    if (!text)
        fail_msg("ORDERLOG_KAFKA_BOOTSTRAP names no broker");
    return text;
}

static void must(rd_kafka_error_t *error) {
    if (error)
        fail_msg("%s", rd_kafka_error_string(error));
}

static void reported(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    // Those of an aborted transaction may be given up before they are sent.
    if (!message->err)
        ((struct written *)message->_private)->offset = message->offset;
}

static rd_kafka_t *client_new(const char *id, const char *compression) {
    char text[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const pairs[][2] = {{"bootstrap.servers", servers()},
                                    {"transactional.id", id},
                                    {"compression.type", compression},
                                    {"isolation.level", "read_uncommitted"}, // of ends
                                    {"linger.ms", "1"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (pairs[i][1] && rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], text, sizeof(text)))
            fail_msg("%s", text);
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!client)
        fail_msg("%s", text);
    return client;
}

static void make_topic(const char *brokers_compression) {
    static int topics;
    (void)snprintf(topic, sizeof(topic), "fetch.%lld.%d.%d", (long long)clock_now_us(),
                   (int)getpid(), topics++);
    rd_kafka_t *client = client_new(NULL, NULL);
    char text[256];
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, text, sizeof(text));
    assert_int_equal(rd_kafka_NewTopic_set_config(wanted, "compression.type", brokers_compression),
                     0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    rd_kafka_destroy(client);
    written_count = 0;
}

static void write_some(rd_kafka_t *client, int writer, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct written *record = &written[written_count];
        assert_true(written_count < RECORDS_MAX);
        *record = (struct written){.offset = -1,
                                   .partition = (int32_t)draw(PARTITIONS),
                                   .writer = writer,
                                   .number = (unsigned)written_count};
        char key[32], value[200];
        const int key_len = snprintf(key, sizeof(key), "%d-%u", writer, record->number);
        memset(value, 'x', sizeof(value));
        (void)snprintf(value, sizeof(value), "value %u", record->number);
        const rd_kafka_resp_err_t code = rd_kafka_producev(
            client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(record->partition),
            RD_KAFKA_V_KEY(key, (size_t)key_len),
            RD_KAFKA_V_VALUE(value, 10 + record->number % 190),
            RD_KAFKA_V_HEADER("name", "first", 5), RD_KAFKA_V_HEADER("name", key, key_len),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(record), RD_KAFKA_V_END);
        assert_int_equal(code, 0);
        written_count++;
    }
}

static void end(rd_kafka_t *client, int writer, bool commits) {
    if (!commits)
        (void)rd_kafka_flush(client, CALL_MS); // what is aborted is to be in the log
    must(commits ? rd_kafka_commit_transaction(client, CALL_MS)
                 : rd_kafka_abort_transaction(client, CALL_MS));
    for (size_t i = 0; i < written_count; i++)
        if (written[i].writer == writer) {
            written[i].writer = -1;
            written[i].is_committed = commits;
        }
}

// Each writer begins, writes on and ends as it falls.
static void write_turns(rd_kafka_t *const *clients, bool *is_open) {
    for (int turn = 0; turn < TURNS; turn++) {
        const int writer = (int)draw(WRITERS);
        rd_kafka_t *client = clients[writer];
        if (!is_open[writer])
            must(rd_kafka_begin_transaction(client));
        is_open[writer] = true;
        write_some(client, writer, 1 + draw(200));
        if (draw(3) > 0)
            (void)rd_kafka_flush(client, CALL_MS); // several batches in a transaction
        if (draw(2))
            continue;
        end(client, writer, draw(3) > 0);
        is_open[writer] = false;
    }
}

// ---- reading -----------------------------------------------------------------------------------

static void check(const struct wire_read_record *read, const struct written *record) {
    char key[32], value[200];
    memset(value, 'x', sizeof(value));
    (void)snprintf(value, sizeof(value), "value %u", record->number);
    const struct wire_record *got = &read->record;
    const struct wire_view header = wire_header_find(&got->headers, "name");
    assert_int_equal(header.len, got->key_len);
    assert_memory_equal(header.ptr, got->key, got->key_len);
    assert_int_equal(got->headers.count, 2);
    (void)snprintf(key, sizeof(key), "%.*s", (int)got->key_len, (const char *)got->key);
    assert_int_equal(strtoul(strchr(key, '-') + 1, NULL, 10), record->number);
    assert_int_equal(got->value_len, 10 + record->number % 190);
    assert_memory_equal(got->value, value, got->value_len);
}

static const struct written *find(int32_t partition, int64_t offset) {
    for (size_t i = 0; i < written_count; i++)
        if (written[i].partition == partition && written[i].offset == offset)
            return &written[i];
    return NULL;
}

static size_t expected(const struct wire_span *spans, size_t count) {
    size_t found = 0;
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < written_count; i++)
            found += written[i].is_committed && written[i].partition == spans[s].partition &&
                     written[i].offset >= spans[s].from && written[i].offset < spans[s].end;
    return found;
}

// Reads until all has come, or WIRE_FETCH_WAITS has come so many times in turn. Returns whether it
// ended.
static bool read_all(const struct wire_span *spans, size_t count, int waits_max, size_t *ret_read) {
    const struct wire_settings settings = {.servers = servers(), .client_id = "test"};
    struct wire_records records = {0};
    struct error err = {0};
    int64_t before[PARTITIONS] = {-1, -1};
    size_t span = 0;
    struct wire_fetch *fetch = wire_fetch_new(&settings, topic, spans, count, &err);
    assert_non_null(fetch);
    enum wire_fetched found = WIRE_FETCH_WAITS;
    *ret_read = 0;
    for (int waits = 0; found != WIRE_FETCH_ENDED && waits < waits_max;) {
        found = wire_fetch_next(fetch, &records, &span, clock_monotonic_ms() + CALL_MS, &err);
        if (found == WIRE_FETCH_FAILED)
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.msg);
        waits = found == WIRE_FETCH_WAITS ? waits + 1 : 0;
        for (size_t i = 0; found == WIRE_FETCHED && i < records.count; i++) {
            const struct wire_read_record *read = &records.items[i];
            const int32_t partition = spans[span].partition;
            assert_true(read->offset >= spans[span].from && read->offset < spans[span].end);
            assert_true(read->offset > before[partition]);
            before[partition] = read->offset;
            const struct written *record = find(partition, read->offset);
            if (!record || !record->is_committed)
                fail_msg("%s[%d] at %lld: not of a committed transaction", topic, partition,
                         (long long)read->offset);
            check(read, record);
            ++*ret_read;
        }
    }
    wire_records_done(&records);
    wire_fetch_free(fetch);
    return found == WIRE_FETCH_ENDED;
}

static int64_t end_of(int32_t partition) {
    rd_kafka_t *client = client_new(NULL, NULL);
    int64_t low, high;
    assert_int_equal(
        rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, CALL_MS), 0);
    rd_kafka_destroy(client);
    return high;
}

static void just_the_committed_records_come(const char *compression, const char *brokers) {
    seed = (uint64_t)clock_now_us();
    print_message("compression %s, seed %llu\n", compression, (unsigned long long)seed);
    make_topic(brokers);
    rd_kafka_t *clients[WRITERS];
    bool is_open[WRITERS] = {false};
    for (int i = 0; i < WRITERS; i++) {
        char id[80];
        (void)snprintf(id, sizeof(id), "%s.%d", topic, i);
        clients[i] = client_new(id, compression);
        must(rd_kafka_init_transactions(clients[i], CALL_MS));
    }
    write_turns(clients, is_open);
    for (int i = 0; i < WRITERS; i++)
        if (is_open[i])
            end(clients[i], i, i == 0);

    size_t got;
    struct wire_span spans[PARTITIONS];
    for (int32_t p = 0; p < PARTITIONS; p++)
        spans[p] = (struct wire_span){.partition = p, .end = end_of(p)};
    assert_true(read_all(spans, PARTITIONS, INT32_MAX, &got));
    assert_int_equal(got, expected(spans, PARTITIONS));
    assert_true(got > 0 && got < written_count);

    // Pieces of them, wherever they begin and end.
    for (int i = 0; i < 10; i++) {
        struct wire_span pieces[PARTITIONS];
        for (int32_t p = 0; p < PARTITIONS; p++) {
            pieces[p] = (struct wire_span){.partition = p, .from = draw((unsigned)spans[p].end)};
            pieces[p].end = pieces[p].from + draw((unsigned)(spans[p].end - pieces[p].from));
        }
        assert_true(read_all(pieces, PARTITIONS, INT32_MAX, &got));
        assert_int_equal(got, expected(pieces, PARTITIONS));
    }

    // What is open is waited for, and is not there when it is aborted.
    must(rd_kafka_begin_transaction(clients[0]));
    write_some(clients[0], 0, 500);
    (void)rd_kafka_flush(clients[0], CALL_MS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        spans[p].end = end_of(p);
    assert_false(read_all(spans, PARTITIONS, 3, &got));
    assert_int_equal(got, expected(spans, PARTITIONS));
    end(clients[0], 0, false);
    assert_true(read_all(spans, PARTITIONS, INT32_MAX, &got));
    assert_int_equal(got, expected(spans, PARTITIONS));
    for (int i = 0; i < WRITERS; i++)
        rd_kafka_destroy(clients[i]);
}

static void uncompressed(void **state) {
    (void)state;
    just_the_committed_records_come("none", "producer");
}

static void compressed_by_gzip(void **state) {
    (void)state;
    just_the_committed_records_come("gzip", "producer");
}

static void compressed_by_snappy(void **state) {
    (void)state;
    just_the_committed_records_come("snappy", "producer");
}

static void compressed_by_lz4(void **state) {
    (void)state;
    just_the_committed_records_come("lz4", "producer");
}

static void compressed_by_zstd(void **state) {
    (void)state;
    just_the_committed_records_come("zstd", "producer");
}

// As brokers, Java's, frame it.
static void compressed_by_the_broker(void **state) {
    (void)state;
    just_the_committed_records_come("lz4", "snappy");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uncompressed),         cmocka_unit_test(compressed_by_gzip),
        cmocka_unit_test(compressed_by_snappy), cmocka_unit_test(compressed_by_lz4),
        cmocka_unit_test(compressed_by_zstd),   cmocka_unit_test(compressed_by_the_broker),
    };
    return cmocka_run_group_tests_name("just the committed records come", tests, NULL, NULL);
}
