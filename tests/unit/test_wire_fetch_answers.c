// SPDX-License-Identifier: Apache-2.0
//
// Answers to Fetch that a real broker gives rarely, or never: holes that compaction leaves, batches
// that are cut off or begin before what was asked for, errors, and what nobody should send. (What
// committed records are is tested on a real broker: tests/stream/test_wire_fetch.c.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/wire_batch.h"
#include "wire/wire_crc32c.h"
#include "wire/wire_fetch.h"

enum { HEAD_LEN = 61, PRODUCER = 7, OTHER = 8, NO_LEADER = -1, TOLD_LEADER = 1 };

static struct wire_writer answers; // that the next connection gives, in order
static size_t asked;               // Fetch requests

bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err);
bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err) {
    (void)deadline_ms;
    (void)err;
    if (connection->fd >= 0)
        return true;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    // The first answer is for whoever asks for leaders, on a connection of its own.
    const uint8_t *at = answers.bytes;
    const size_t first =
        4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
    const bool is_bootstrap = asked == 0 && connection->port == 1;
    const size_t len = is_bootstrap ? first : answers.len - first;
    assert_int_equal(write(pair[1], is_bootstrap ? at : at + first, len), len);
    (void)close(pair[1]);
    connection->fd = pair[0];
    connection->renew_ms = INT64_MAX;
    return true;
}

bool __wrap_wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                        struct wire_writer *writer, int64_t deadline_ms,
                                        struct error *err);
bool __wrap_wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                        struct wire_writer *writer, int64_t deadline_ms,
                                        struct error *err) {
    (void)deadline_ms;
    (void)err;
    asked += api == WIRE_FETCH;
    const struct iovec piece = {.iov_base = writer->bytes, .iov_len = writer->len};
    wire_connection_begin(connection, api, &piece, 1);
    return true;
}

// ---- answers -----------------------------------------------------------------------------------

static size_t answer_at;

static void begin_answer(int32_t number) {
    answer_at = answers.len;
    wire_put_i32(&answers, 0);
    wire_put_i32(&answers, number);
    wire_put_no_tags(&answers);
    wire_put_i32(&answers, 0); // throttled for
}

static void end_answer(void) {
    wire_put_no_tags(&answers);
    (void)wire_at_i32(answers.bytes + answer_at, (int32_t)(answers.len - answer_at - 4));
}

static void tell_leaders(int32_t partitions, int32_t leader) {
    static const uint8_t no_id[16];
    answers.len = 0;
    asked = 0;
    begin_answer(1);
    wire_put_count(&answers, 1);
    wire_put_i32(&answers, TOLD_LEADER);
    wire_put_string(&answers, "broker");
    wire_put_i32(&answers, 2);
    wire_put_string(&answers, NULL);
    wire_put_no_tags(&answers);
    wire_put_string(&answers, "cluster");
    wire_put_i32(&answers, TOLD_LEADER);
    wire_put_count(&answers, 1);
    wire_put_i16(&answers, 0);
    wire_put_string(&answers, "t");
    wire_put_bytes(&answers, no_id, sizeof(no_id));
    wire_put_i8(&answers, 0);
    wire_put_count(&answers, (size_t)partitions);
    for (int32_t p = 0; p < partitions; p++) {
        wire_put_i16(&answers, 0);
        wire_put_i32(&answers, p);
        wire_put_i32(&answers, leader);
        wire_put_i32(&answers, 0);
        for (int list = 0; list < 3; list++)
            wire_put_count(&answers, 0);
        wire_put_no_tags(&answers);
    }
    wire_put_i32(&answers, 0);
    wire_put_no_tags(&answers);
    end_answer();
}

static struct wire_writer batches; // of the partition told next

static uint8_t *head_of_last; // of batches, until the next one

