// SPDX-License-Identifier: Apache-2.0
//
// The simulated provider: what each payment method does, one effect per payment whatever is asked
// how often, and books that outlive it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/provider.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/orderlog-provider-XXXXXX";
static char path[64];
static struct provider *provider;
static int64_t now_us;

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/ledger", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static void start(void) {
    struct error err;
    provider = provider_sim_new(path, 4, &err);
    if (!provider)
        fail_msg("%s", err.msg);
}

static int begin(void **state) {
    (void)state;
    now_us = 1000000;
    start();
    return 0;
}

static int end(void **state) {
    (void)state;
    provider->free(provider);
    return unlink(path);
}

static struct id id_of(const char *what) {
    return id_hash(&(struct id_part){.bytes = what, .len = strlen(what)}, 1);
}

static bool ask(uint64_t token, const char *payment, enum payment_action action,
                const char *method) {
    const struct provider_call call = {
        .token = token,
        .payment_id = id_of(payment),
        .order_id = id_of("order"),
        .action = action,
        .amount_minor = 1300,
        .currency = {"EUR", 3},
        .method = {method, (uint32_t)strlen(method)},
    };
    return provider->submit(provider, &call, NULL);
}

// The name of the result, "" while there is none.
static const char *answer(uint64_t token) {
    struct provider_completion done[8];
    size_t count = provider->poll(provider, now_us, done, 8);
    for (size_t i = 0; i < count; i++)
        if (done[i].token == token)
            return payment_result_names[done[i].result];
    assert_int_equal(count, 0);
    return "";
}

static const char *asked(const char *payment, enum payment_action action, const char *method) {
    static uint64_t token = 100;
    assert_true(ask(++token, payment, action, method));
    return answer(token);
}

static void a_payment_is_authorised_captured_and_looked_up(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "NOT_FOUND");
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked("p", PAYMENT_ACTION_CAPTURE, "tok_ok"), "CAPTURED");
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "CAPTURED");
    assert_string_equal(asked("p", PAYMENT_ACTION_VOID, "tok_ok"), "DECLINED");
}

static void the_same_call_twice_has_one_effect_and_the_same_answer(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked("p", PAYMENT_ACTION_CAPTURE, "tok_ok"), "CAPTURED");
    assert_string_equal(asked("p", PAYMENT_ACTION_CAPTURE, "tok_ok"), "CAPTURED");
    assert_string_equal(asked("q", PAYMENT_ACTION_AUTHORIZE, "tok_decline"), "DECLINED");
    // Even when the second asks with a better card.
    assert_string_equal(asked("q", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "DECLINED");
    assert_string_equal(asked("r", PAYMENT_ACTION_VOID, "tok_ok"), "VOIDED");
    assert_string_equal(asked("r", PAYMENT_ACTION_VOID, "tok_ok"), "VOIDED");

    FILE *ledger = fopen(path, "r");
    assert_non_null(ledger);
    int lines = 0;
    for (int c; (c = fgetc(ledger)) != EOF;)
        lines += c == '\n';
    (void)fclose(ledger);
    assert_int_equal(lines, 4);
}

static void a_payment_voided_before_it_was_authorised_is_declined(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_VOID, "tok_ok"), "VOIDED");
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "DECLINED");
    assert_string_equal(asked("p", PAYMENT_ACTION_CAPTURE, "tok_ok"), "DECLINED");
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "VOIDED");
}

