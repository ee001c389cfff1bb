// SPDX-License-Identifier: Apache-2.0
//
// What one thread fetches and decodes and another one folds: all of it, in order, and unchanged
// while it is looked at. The reader of the wire and the codec are played.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "../../src/stream/span_feed.h"

enum {
    BATCHES = 5000,
    RECORDS = 16,
    VALUES = 64 * RECORDS,
    SPANS = 3,
    AT_ONCE_MS = 0,
    PATIENCE_MS = 60000
};

// Played; only the feed's thread touches it between new and free.
struct wire_fetch {
    size_t given;
    size_t count;
    size_t calls;
    enum wire_fetched outcome; // after them
    size_t values[VALUES];     // of the latest records
    bool *is_freed;
};

void __wrap_wire_fetch_free(struct wire_fetch *fetch);
void __wrap_wire_fetch_free(struct wire_fetch *fetch) {
    if (fetch)
        *fetch->is_freed = true;
}

enum wire_fetched __wrap_wire_fetch_next(struct wire_fetch *fetch, struct wire_records *ret_records,
                                         size_t *ret_span, int64_t deadline_ms, struct error *err);
enum wire_fetched __wrap_wire_fetch_next(struct wire_fetch *fetch, struct wire_records *ret_records,
                                         size_t *ret_span, int64_t deadline_ms, struct error *err) {
    (void)deadline_ms;
    if (fetch->calls++ % 3 == 0)
        return WIRE_FETCH_WAITS;
    if (fetch->given == fetch->count) {
        if (fetch->outcome == WIRE_FETCH_FAILED)
            (void)error_set(err, DISP_RETRY, 6, "the leader has moved");
        return fetch->outcome;
    }
    if (!ret_records->items)
        ret_records->items = calloc(RECORDS, sizeof(*ret_records->items));
    ret_records->count = RECORDS;
    for (size_t i = 0; i < RECORDS; i++) {
        const size_t number = fetch->given * RECORDS + i;
        const bool has_value = number % 3 != 0;
        fetch->values[number % VALUES] = number;
        ret_records->items[i] = (struct wire_read_record){
            .offset = (int64_t)number,
            .record.value = has_value ? (const void *)&fetch->values[number % VALUES] : NULL,
            .record.value_len = has_value ? sizeof(number) : 0};
    }
    *ret_span = fetch->given++ % SPANS;
    return WIRE_FETCHED;
}

// Every third has no value, and every third of the others is none of ours.
static enum record_id type_of(size_t number) {
    return number % 3 == 0 || number % 9 == 1 ? RECORD_COUNT : RECORD_STOCK_RELEASED;
}

// The number that a record was made with is what its decoded value says.
bool __wrap_message_decode(const struct schema_ids *ids, const uint8_t *bytes, size_t len,
                           struct arena *arena, struct message *ret, struct error *err);
bool __wrap_message_decode(const struct schema_ids *ids, const uint8_t *bytes, size_t len,
                           struct arena *arena, struct message *ret, struct error *err) {
    (void)ids;
    const size_t number = *(const size_t *)bytes;
    assert_int_equal(len, sizeof(number));
    if (type_of(number) == RECORD_COUNT)
        return error_set(err, DISP_POISON, 0, "%zu is foreign", number);
    size_t *body = arena_alloc(arena, sizeof(*body));
    assert_non_null(body);
    *body = number;
    *ret = (struct message){RECORD_STOCK_RELEASED, body};
    return true;
}

static void look_at(const struct span_feed_batch *batch, size_t i, size_t number) {
    const struct message *message = &batch->messages[i];
    assert_int_equal(batch->records.items[i].offset, number);
    assert_int_equal(message->type, type_of(number));
    if (type_of(number) == RECORD_COUNT)
        assert_null(message->body);
    else
        assert_int_equal(*(const size_t *)message->body, number);
}

// Takes so many batches. Returns what came in place of the next one.
static enum wire_fetched take(struct span_feed *feed, size_t count, size_t *ret_taken,
                              struct error *err) {
    for (*ret_taken = 0; *ret_taken < count; ++*ret_taken) {
        const struct span_feed_batch *batch = NULL;
        const enum wire_fetched found = span_feed_next(feed, PATIENCE_MS, &batch, err);
        if (found != WIRE_FETCHED)
            return found;
        assert_int_equal(batch->span, *ret_taken % SPANS);
        assert_int_equal(batch->records.count, RECORDS);
        for (int looks = 0; looks < 2; looks++)
            for (size_t i = 0; i < RECORDS; i++)
                look_at(batch, i, *ret_taken * RECORDS + i);
    }
    return WIRE_FETCHED;
}

static void all_comes_in_order_and_then_the_outcome(void **state) {
    (void)state;
    static const enum wire_fetched outcomes[] = {WIRE_FETCH_ENDED, WIRE_FETCH_FAILED};
    for (size_t i = 0; i < 2; i++) {
        bool is_freed = false;
        struct wire_fetch fetch = {.count = BATCHES, .outcome = outcomes[i], .is_freed = &is_freed};
        struct error err = {0};
        size_t taken;
        struct span_feed *feed = span_feed_new(&fetch, NULL, &err);
        assert_non_null(feed);
        assert_int_equal(take(feed, SIZE_MAX, &taken, &err), outcomes[i]);
        assert_int_equal(taken, BATCHES);
        assert_int_equal(err.code, outcomes[i] == WIRE_FETCH_FAILED ? 6 : 0);
        span_feed_free(feed);
        assert_true(is_freed);
    }
}

static void it_can_be_given_up_at_any_time(void **state) {
    (void)state;
    for (size_t count = 0; count < 30; count++) {
        bool is_freed = false;
        struct wire_fetch fetch = {
            .count = BATCHES, .outcome = WIRE_FETCH_ENDED, .is_freed = &is_freed};
        struct error err = {0};
        size_t taken;
        struct span_feed *feed = span_feed_new(&fetch, NULL, &err);
        assert_non_null(feed);
        assert_int_equal(take(feed, count, &taken, &err), WIRE_FETCHED);
        span_feed_free(feed);
        assert_true(is_freed);
        assert_true(fetch.given < count + 10); // a bounded number waits
    }
}

static void who_asks_in_vain_is_told_so(void **state) {
    (void)state;
    bool is_freed = false;
    struct wire_fetch fetch = {.outcome = WIRE_FETCH_WAITS, .is_freed = &is_freed};
    struct error err = {0};
    const struct span_feed_batch *batch;
    struct span_feed *feed = span_feed_new(&fetch, NULL, &err);
    assert_non_null(feed);
    assert_int_equal(span_feed_next(feed, AT_ONCE_MS, &batch, &err), WIRE_FETCH_WAITS);
    span_feed_free(feed);
    assert_true(is_freed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_in_order_and_then_the_outcome),
        cmocka_unit_test(it_can_be_given_up_at_any_time),
        cmocka_unit_test(who_asks_in_vain_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
