// SPDX-License-Identifier: Apache-2.0
//
// The client of a carrier against the real simulator in a process of its own: every call is
// answered in the end, takes effect once, and in the order in which it was asked.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/carrier.h"
#include "service/clock.h"
#include "simulated.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DONE_MAX = 4096, CALLS_MAX = 3000 };

static struct simulated simulated;
static struct carrier *carrier;
static struct carrier_completion done[DONE_MAX]; // by token
static int done_at[DONE_MAX];                    // 1, 2, 3 in the order of answers; 0: none yet
static int done_count;

static void connect_to(const char *url) {
    const struct http_client_options options = {
        .name = "carrier",
        .url = url,
        .in_flight_max = CALLS_MAX,
        .connections_max = 20,
        .connect_timeout_ms = 300,
        .timeout_ms = 500,
        .backoff_max_ms = 50,
        .breaker_failures = 5,
        .breaker_open_ms = 20,
    };
    struct error err = {0};
    carrier = carrier_http_new(&options, &err);
    if (!carrier)
        fail_msg("%s", err.msg);
    memset(done_at, 0, sizeof(done_at));
    done_count = 0;
}

static void start_and_connect(const char *const *more) {
    simulated_start(&simulated, more);
    connect_to(simulated.url);
}

static int begin(void **state) {
    (void)state;
    simulated_init(&simulated, "carrier");
    return 0;
}

static int end(void **state) {
    (void)state;
    if (carrier)
        carrier->free(carrier);
    carrier = NULL;
    simulated_done(&simulated);
    return 0;
}

static struct id id_of(const char *what, uint64_t number) {
    struct id cause = id_hash(&(struct id_part){.bytes = what, .len = (uint32_t)strlen(what)}, 1);
    return id_derive(&cause, number);
}

static void ask(uint64_t token, uint64_t shipment, enum shipment_action action) {
    const struct carrier_call call = {.token = token,
                                      .shipment_id = id_of("shipment", shipment),
                                      .order_id = id_of("order", shipment),
                                      .action = action};
    struct error err = {0};
    if (!carrier->submit(carrier, &call, &err))
        fail_msg("%s", err.msg);
}

static void poll_once(void) {
    struct carrier_completion batch[64];
    size_t count = carrier->poll(carrier, clock_now_us(), batch, 64);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(batch[i].token, 0, DONE_MAX - 1);
        assert_int_equal(done_at[batch[i].token], 0); // one answer each
        done[batch[i].token] = batch[i];
        done_at[batch[i].token] = ++done_count;
    }
    if (carrier->next_due_us(carrier) > clock_now_us())
        simulated_breathe(&simulated);
}

static void wait_for(int count) {
    int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
    while (done_count < count && clock_monotonic_ms() < deadline_ms)
        poll_once();
    assert_int_equal(done_count, count);
}

static int booked(uint64_t shipment, const char *action, const char *result) {
    struct id id = id_of("shipment", shipment);
    return simulated_ledger_lines(&simulated, id_text(&id).text, action, result);
}

static const char *word(uint64_t token) {
    return shipment_result_names[done[token].result];
}

// ---- a parcel's way ----------------------------------------------------------------------------

static void a_parcel_is_booked_reported_fetched_and_delivered(void **state) {
    (void)state;
    start_and_connect(
        (const char *const[]){"--dispatch-after-ms", "150", "--deliver-after-ms", "200", NULL});
    ask(0, 1, SHIPMENT_ACTION_BOOK);
    wait_for(1);
    assert_string_equal(word(0), "BOOKED");
    assert_memory_equal(done[0].tracking, "SIM-", 4);
    assert_true(done[0].track_ready);
    assert_false(done[0].track_delivered);

    int64_t start_ms = clock_monotonic_ms();
    ask(1, 1, SHIPMENT_ACTION_TRACK_READY);
    wait_for(2);
    assert_string_equal(word(1), "READY");
    assert_in_range(clock_monotonic_ms() - start_ms, 50, 10000);

    ask(2, 1, SHIPMENT_ACTION_DISPATCH);
    wait_for(3);
    assert_string_equal(word(2), "DISPATCHED");
    assert_false(done[2].track_ready);
    assert_true(done[2].track_delivered);
    ask(3, 1, SHIPMENT_ACTION_TRACK_DELIVERED);
    ask(4, 1, SHIPMENT_ACTION_CANCEL);
    wait_for(5);
    assert_string_equal(word(3), "DELIVERED");
    assert_string_equal(word(4), "DISPATCHED"); // too late
    assert_string_equal(done[4].reason, "the parcel has left");
    assert_false(done[4].track_delivered);
    assert_int_equal(booked(1, NULL, NULL), 3);
}

