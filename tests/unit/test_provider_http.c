// SPDX-License-Identifier: Apache-2.0
//
// The client of a payment provider against the real simulator in a process of its own: whatever is
// lost between the two, nobody is charged twice, and every call is answered in time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/provider.h"
#include "service/clock.h"
#include "simulated.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Patient where an answer is expected, brief where none is.
enum { PATIENT_MS = 10000, BRIEF_MS = 500, CALLS_MAX = 4096, DONE_MAX = 4096 };

static struct simulated simulated;
static struct provider *provider;
static struct provider_completion done[DONE_MAX]; // by token
static bool is_done[DONE_MAX];
static int done_count;

static struct http_client_options options_for(const char *url) {
    return (struct http_client_options){
        .name = "payment provider",
        .url = url,
        .in_flight_max = 2000,
        .connections_max = 100,
        .connect_timeout_ms = 300,
        .timeout_ms = 400,
        .retries_max = 2,
        .backoff_max_ms = 100,
        .breaker_failures = 5,
        .breaker_open_ms = 100,
    };
}

static void connect_with(const struct http_client_options *options, int64_t call_timeout_ms) {
    struct error err = {0};
    struct provider *inner = provider_http_new(options, &err);
    if (!inner)
        fail_msg("%s", err.msg);
    provider = provider_calls_new(inner, call_timeout_ms * 1000, CALLS_MAX, &err);
    assert_non_null(provider);
    memset(is_done, 0, sizeof(is_done));
    done_count = 0;
}

static void connect_to(const char *url) {
    struct http_client_options options = options_for(url);
    connect_with(&options, PATIENT_MS);
}

static void connect_briefly(const char *url) {
    struct http_client_options options = options_for(url);
    connect_with(&options, BRIEF_MS);
}

static void disconnect(void) {
    if (provider)
        provider->free(provider);
    provider = NULL;
}

static int begin(void **state) {
    (void)state;
    simulated_init(&simulated, "provider");
    return 0;
}

static int end(void **state) {
    (void)state;
    disconnect();
    simulated_done(&simulated);
    return 0;
}

// ---- asking ------------------------------------------------------------------------------------

static struct id id_of(const char *what, uint64_t number) {
    struct id cause = id_hash(&(struct id_part){.bytes = what, .len = (uint32_t)strlen(what)}, 1);
    return id_derive(&cause, number);
}

static void ask(uint64_t token, uint64_t payment, enum payment_action action, const char *method) {
    const struct provider_call call = {
        .token = token,
        .payment_id = id_of("payment", payment),
        .order_id = id_of("order", payment),
        .action = action,
        .amount_minor = 1234,
        .currency = {"EUR", 3},
        .method = {method, (uint32_t)strlen(method)},
    };
    struct error err = {0};
    if (!provider->submit(provider, &call, &err))
        fail_msg("%s", err.msg);
}

static void poll_once(void) {
    struct provider_completion batch[64];
    size_t count = provider->poll(provider, clock_now_us(), batch, 64);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(batch[i].token, 0, DONE_MAX - 1);
        assert_false(is_done[batch[i].token]); // one answer each
        is_done[batch[i].token] = true;
        done[batch[i].token] = batch[i];
        done_count++;
    }
    if (provider->next_due_us(provider) > clock_now_us())
        simulated_breathe(&simulated);
}

static void wait_for(int count) {
    int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
    while (done_count < count && clock_monotonic_ms() < deadline_ms)
        poll_once();
    assert_int_equal(done_count, count);
}

static const char *asked(uint64_t payment, enum payment_action action, const char *method) {
    static uint64_t token;
    uint64_t mine = DONE_MAX / 2 + token++ % (DONE_MAX / 2);
    is_done[mine] = false;
    int before = done_count;
    ask(mine, payment, action, method);
    wait_for(before + 1);
    return payment_result_names[done[mine].result];
}

// As an order does: until there is an answer.
static const char *looked_up(uint64_t payment, const char *method) {
    int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
    const char *found = "UNKNOWN";
    while (strcmp(found, "UNKNOWN") == 0 && clock_monotonic_ms() < deadline_ms)
        found = asked(payment, PAYMENT_ACTION_LOOKUP, method);
    return found;
}

static int booked(uint64_t payment, const char *action, const char *result) {
    struct id id = id_of("payment", payment);
    return simulated_ledger_lines(&simulated, id_text(&id).text, action, result);
}

// ---- answers -----------------------------------------------------------------------------------