// Offsets from first to last_delta more, of which the first ones are there.
static void put_batch(int64_t first, int32_t last_delta, int32_t count, int64_t producer) {
    struct wire_batch batch = {0};
    struct error err;
    for (int32_t i = 0; i < (count ? count : 1); i++) {
        const struct wire_record record = {.key = "k", .key_len = 1, .value = "v", .value_len = 1};
        wire_batch_append(&batch, &record, 0);
    }
    const struct wire_batch_owner owner = {.producer_id = producer, .in_transaction = true};
    const uint8_t *bytes;
    size_t len;
    assert_true(wire_batch_seal(&batch, &owner, WIRE_UNCOMPRESSED, &bytes, &len, &err));
    const size_t at = batches.len;
    wire_put_bytes(&batches, bytes, len);
    wire_batch_done(&batch);
    head_of_last = batches.bytes + at;
    if (count == 0) { // its header alone
        len = HEAD_LEN;
        batches.len = at + len;
        (void)wire_at_i32(head_of_last + 8, HEAD_LEN - 12);
        (void)wire_at_i32(head_of_last + 57, 0);
    }
    (void)wire_at_i64(head_of_last, first);
    (void)wire_at_i32(head_of_last + 23, last_delta);
    (void)wire_at_i32(head_of_last + 17, (int32_t)wire_crc32c(head_of_last + 21, len - 21));
}

static void put_marker(int64_t offset, int64_t producer, int16_t type) {
    uint8_t key[4] = {0, 0, (uint8_t)(type >> 8), (uint8_t)type};
    struct wire_batch batch = {0};
    struct error err;
    const struct wire_record record = {
        .key = key, .key_len = sizeof(key), .value = "123456", .value_len = 6};
    wire_batch_append(&batch, &record, 0);
    const struct wire_batch_owner owner = {.producer_id = producer, .in_transaction = true};
    const uint8_t *bytes;
    size_t len;
    assert_true(wire_batch_seal(&batch, &owner, WIRE_UNCOMPRESSED, &bytes, &len, &err));
    const size_t at = batches.len;
    wire_put_bytes(&batches, bytes, len);
    wire_batch_done(&batch);
    uint8_t *head = batches.bytes + at;
    (void)wire_at_i64(head, offset);
    head[22] |= 0x20; // control
    (void)wire_at_i32(head + 17, (int32_t)wire_crc32c(head + 21, len - 21));
}

struct told {
    int32_t partition;
    int16_t code;
    int64_t stable_end;
    size_t aborted_count;
    int64_t aborted[4][2]; // producer, first offset
};

static void put_partition(struct told told) {
    wire_put_i32(&answers, told.partition);
    wire_put_i16(&answers, told.code);
    wire_put_i64(&answers, told.stable_end);
    wire_put_i64(&answers, told.stable_end);
    wire_put_i64(&answers, 0);
    wire_put_count(&answers, told.aborted_count);
    for (size_t i = 0; i < told.aborted_count; i++) {
        wire_put_i64(&answers, told.aborted[i][0]);
        wire_put_i64(&answers, told.aborted[i][1]);
        wire_put_no_tags(&answers);
    }
    wire_put_i32(&answers, -1);
    wire_put_data(&answers, batches.bytes, batches.len);
    wire_put_no_tags(&answers);
    batches.len = 0;
}

static void begin_fetched(int32_t number, size_t partitions) {
    begin_answer(number);
    wire_put_i16(&answers, 0);
    wire_put_i32(&answers, 0);
    wire_put_count(&answers, 1);
    wire_put_string(&answers, "t");
    wire_put_count(&answers, partitions);
}

static void end_fetched(void) {
    wire_put_no_tags(&answers);
    end_answer();
}

static void tell(int32_t number, struct told told) {
    begin_fetched(number, 1);
    put_partition(told);
    end_fetched();
}

// ---- reading -----------------------------------------------------------------------------------

enum { OFFSETS_MAX = 64 };
static struct {
    size_t count;
    int64_t offsets[OFFSETS_MAX];
    struct error err;
} got;

static enum wire_fetched read_all(const struct wire_span *spans, size_t count) {
    static const struct wire_settings settings = {.servers = "bootstrap:1", .client_id = "test"};
    struct wire_records records = {0};
    size_t span;
    got.count = 0;
    got.err = (struct error){0};
    struct wire_fetch *fetch = wire_fetch_new(&settings, "t", spans, count, &got.err);
    enum wire_fetched found;
    do {
        found = wire_fetch_next(fetch, &records, &span, INT64_MAX, &got.err);
        for (size_t i = 0; found == WIRE_FETCHED && i < records.count; i++)
            got.offsets[got.count++] = records.items[i].offset;
    } while (found == WIRE_FETCHED || found == WIRE_FETCH_WAITS);
    wire_records_done(&records);
    wire_fetch_free(fetch);
    return found;
}