static void nothing_is_captured_that_is_not_held(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_CAPTURE, "tok_ok"), "DECLINED");
    assert_string_equal(asked("q", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    assert_string_equal(asked("q", PAYMENT_ACTION_VOID, "tok_ok"), "VOIDED");
    assert_string_equal(asked("q", PAYMENT_ACTION_CAPTURE, "tok_ok"), "DECLINED");
    assert_string_equal(asked("r", PAYMENT_ACTION_AUTHORIZE, "tok_capture_decline"), "AUTHORIZED");
    assert_string_equal(asked("r", PAYMENT_ACTION_CAPTURE, "tok_capture_decline"), "DECLINED");
}

static void a_delayed_answer_comes_when_it_is_due(void **state) {
    (void)state;
    assert_true(ask(1, "p", PAYMENT_ACTION_AUTHORIZE, "tok_delay_250"));
    assert_string_equal(answer(1), "");
    assert_int_equal(provider->next_due_us(provider), now_us + 250000);
    now_us += 249999;
    assert_string_equal(answer(1), "");
    now_us += 1;
    assert_string_equal(answer(1), "AUTHORIZED");
    assert_int_equal(provider->next_due_us(provider), INT64_MAX);
}

static void answers_come_in_the_order_they_are_due(void **state) {
    (void)state;
    assert_true(ask(1, "a", PAYMENT_ACTION_AUTHORIZE, "tok_delay_30"));
    assert_true(ask(2, "b", PAYMENT_ACTION_AUTHORIZE, "tok_delay_10"));
    assert_true(ask(3, "c", PAYMENT_ACTION_AUTHORIZE, "tok_delay_20"));
    assert_true(ask(4, "d", PAYMENT_ACTION_AUTHORIZE, "tok_delay_10"));
    struct provider_completion done[4];
    assert_int_equal(provider->poll(provider, now_us, done, 4), 0);
    assert_int_equal(provider->poll(provider, now_us + 40000, done, 4), 4);
    static const uint64_t expected[] = {2, 4, 3, 1};
    for (int i = 0; i < 4; i++)
        assert_int_equal(done[i].token, expected[i]);
}

static void a_lost_answer_was_a_charge_and_a_time_out_was_none(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_lost"), "");
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_lost"), "AUTHORIZED");
    assert_string_equal(asked("q", PAYMENT_ACTION_AUTHORIZE, "tok_timeout"), "");
    assert_string_equal(asked("q", PAYMENT_ACTION_LOOKUP, "tok_timeout"), "NOT_FOUND");
    now_us += INT64_C(1000000000000);
    assert_string_equal(answer(0), "");
}

static void calls_in_flight_are_bounded(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(provider->room(provider), 4 - i);
        assert_true(ask(i, "p", PAYMENT_ACTION_AUTHORIZE, "tok_timeout"));
    }
    struct error err;
    const struct provider_call call = {.token = 9};
    assert_false(provider->submit(provider, &call, &err));
    assert_int_equal(err.what, DISP_RETRY);
    assert_string_equal(answer(0), "");
    // A call that nobody waits for gives its place back.
    provider->forget(provider, 2);
    assert_int_equal(provider->room(provider), 1);
    assert_string_equal(asked("q", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
}

static void a_forgotten_call_may_still_charge(void **state) {
    (void)state;
    assert_true(ask(1, "p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"));
    provider->forget(provider, 1);
    assert_string_equal(answer(1), "");
    assert_int_equal(provider->room(provider), 4);
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "AUTHORIZED");
}

static void a_call_with_too_long_a_method_is_malformed(void **state) {
    (void)state;
    char method[PROVIDER_METHOD_MAX + 1];
    memset(method, 'x', sizeof(method));
    struct provider_call call = {.method = {method, sizeof(method)}};
    struct error err;
    assert_false(provider->submit(provider, &call, &err));
    assert_int_equal(err.what, DISP_POISON);
    call.method.len = PROVIDER_METHOD_MAX;
    assert_true(provider->submit(provider, &call, &err));
}

static void the_books_outlive_the_provider(void **state) {
    (void)state;
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_ok"), "AUTHORIZED");
    provider->free(provider);
    start();
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "AUTHORIZED");
}

// The child charges, says so, and is killed before anybody hears the provider's answer.
static void a_charge_survives_kill_9_and_is_made_once(void **state) {
    (void)state;
    int said[2], held[2];
    assert_int_equal(pipe(said), 0);
    assert_int_equal(pipe(held), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        provider = provider_sim_new(path, 4, NULL);
        struct provider_completion done[1];
        if (!provider || !ask(1, "p", PAYMENT_ACTION_AUTHORIZE, "tok_delay_3000") ||
            provider->poll(provider, now_us, done, 1) != 0 || write(said[1], "x", 1) != 1)
            _exit(1);
        // Waits to be killed, or for the end of its parent.
        (void)close(held[1]);
        _exit((int)read(held[0], &now_us, 1));
    }
    char byte;
    assert_int_equal(read(said[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(said[0]);
    (void)close(said[1]);
    (void)close(held[0]);
    (void)close(held[1]);
    assert_string_equal(asked("p", PAYMENT_ACTION_AUTHORIZE, "tok_delay_3000"), "AUTHORIZED");
    assert_string_equal(asked("p", PAYMENT_ACTION_LOOKUP, "tok_ok"), "AUTHORIZED");
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(a_payment_is_authorised_captured_and_looked_up),
        TOLD(the_same_call_twice_has_one_effect_and_the_same_answer),
        TOLD(a_payment_voided_before_it_was_authorised_is_declined),
        TOLD(nothing_is_captured_that_is_not_held),
        TOLD(a_delayed_answer_comes_when_it_is_due),
        TOLD(answers_come_in_the_order_they_are_due),
        TOLD(a_lost_answer_was_a_charge_and_a_time_out_was_none),
        TOLD(calls_in_flight_are_bounded),
        TOLD(a_forgotten_call_may_still_charge),
        TOLD(a_call_with_too_long_a_method_is_malformed),
        TOLD(the_books_outlive_the_provider),
        TOLD(a_charge_survives_kill_9_and_is_made_once),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