static void a_payment_is_held_and_taken(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    assert_string_equal(asked(1, PAYMENT_ACTION_LOOKUP, "tok_ok"), "NOT_FOUND");
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked(1, PAYMENT_ACTION_CAPTURE, "tok_ok"), "CAPTURED");
    assert_string_equal(asked(1, PAYMENT_ACTION_LOOKUP, "tok_ok"), "CAPTURED");
    assert_string_equal(asked(1, PAYMENT_ACTION_VOID, "tok_ok"), "DECLINED");
    assert_int_equal(booked(1, NULL, NULL), 2);
}

static void a_refusal_is_a_refusal_with_its_reason(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    ask(0, 1, PAYMENT_ACTION_AUTHORIZE, "tok_decline");
    wait_for(1);
    assert_int_equal(done[0].result, PAYMENT_RESULT_DECLINED);
    assert_string_equal(done[0].reason, "the payment method was declined");
    assert_string_equal(asked(3, PAYMENT_ACTION_AUTHORIZE, "\"a\\n\"}é"), "AUTHORIZED");
    assert_string_equal(asked(2, PAYMENT_ACTION_AUTHORIZE, "tok_capture_decline"), "AUTHORIZED");
    assert_string_equal(asked(2, PAYMENT_ACTION_CAPTURE, "tok_capture_decline"), "DECLINED");
}

static void a_void_before_its_authorisation_stands(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    assert_string_equal(asked(1, PAYMENT_ACTION_VOID, "tok_ok"), "VOIDED");
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "DECLINED");
    assert_string_equal(asked(1, PAYMENT_ACTION_LOOKUP, "tok_ok"), "VOIDED");
    assert_int_equal(booked(1, "AUTHORIZE", "AUTHORIZED"), 0);
}

// ---- trouble -----------------------------------------------------------------------------------

static void a_lost_answer_was_one_charge(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_briefly(simulated.url);
    int64_t start_ms = clock_monotonic_ms();
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_lost"), "UNKNOWN");
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 10 * BRIEF_MS);
    assert_string_equal(looked_up(1, "tok_lost"), "AUTHORIZED");
    assert_int_equal(booked(1, "AUTHORIZE", "AUTHORIZED"), 1);
}