static enum wire_fetched read_span(int64_t from, int64_t end) {
    const struct wire_span span = {.from = from, .end = end};
    return read_all(&span, 1);
}

static void assert_got(const int64_t *offsets, size_t count) {
    assert_int_equal(got.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got.offsets[i], offsets[i]);
}

#define GOT(...)                                                                                   \
    assert_got((const int64_t[]){__VA_ARGS__},                                                     \
               sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void assert_failed(enum wire_fetched found, const char *why) {
    assert_int_equal(found, WIRE_FETCH_FAILED);
    assert_int_equal(got.err.what, DISP_RETRY);
    if (!strstr(got.err.msg, why))
        fail_msg("%s: not for %s", got.err.msg, why);
}

static void a_batch_may_begin_before_and_end_behind_what_was_asked_for(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 4, 5, PRODUCER);
    put_batch(5, 4, 5, PRODUCER);
    tell(1, (struct told){.stable_end = 10});
    assert_int_equal(read_span(3, 7), WIRE_FETCH_ENDED);
    GOT(3, 4, 5, 6);
    assert_int_equal(asked, 1);
}

static void holes_are_passed(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(10, 9, 2, PRODUCER); // of ten records two are left
    put_batch(40, 5, 0, PRODUCER); // and here none
    tell(1, (struct told){.stable_end = 60});
    put_batch(50, 0, 1, PRODUCER);
    tell(2, (struct told){.stable_end = 60});
    tell(3, (struct told){.stable_end = 60}); // nothing from 51 on
    assert_int_equal(read_span(0, 60), WIRE_FETCH_ENDED);
    GOT(10, 11, 50);
    assert_int_equal(asked, 3);
}

static void nothing_before_a_stable_end_is_waited_for(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 1, 2, PRODUCER);
    tell(1, (struct told){.stable_end = 2});
    tell(2, (struct told){.stable_end = 2});
    tell(3, (struct told){.stable_end = 2});
    put_batch(2, 1, 2, PRODUCER);
    tell(4, (struct told){.stable_end = 4});
    assert_int_equal(read_span(0, 4), WIRE_FETCH_ENDED);
    GOT(0, 1, 2, 3);
}

static void a_throttled_answer_ends_nothing(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    begin_answer(1);
    wire_put_i16(&answers, 0);
    wire_put_i32(&answers, 0);
    wire_put_count(&answers, 0); // no topic
    end_answer();
    put_batch(0, 0, 1, PRODUCER);
    tell(2, (struct told){.stable_end = 1});
    assert_int_equal(read_span(0, 1), WIRE_FETCH_ENDED);
    GOT(0);
}

static void a_batch_that_is_cut_off_comes_again(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 1, 2, PRODUCER);
    put_batch(2, 1, 2, PRODUCER);
    batches.len -= 3;
    tell(1, (struct told){.stable_end = 4});
    put_batch(2, 1, 2, PRODUCER);
    tell(2, (struct told){.stable_end = 4});
    assert_int_equal(read_span(0, 4), WIRE_FETCH_ENDED);
    GOT(0, 1, 2, 3);
}

static void an_abort_is_of_its_producer_until_its_marker(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 0, 1, PRODUCER); // committed before
    put_marker(1, PRODUCER, 1);
    put_batch(2, 1, 2, PRODUCER); // aborted
    put_batch(4, 0, 1, OTHER);
    put_batch(5, 0, 1, PRODUCER);
    put_marker(6, OTHER, 1);
    put_batch(7, 0, 1, PRODUCER); // still
    put_marker(8, PRODUCER, 0);
    put_batch(9, 0, 1, PRODUCER); // the next one
    put_marker(10, PRODUCER, 1);
    put_batch(11, 0, 1, PRODUCER); // aborted again
    put_marker(12, PRODUCER, 0);
    tell(1, (struct told){.stable_end = 13,
                          .aborted_count = 2,
                          .aborted = {{PRODUCER, 11}, {PRODUCER, 2}}}); // in any order
    assert_int_equal(read_span(0, 13), WIRE_FETCH_ENDED);
    GOT(0, 4, 9);
}

