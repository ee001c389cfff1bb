// SPDX-License-Identifier: Apache-2.0
//
// One call per order at a time, and an answer to every call, if only UNKNOWN. The provider behind
// is a puppet: it takes calls and completes those that the test names.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_US = 1000, CALLS_MAX = 64, TAKEN_MAX = 4096 };

static struct puppet {
    struct provider provider;
    struct provider_call taken[TAKEN_MAX];
    bool open[TAKEN_MAX]; // taken, and neither completed nor forgotten
    int taken_count;
    size_t takes_max; // in flight
    size_t in_flight;
    struct provider_completion done[TAKEN_MAX];
    int done_first, done_count;
    int forgotten;
    bool freed;
} puppet;

static struct provider *calls;
static int64_t now_us;

static bool puppet_submit(struct provider *provider, const struct provider_call *call,
                          struct error *err) {
    (void)provider;
    if (puppet.in_flight == puppet.takes_max)
        return error_set(err, DISP_RETRY, 0, "full");
    assert_in_range(puppet.taken_count, 0, TAKEN_MAX - 1);
    for (int i = 0; i < puppet.taken_count; i++)
        if (puppet.open[i] && id_equal(&puppet.taken[i].order_id, &call->order_id))
            fail_msg("two calls of one order at a time");
    puppet.in_flight++;
    puppet.open[puppet.taken_count] = true;
    puppet.taken[puppet.taken_count++] = *call;
    return true;
}

static size_t puppet_room(struct provider *provider) {
    (void)provider;
    return puppet.takes_max - puppet.in_flight;
}

static size_t puppet_poll(struct provider *provider, int64_t at_us, struct provider_completion *out,
                          size_t max) {
    (void)provider;
    (void)at_us;
    size_t count = 0;
    while (count < max && puppet.done_first < puppet.done_count)
        out[count++] = puppet.done[puppet.done_first++];
    return count;
}

static int64_t puppet_next_due_us(struct provider *provider) {
    (void)provider;
    return puppet.done_first < puppet.done_count ? 0 : INT64_MAX;
}

static void puppet_forget(struct provider *provider, uint64_t token) {
    (void)provider;
    puppet.forgotten++;
    for (int i = 0; i < puppet.taken_count; i++) {
        if (puppet.open[i] && puppet.taken[i].token == token) {
            puppet.open[i] = false;
            puppet.in_flight--;
        }
    }
}

static void puppet_free(struct provider *provider) {
    (void)provider;
    puppet.freed = true;
}

static int begin(void **state) {
    (void)state;
    memset(&puppet, 0, sizeof(puppet));
    puppet.provider = (struct provider){puppet_submit,      puppet_room,   puppet_poll,
                                        puppet_next_due_us, puppet_forget, puppet_free};
    puppet.takes_max = 32;
    now_us = 5000000;
    calls = provider_calls_new(&puppet.provider, TIMEOUT_US, CALLS_MAX, NULL);
    return calls ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    calls->free(calls);
    return puppet.freed ? 0 : -1;
}

static struct id order_of(uint64_t number) {
    struct id cause = id_hash(&(struct id_part){.bytes = "order", .len = 5}, 1);
    return id_derive(&cause, number);
}

static bool ask(uint64_t token, uint64_t order) {
    char method[] = "tok_ok";
    const struct provider_call call = {
        .token = token,
        .order_id = order_of(order),
        .payment_id = order_of(order),
        .amount_minor = (int64_t)token,
        .currency = {"EUR", 3},
        .method = {method, 6},
    };
    bool taken = calls->submit(calls, &call, NULL);
    memset(method, 'x', sizeof(method)); // the caller's texts are gone after submit
    return taken;
}

// Also of a call that was forgotten: a late answer.
static void complete(int taken, enum payment_result result) {
    if (puppet.open[taken])
        puppet.in_flight--;
    puppet.open[taken] = false;
    puppet.done[puppet.done_count++] =
        (struct provider_completion){.token = puppet.taken[taken].token, .result = result};
}

// Polls until nothing more comes; what came as text: "1:AUTHORIZED 2:UNKNOWN".
static const char *answers(void) {
    static char text[4096];
    text[0] = '\0';
    struct provider_completion done[3];
    for (size_t count; (count = calls->poll(calls, now_us, done, 3)) > 0;)
        for (size_t i = 0; i < count; i++)
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%llu:%s",
                           text[0] ? " " : "", (unsigned long long)done[i].token,
                           payment_result_names[done[i].result]);
    return text;
}