static void a_manual_carrier_reports_nothing(void **state) {
    (void)state;
    start_and_connect((const char *const[]){"--manual", NULL});
    ask(0, 1, SHIPMENT_ACTION_BOOK);
    ask(1, 1, SHIPMENT_ACTION_DISPATCH);
    wait_for(2);
    assert_false(done[0].track_ready);
    assert_false(done[1].track_delivered);
}

static void a_cancelled_shipment_cannot_be_booked_or_fetched(void **state) {
    (void)state;
    start_and_connect(NULL);
    ask(0, 1, SHIPMENT_ACTION_CANCEL);
    ask(1, 1, SHIPMENT_ACTION_BOOK);
    ask(2, 1, SHIPMENT_ACTION_DISPATCH);
    wait_for(3);
    assert_string_equal(word(0), "CANCELLED");
    assert_string_equal(word(1), "BOOKING_FAILED");
    assert_string_equal(done[1].reason, "the shipment was cancelled before");
    assert_string_equal(word(2), "CANCELLED");
    assert_int_equal(booked(1, "BOOK", "BOOKED"), 0);
}

static void a_shipment_nobody_knows_is_for_people(void **state) {
    (void)state;
    start_and_connect(NULL);
    ask(0, 1, SHIPMENT_ACTION_TRACK_READY);
    wait_for(1);
    assert_string_equal(word(0), "BOOKING_FAILED");
    assert_string_equal(done[0].reason, "the carrier does not know the shipment");
}

// ---- trouble -----------------------------------------------------------------------------------

static void calls_keep_their_order_and_happen_once_however_bad_the_line(void **state) {
    (void)state;
    enum { SHIPMENTS = 200 };
    start_and_connect((const char *const[]){"--lose-percent", "25", "--break-percent", "25",
                                            "--seed", "11", NULL});
    for (uint64_t i = 0; i < SHIPMENTS; i++) {
        ask(3 * i, i, SHIPMENT_ACTION_BOOK);
        ask(3 * i + 1, i, SHIPMENT_ACTION_DISPATCH);
        ask(3 * i + 2, i, SHIPMENT_ACTION_CANCEL);
    }
    wait_for(3 * SHIPMENTS);
    for (uint64_t i = 0; i < SHIPMENTS; i++) {
        assert_string_equal(word(3 * i), "BOOKED");
        assert_string_equal(word(3 * i + 1), "DISPATCHED");
        assert_string_equal(word(3 * i + 2), "DISPATCHED");
        assert_true(done_at[3 * i] < done_at[3 * i + 1]);
        assert_true(done_at[3 * i + 1] < done_at[3 * i + 2]);
        assert_int_equal(booked(i, "BOOK", "BOOKED"), 1);
        assert_int_equal(booked(i, "DISPATCH", "DISPATCHED"), 1);
        assert_int_equal(booked(i, NULL, NULL), 2);
    }
    assert_int_equal(carrier->room(carrier), CALLS_MAX);
}

static void calls_outlast_a_carrier_that_is_away(void **state) {
    (void)state;
    connect_to(simulated.url);
    for (uint64_t i = 0; i < 50; i++)
        ask(i, i, SHIPMENT_ACTION_BOOK);
    int64_t until_ms = clock_monotonic_ms() + 300;
    while (clock_monotonic_ms() < until_ms)
        poll_once();
    assert_int_equal(done_count, 0);
    simulated_start(&simulated, NULL);
    wait_for(50);
    for (uint64_t i = 0; i < 50; i++)
        assert_string_equal(word(i), "BOOKED");
}