static void an_error_after_the_charge_was_one_charge(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    ask(0, 1, PAYMENT_ACTION_AUTHORIZE, "tok_broken");
    wait_for(1);
    assert_int_equal(done[0].result, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(done[0].reason, "the provider answered with an error");
    assert_string_equal(looked_up(1, "tok_broken"), "AUTHORIZED");
    assert_int_equal(booked(1, "AUTHORIZE", "AUTHORIZED"), 1);
}

static void a_slow_answer_is_asked_for_again_and_was_one_charge(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_delay_300"), "AUTHORIZED");
    assert_string_equal(asked(2, PAYMENT_ACTION_AUTHORIZE, "tok_delay_5000"), "AUTHORIZED");
    assert_int_equal(booked(1, "AUTHORIZE", "AUTHORIZED"), 1);
    assert_int_equal(booked(2, "AUTHORIZE", "AUTHORIZED"), 1);
}

static void no_answer_is_unknown_in_time_and_was_no_charge(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    connect_briefly(simulated.url);
    int64_t start_ms = clock_monotonic_ms();
    assert_string_equal(asked(1, PAYMENT_ACTION_AUTHORIZE, "tok_timeout"), "UNKNOWN");
    assert_in_range(clock_monotonic_ms() - start_ms, BRIEF_MS - 10, 10 * BRIEF_MS);
    assert_string_equal(looked_up(1, "tok_timeout"), "NOT_FOUND");
    assert_int_equal(booked(1, NULL, NULL), 0);
}

static void answers_lost_by_chance_never_charge_twice(void **state) {
    (void)state;
    simulated_start(&simulated, (const char *const[]){"--lose-percent", "25", "--break-percent",
                                                      "15", "--seed", "7", NULL});
    connect_to(simulated.url);
    for (uint64_t i = 0; i < 300; i++)
        ask(i, i, PAYMENT_ACTION_AUTHORIZE, "tok_ok");
    wait_for(300);
    for (uint64_t i = 0; i < 300; i++) {
        assert_in_set(done[i].result,
                      ((unsigned long[]){PAYMENT_RESULT_AUTHORIZED, PAYMENT_RESULT_UNKNOWN}), 2);
        assert_in_range(booked(i, "AUTHORIZE", "AUTHORIZED"),
                        done[i].result == PAYMENT_RESULT_AUTHORIZED, 1);
    }
}

// ---- a provider that is not there --------------------------------------------------------------

static void an_absent_provider_is_unknown_in_time_and_comes_back(void **state) {
    (void)state;
    connect_briefly(simulated.url);
    int64_t start_ms = clock_monotonic_ms();
    for (uint64_t i = 0; i < 200; i++)
        ask(i, i, PAYMENT_ACTION_AUTHORIZE, "tok_ok");
    wait_for(200);
    assert_in_range(clock_monotonic_ms() - start_ms, BRIEF_MS - 10, 10 * BRIEF_MS);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(done[i].result, PAYMENT_RESULT_UNKNOWN);

    // Asked while it is still away, answered once it is there.
    ask(200, 200, PAYMENT_ACTION_AUTHORIZE, "tok_ok");
    poll_once();
    simulated_start(&simulated, NULL);
    wait_for(201);
    int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
    while (strcmp(asked(201, PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED") != 0)
        assert_in_range(clock_monotonic_ms(), 0, deadline_ms);
    assert_int_equal(booked(201, "AUTHORIZE", "AUTHORIZED"), 1);
}

static void an_open_breaker_keeps_calls_off_a_sick_provider(void **state) {
    (void)state;
    static struct liar liar; // outlives a test that fails
    liar_start(&liar, NULL);
    connect_briefly(liar.url);
    for (uint64_t i = 0; i < 1000; i++)
        ask(i, i, PAYMENT_ACTION_AUTHORIZE, "tok_ok");
    wait_for(1000);
    // The first hundred went out at once; then one probe at a time, the pause doubling from 50 ms.
    assert_in_range(atomic_load(&liar.requests), 5, 100 + 20);
    disconnect();
    liar_stop(&liar);
}

static void a_provider_killed_in_the_middle_charges_once_each(void **state) {
    (void)state;
    enum { PAYMENTS = 400, KILLS = 5 };
    simulated_start(&simulated, NULL);
    connect_to(simulated.url);
    for (uint64_t i = 0; i < PAYMENTS; i++)
        ask(i, i, PAYMENT_ACTION_AUTHORIZE, "tok_delay_20");
    for (int kill = 0; kill < KILLS; kill++) {
        int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
        while (done_count < 70 * (kill + 1) && clock_monotonic_ms() < deadline_ms)
            poll_once();
        simulated_kill(&simulated, SIGKILL);
        poll_once();
        simulated_start(&simulated, NULL);
    }
    wait_for(PAYMENTS);
    // Whoever does not know asks again under the same key.
    for (uint64_t i = 0; i < PAYMENTS; i++)
        if (done[i].result != PAYMENT_RESULT_AUTHORIZED)
            assert_string_equal(asked(i, PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    for (uint64_t i = 0; i < PAYMENTS; i++)
        assert_int_equal(booked(i, "AUTHORIZE", "AUTHORIZED"), 1);
    assert_int_equal(simulated_ledger_lines(&simulated, NULL, NULL, NULL), PAYMENTS);
}

// ---- liars -------------------------------------------------------------------------------------

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n"

static void expect_lie(const char *answer, bool padded, enum payment_action action,
                       enum payment_result result) {
    static struct liar liar; // outlives a test that fails
    liar_start(&liar, answer);
    liar.padded = padded;
    if (result == PAYMENT_RESULT_UNKNOWN)
        connect_briefly(liar.url);
    else
        connect_to(liar.url);
    ask(0, 1, action, "tok_ok");
    wait_for(1);
    if (done[0].result != result)
        fail_msg("%s to %s is %s", answer ? answer : "nothing", payment_action_names[action],
                 payment_result_names[done[0].result]);
    assert_true(atomic_load(&liar.requests) > 0);
    assert_int_equal(atomic_load(&liar.other_keys), 0); // the same key however often it asked
    struct id payment = id_of("payment", 1);
    if (action == PAYMENT_ACTION_AUTHORIZE) {
        char key[128];
        (void)snprintf(key, sizeof(key), "%s-authorize", id_text(&payment).text);
        assert_string_equal(liar.first_key, key);
    }
    disconnect();
    liar_stop(&liar);
}

static void nothing_is_believed_that_does_not_name_the_payment(void **state) {
    (void)state;
    static const char *const lies[] = {
        HEAD("200 OK") "\r\n",
        HEAD("200 OK") "\r\n{\"status\":\"authorized\"}",
        HEAD("200 OK") "\r\n{\"payment_id\":\"01900000-0000-7000-8000-000000000001\","
                       "\"status\":\"authorized\"}",
        HEAD("200 OK") "\r\n{\"payment_id\":7,\"status\":\"declined\"}",
        HEAD("200 OK") "\r\n{\"payment_id\":\"",
        HEAD("200 OK") "\r\n[[[[[[[[[[[[[[[[[[[[[",
        HEAD("200 OK") "Content-Length: 9999\r\n\r\nauthorized",
        HEAD("204 No Content") "\r\n",
        HEAD("302 Found") "Location: http://127.0.0.1:1/\r\n\r\n",
        HEAD("402 Payment Required") "\r\n<html>declined</html>",
        HEAD("400 Bad Request") "\r\n",
        HEAD("401 Unauthorized") "\r\n",
        HEAD("404 Not Found") "\r\n<html>not_found</html>",
        HEAD("500 Internal Server Error") "\r\n",
        HEAD("503 Service Unavailable") "Retry-After: 0\r\n\r\n",
        "not HTTP at all\r\n\r\n",
        NULL,
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        expect_lie(lies[i], false, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
        if (i % 4 == 0 || (lies[i] && strstr(lies[i], " 404 ")))
            expect_lie(lies[i], false, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_UNKNOWN);
    }
    expect_lie(HEAD("200 OK") "\r\n", true, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
}

static const char *lie_of(const char *status, const char *word) {
    static char text[512];
    struct id payment = id_of("payment", 1);
    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 %s\r\nConnection: close\r\n\r\n{\"payment_id\":\"%s\",\"status\":"
                   "\"%s\",\"reason\":\"\\u0007%s\"}",
                   status, id_text(&payment).text, word, "äääääääääääääääääääääääääääääääääääääää");
    return text;
}

static void an_answer_must_fit_what_was_asked(void **state) {
    (void)state;
    expect_lie(lie_of("200 OK", "authorized"), false, PAYMENT_ACTION_AUTHORIZE,
               PAYMENT_RESULT_AUTHORIZED);
    // Cut where a character begins, without control characters.
    assert_string_equal(done[0].reason, " äääääääääääääääääääääääääääääää");
    expect_lie(lie_of("402 No", "declined"), false, PAYMENT_ACTION_AUTHORIZE,
               PAYMENT_RESULT_DECLINED);
    expect_lie(lie_of("404 No", "not_found"), false, PAYMENT_ACTION_LOOKUP,
               PAYMENT_RESULT_NOT_FOUND);
    expect_lie(lie_of("200 OK", "voided"), false, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
    expect_lie(lie_of("200 OK", "authorized"), false, PAYMENT_ACTION_VOID, PAYMENT_RESULT_UNKNOWN);
    expect_lie(lie_of("200 OK", "not_found"), false, PAYMENT_ACTION_CAPTURE,
               PAYMENT_RESULT_UNKNOWN);
    expect_lie(lie_of("500 No", "declined"), false, PAYMENT_ACTION_AUTHORIZE,
               PAYMENT_RESULT_UNKNOWN);
    expect_lie(lie_of("200 OK", "unknown"), false, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_UNKNOWN);
}

// ---- many --------------------------------------------------------------------------------------

static void a_thousand_calls_are_in_flight_together(void **state) {
    (void)state;
    simulated_start(&simulated, NULL);
    struct http_client_options options = options_for(simulated.url);
    options.connections_max = 1000;
    options.timeout_ms = 10000;
    connect_with(&options, 10000);
    int64_t start_ms = clock_monotonic_ms();
    for (uint64_t i = 0; i < 1000; i++)
        ask(i, i, PAYMENT_ACTION_AUTHORIZE, "tok_delay_1000");
    wait_for(1000);
    // One after the other it would have been a quarter of an hour.
    assert_in_range(clock_monotonic_ms() - start_ms, 1000, 8000);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(done[i].result, PAYMENT_RESULT_AUTHORIZED);
    assert_int_equal(simulated_ledger_lines(&simulated, NULL, "AUTHORIZE", "AUTHORIZED"), 1000);
    assert_int_equal(provider->room(provider), CALLS_MAX);
}

static void a_bad_url_is_refused_at_the_start(void **state) {
    (void)state;
    static const char *const urls[] = {"", "/", "ftp://x", "provider:80", "file:///etc/passwd"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct http_client_options options = options_for(urls[i]);
        struct error err = {0};
        assert_null(provider_http_new(&options, &err));
        assert_int_equal(err.what, DISP_FATAL);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_payment_is_held_and_taken),
        TEST(a_refusal_is_a_refusal_with_its_reason),
        TEST(a_void_before_its_authorisation_stands),
        TEST(a_lost_answer_was_one_charge),
        TEST(an_error_after_the_charge_was_one_charge),
        TEST(a_slow_answer_is_asked_for_again_and_was_one_charge),
        TEST(no_answer_is_unknown_in_time_and_was_no_charge),
        TEST(answers_lost_by_chance_never_charge_twice),
        TEST(an_absent_provider_is_unknown_in_time_and_comes_back),
        TEST(an_open_breaker_keeps_calls_off_a_sick_provider),
        TEST(a_provider_killed_in_the_middle_charges_once_each),
        TEST(nothing_is_believed_that_does_not_name_the_payment),
        TEST(an_answer_must_fit_what_was_asked),
        TEST(a_thousand_calls_are_in_flight_together),
        TEST(a_bad_url_is_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