static void partitions_are_asked_for_until_each_ends(void **state) {
    (void)state;
    tell_leaders(2, TOLD_LEADER);
    begin_fetched(1, 2);
    put_batch(0, 0, 1, PRODUCER);
    put_partition((struct told){.partition = 1, .stable_end = 2});
    put_partition((struct told){.partition = 0, .stable_end = 9}); // no room in this answer
    end_fetched();
    begin_fetched(2, 2);
    put_batch(5, 0, 1, PRODUCER);
    put_partition((struct told){.partition = 0, .stable_end = 6});
    put_batch(1, 0, 1, PRODUCER);
    put_partition((struct told){.partition = 1, .stable_end = 2});
    end_fetched();
    const struct wire_span spans[] = {{.partition = 0, .from = 5, .end = 6},
                                      {.partition = 1, .from = 0, .end = 2}};
    assert_int_equal(read_all(spans, 2), WIRE_FETCH_ENDED);
    GOT(0, 5, 1);
    assert_int_equal(asked, 2);
}

static void what_fails_is_said_and_not_tried_again(void **state) {
    (void)state;
    tell_leaders(1, NO_LEADER);
    assert_failed(read_span(0, 1), "no leader");

    tell_leaders(1, TOLD_LEADER);
    tell(1, (struct told){.code = 6});
    assert_failed(read_span(0, 1), "NOT_LEADER_OR_FOLLOWER");
    assert_int_equal(asked, 1);

    tell_leaders(1, TOLD_LEADER);
    tell(1, (struct told){.code = 1});
    assert_failed(read_span(0, 1), "OFFSET_OUT_OF_RANGE");

    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 0, 1, PRODUCER);
    head_of_last[HEAD_LEN]++;
    tell(1, (struct told){.stable_end = 1});
    assert_failed(read_span(0, 1), "wrong checksum");

    tell_leaders(1, TOLD_LEADER);
    tell(1, (struct told){.partition = 3, .stable_end = 1}); // not asked for
    assert_failed(read_span(0, 1), "cannot be read");

    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 0, 1, PRODUCER);
    batches.len -= 3; // not even one
    tell(1, (struct told){.stable_end = 1});
    assert_failed(read_span(0, 1), "cannot be read");

    tell_leaders(1, TOLD_LEADER);
    put_batch(5, 0, 1, PRODUCER);
    put_batch(5, 0, 1, PRODUCER); // the same again
    tell(1, (struct told){.stable_end = 9});
    assert_failed(read_span(0, 9), "cannot be read");
}

static void an_aborted_batch_has_to_be_sound_too(void **state) {
    (void)state;
    tell_leaders(1, TOLD_LEADER);
    put_batch(0, 0, 1, OTHER);
    (void)wire_at_i64(head_of_last + 43, PRODUCER); // another's by a broken byte
    tell(1, (struct told){.stable_end = 1, .aborted_count = 1, .aborted = {{PRODUCER, 0}}});
    assert_failed(read_span(0, 1), "wrong checksum");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_may_begin_before_and_end_behind_what_was_asked_for),
        cmocka_unit_test(holes_are_passed),
        cmocka_unit_test(nothing_before_a_stable_end_is_waited_for),
        cmocka_unit_test(a_throttled_answer_ends_nothing),
        cmocka_unit_test(a_batch_that_is_cut_off_comes_again),
        cmocka_unit_test(an_abort_is_of_its_producer_until_its_marker),
        cmocka_unit_test(partitions_are_asked_for_until_each_ends),
        cmocka_unit_test(what_fails_is_said_and_not_tried_again),
        cmocka_unit_test(an_aborted_batch_has_to_be_sound_too),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wire_writer_done(&answers);
    wire_writer_done(&batches);
    return failed;
}