static void a_carrier_killed_on_the_way_delivers_once(void **state) {
    (void)state;
    enum { SHIPMENTS = 100 };
    static const char *const slow[] = {"--deliver-after-ms", "400", NULL};
    start_and_connect(slow);
    for (uint64_t i = 0; i < SHIPMENTS; i++) {
        ask(2 * i, i, SHIPMENT_ACTION_BOOK);
        ask(2 * i + 1, i, SHIPMENT_ACTION_DISPATCH);
    }
    while (done_count < SHIPMENTS)
        poll_once();
    simulated_kill(&simulated, SIGKILL);
    poll_once();
    simulated_start(&simulated, slow);
    wait_for(2 * SHIPMENTS);
    for (uint64_t i = 0; i < SHIPMENTS; i++)
        ask(2 * SHIPMENTS + i, i, SHIPMENT_ACTION_TRACK_DELIVERED);
    poll_once();
    simulated_kill(&simulated, SIGKILL);
    poll_once();
    simulated_start(&simulated, slow);
    wait_for(3 * SHIPMENTS);
    for (uint64_t i = 0; i < SHIPMENTS; i++) {
        assert_string_equal(word(2 * SHIPMENTS + i), "DELIVERED");
        assert_int_equal(booked(i, NULL, NULL), 3);
    }
}

static void a_refused_request_is_not_repeated_for_ever(void **state) {
    (void)state;
    static struct liar liar; // outlives a test that fails
    liar_start(&liar, "HTTP/1.1 422 No\r\nConnection: close\r\n\r\n{}");
    connect_to(liar.url);
    ask(0, 1, SHIPMENT_ACTION_BOOK);
    wait_for(1);
    assert_string_equal(word(0), "BOOKING_FAILED");
    assert_string_equal(done[0].reason, "the carrier refused the request: 422");
    assert_int_equal(atomic_load(&liar.requests), 1);
    liar_stop(&liar);
}

static void a_shipment_that_was_cancelled_is_not_asked_after_for_ever(void **state) {
    (void)state;
    static struct liar liar;
    struct id shipment = id_of("shipment", 1);
    char answer[256];
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 409 No\r\nConnection: close\r\n\r\n"
                   "{\"shipment_id\":\"%s\",\"status\":\"cancelled\",\"reason\":\"by us\"}",
                   id_text(&shipment).text);
    liar_start(&liar, answer);
    connect_to(liar.url);
    for (int action = 0; action < SHIPMENT_ACTION_COUNT; action++)
        ask((uint64_t)action, 1, (enum shipment_action)action);
    wait_for(SHIPMENT_ACTION_COUNT);
    for (uint64_t action = 0; action < SHIPMENT_ACTION_COUNT; action++) {
        assert_string_equal(word(action), "CANCELLED");
        assert_string_equal(done[action].reason, "by us");
        assert_false(done[action].track_ready || done[action].track_delivered);
    }
    assert_int_equal(atomic_load(&liar.requests), SHIPMENT_ACTION_COUNT);
    liar_stop(&liar);
}

// ---- many --------------------------------------------------------------------------------------

static void tracking_thousands_holds_up_nothing(void **state) {
    (void)state;
    enum { SHIPMENTS = 1500 };
    start_and_connect((const char *const[]){"--dispatch-after-ms", "3600000", NULL});
    for (uint64_t i = 0; i < SHIPMENTS; i++)
        ask(i, i, SHIPMENT_ACTION_BOOK);
    wait_for(SHIPMENTS);
    for (uint64_t i = 0; i < SHIPMENTS - 1; i++)
        ask(SHIPMENTS + i, i, SHIPMENT_ACTION_TRACK_READY);
    // The parcel that is tracked can be called off meanwhile.
    ask(2 * SHIPMENTS, 0, SHIPMENT_ACTION_CANCEL);
    wait_for(SHIPMENTS + 1);
    assert_string_equal(word(2 * SHIPMENTS), "CANCELLED");
    assert_int_equal(carrier->room(carrier), CALLS_MAX - SHIPMENTS + 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_parcel_is_booked_reported_fetched_and_delivered),
        TEST(a_manual_carrier_reports_nothing),
        TEST(a_cancelled_shipment_cannot_be_booked_or_fetched),
        TEST(a_shipment_nobody_knows_is_for_people),
        TEST(calls_keep_their_order_and_happen_once_however_bad_the_line),
        TEST(calls_outlast_a_carrier_that_is_away),
        TEST(a_carrier_killed_on_the_way_delivers_once),
        TEST(a_refused_request_is_not_repeated_for_ever),
        TEST(a_shipment_that_was_cancelled_is_not_asked_after_for_ever),
        TEST(tracking_thousands_holds_up_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
