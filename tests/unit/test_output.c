// SPDX-License-Identifier: Apache-2.0
//
// What cannot be written is found out before anything is: the decision is poison, and the producer
// (which here has no client to send with) has not been asked.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/output.h"

#define VIEW(text) ((struct view){.ptr = (text), .len = sizeof(text) - 1})

enum { PARTITIONS = 4, MEMORY_MAX = 64 << 20, LARGE = 2 << 20 };

static struct output *output;
static struct producer producer;
static struct events_sent sent[PARTITIONS];
static struct arena arena;
static struct decision decision;

static int setup(void **state) {
    (void)state;
    int32_t partitions[TOPIC_COUNT];
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        partitions[i] = PARTITIONS;
    struct error err;
    struct schema_ids *ids = schema_ids_new(NULL, &clock_system);
    *state = ids;
    assert_true(schema_ids_add(ids, TOPIC_ORDERS_EVENTS, RECORD_ORDER_CANCELLED, 1, &err));
    assert_true(schema_ids_add(ids, TOPIC_INVENTORY_INBOX, RECORD_REQUEST_STOCK, 2, &err));
    output = output_new(DOMAIN_ORDER, ids, partitions);
    producer = (struct producer){.events = sent};
    arena_init(&producer.payload, MEMORY_MAX);
    arena_init(&arena, MEMORY_MAX);
    output_begin(output, &producer);
    static const struct policy policy;
    decision_begin(&decision, &arena, &policy, 1);
    return 0;
}

static int teardown(void **state) {
    output_free(output);
    arena_done(&producer.payload);
    arena_done(&arena);
    (void)schema_ids_free(*state);
    return 0;
}

static void assert_poison(const char *reason) {
    struct error err = {0};
    assert_false(output_decision(output, 0, &decision, &err));
    assert_int_equal(err.what, DISP_POISON);
    if (!strstr(err.msg, reason))
        fail_msg("the reason should say '%s': %s", reason, err.msg);
    assert_int_equal(output_events_count(output, 0), 0);
}

static struct order_cancelled *cancelled(void) {
    struct order_cancelled *event =
        decision_event(&decision, RECORD_ORDER_CANCELLED, sizeof(*event));
    event->shop_id = VIEW("main");
    return event;
}

static void an_event_that_no_topic_takes_is_poison_whatever_comes_before_it(void **state) {
    (void)state;
    (void)cancelled();
    struct order_cancelled *event = cancelled();
    char *shop = decision_alloc(&decision, LARGE);
    memset(shop, 'x', LARGE);
    event->shop_id = (struct view){.ptr = shop, .len = LARGE};
    assert_poison("OrderCancelled of more than");
}

static void a_message_that_no_inbox_takes_is_poison(void **state) {
    (void)state;
    (void)cancelled();
    struct request_stock *message =
        decision_message(&decision, RECORD_REQUEST_STOCK, sizeof(*message));
    char *sku = decision_alloc(&decision, LARGE);
    memset(sku, 'x', LARGE);
    message->shop_id = VIEW("main");
    message->sku = (struct view){.ptr = sku, .len = LARGE};
    assert_poison("RequestStock of more than");
}

static void a_message_that_cannot_be_addressed_is_poison(void **state) {
    (void)state;
    (void)cancelled();
    struct request_stock *message =
        decision_message(&decision, RECORD_REQUEST_STOCK, sizeof(*message));
    message->shop_id = VIEW("main");
    message->sku = VIEW("a/b");
    assert_poison("sku must have");
}

static void a_decision_that_ran_out_of_memory_is_poison(void **state) {
    (void)state;
    (void)cancelled();
    assert_null(decision_alloc(&decision, MEMORY_MAX + 1));
    assert_poison("memory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_event_that_no_topic_takes_is_poison_whatever_comes_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_that_no_inbox_takes_is_poison, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_that_cannot_be_addressed_is_poison, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_decision_that_ran_out_of_memory_is_poison, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