static void calls_of_one_order_go_one_after_the_other(void **state) {
    (void)state;
    assert_true(ask(1, 7) && ask(2, 7) && ask(3, 8) && ask(4, 7));
    assert_string_equal(answers(), "");
    assert_int_equal(puppet.taken_count, 2);
    assert_int_equal(puppet.taken[0].amount_minor, 1);
    assert_int_equal(puppet.taken[1].amount_minor, 3);
    complete(0, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(answers(), "1:AUTHORIZED");
    assert_int_equal(puppet.taken_count, 3);
    assert_int_equal(puppet.taken[2].amount_minor, 2);
    assert_memory_equal(puppet.taken[2].method.ptr, "tok_ok", 6);
    assert_memory_equal(puppet.taken[2].currency.ptr, "EUR", 3);
    complete(2, PAYMENT_RESULT_CAPTURED);
    complete(1, PAYMENT_RESULT_DECLINED);
    assert_string_equal(answers(), "2:CAPTURED 3:DECLINED");
    assert_int_equal(puppet.taken[3].amount_minor, 4);
}

static void a_call_without_an_answer_is_unknown(void **state) {
    (void)state;
    assert_true(ask(1, 7) && ask(2, 7));
    assert_int_equal(calls->next_due_us(calls), 0);
    assert_string_equal(answers(), "");
    assert_int_equal(calls->next_due_us(calls), now_us + TIMEOUT_US);
    now_us += TIMEOUT_US - 1;
    assert_string_equal(answers(), "");
    now_us += 1;
    assert_string_equal(answers(), "1:UNKNOWN");
    assert_int_equal(puppet.forgotten, 1);
    // The next one's time begins only now.
    assert_int_equal(puppet.taken_count, 2);
    now_us += TIMEOUT_US - 1;
    assert_string_equal(answers(), "");
    now_us += 1;
    assert_string_equal(answers(), "2:UNKNOWN");
    assert_int_equal(calls->next_due_us(calls), INT64_MAX);
}

static void a_late_answer_is_dropped(void **state) {
    (void)state;
    assert_true(ask(1, 7));
    assert_string_equal(answers(), "");
    now_us += TIMEOUT_US;
    assert_string_equal(answers(), "1:UNKNOWN");
    // The place is used anew; the old answer must not be taken for the new call's.
    assert_true(ask(2, 7));
    complete(0, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(answers(), "");
    complete(1, PAYMENT_RESULT_DECLINED);
    assert_string_equal(answers(), "2:DECLINED");
}

static void waiting_calls_are_bounded(void **state) {
    (void)state;
    for (uint64_t i = 0; i < CALLS_MAX; i++) {
        assert_int_equal(calls->room(calls), CALLS_MAX - i);
        assert_true(ask(i, 7));
    }
    struct error err;
    const struct provider_call call = {.token = 99};
    assert_false(calls->submit(calls, &call, &err));
    assert_int_equal(err.what, DISP_RETRY);
}

static void a_full_provider_is_asked_again(void **state) {
    (void)state;
    puppet.takes_max = 2;
    assert_true(ask(1, 1) && ask(2, 2) && ask(3, 3));
    assert_int_equal(puppet.taken_count, 2);
    assert_string_equal(answers(), "");
    complete(0, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(answers(), "1:AUTHORIZED");
    assert_int_equal(puppet.taken_count, 3);
}

static void a_forgotten_call_is_made_but_not_answered(void **state) {
    (void)state;
    assert_true(ask(1, 7) && ask(2, 7));
    calls->forget(calls, 2);
    complete(0, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(answers(), "1:AUTHORIZED");
    assert_int_equal(puppet.taken_count, 2);
    complete(1, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(answers(), "");
    assert_int_equal(calls->room(calls), CALLS_MAX);
}

// Any mix: every call is answered exactly once, and the provider never sees two of one order.
static void every_call_is_answered_once_whatever_happens(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (ORDERLOG_TEST_SEED repeats it)\n", seed);
    srand(seed);
    static int answered[TAKEN_MAX];
    memset(answered, 0, sizeof(answered));
    puppet.takes_max = 5;
    uint64_t asked = 0, answers_count = 0;
    for (int step = 0; step < 15000 || answers_count < asked; step++) {
        assert_in_range(step, 0, 40000);
        if (asked < TAKEN_MAX - 1 && step < 15000 && rand() % 3 == 0 && calls->room(calls) > 0)
            assert_true(ask(asked++, (uint64_t)(rand() % 6)));
        // Any call, answered for the second time or late as it may be.
        if (puppet.taken_count && puppet.done_count < TAKEN_MAX && rand() % 2) {
            int recent = puppet.taken_count < 8 ? puppet.taken_count : 8;
            complete(puppet.taken_count - 1 - rand() % recent, PAYMENT_RESULT_AUTHORIZED);
        }
        now_us += rand() % 50;
        struct provider_completion done[2];
        size_t count = calls->poll(calls, now_us, done, 2);
        for (size_t i = 0; i < count; i++)
            answered[done[i].token]++;
        answers_count += count;
    }
    for (uint64_t i = 0; i < asked; i++)
        assert_int_equal(answered[i], 1);
    assert_true(asked > 100);
    assert_int_equal(calls->room(calls), CALLS_MAX);
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(calls_of_one_order_go_one_after_the_other),
        TOLD(a_call_without_an_answer_is_unknown),
        TOLD(a_late_answer_is_dropped),
        TOLD(waiting_calls_are_bounded),
        TOLD(a_full_provider_is_asked_again),
        TOLD(a_forgotten_call_is_made_but_not_answered),
        TOLD(every_call_is_answered_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
