// SPDX-License-Identifier: Apache-2.0
//
// The four domains wired by queues in memory, with the simulated provider and carrier: what Kafka
// promises (order per key, everything delivered once) and nothing more. Orders compete for too
// little stock, payments decline, stall and get lost, people cancel, dispatch and deliver at any
// moment, executors crash and ask again. When all is quiet, stock and money must add up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/executor.h"
#include "domain/inventory.h"
#include "domain/order.h"
#include "event/types.h"
#include "process/carrier.h"
#include "process/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ORDERS = 8, SKUS = 3, QUEUE_MAX = 512, CALLS_MAX = 256, STOCK = 12 };

static const char *const methods[] = {
    "tok_ok",      "tok_ok",   "tok_decline",    "tok_delay_3000",
    "tok_timeout", "tok_lost", "tok_delay_9000", "tok_capture_decline"};
static const char *const sku_names[SKUS] = {"A", "B", "C"};

struct letter {
    enum record_id type;
    void *body;
};

struct queue {
    struct letter letters[QUEUE_MAX];
    int first, last;
};

static struct saga {
    struct arena arena; // everything of one run
    struct policy policy;
    int64_t now_us;
    struct order *orders[ORDERS];
    struct id order_ids[ORDERS];
    struct order_line lines[ORDERS][SKUS + 1];
    struct stock stocks[SKUS];
    struct reservation reservations[ORDERS][SKUS];
    struct remembered_command remembered;
    struct queue order_inbox[ORDERS], sku_inbox[SKUS], payment_inbox[ORDERS],
        shipping_inbox[ORDERS];
    struct provider *provider;
    struct carrier *carrier;
    const struct request_payment *payments[CALLS_MAX]; // in flight, by token
    const struct request_shipment *shipments[CALLS_MAX];
    uint64_t payments_count, shipments_count;
    int commands;
} saga;

static uint64_t random_state;

static int random_below(int bound) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((random_state >> 33) % (uint64_t)bound);
}

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

// ---- queues ------------------------------------------------------------------------------------

static int order_index(const struct id *order_id) {
    for (int i = 0; i < ORDERS; i++)
        if (id_equal(&saga.order_ids[i], order_id))
            return i;
    fail_msg("a message to an order that nobody placed");
    return -1;
}

static void put(struct queue *queue, enum record_id type, void *body) {
    assert_in_range(queue->last, 0, QUEUE_MAX - 1);
    queue->letters[queue->last++] = (struct letter){.type = type, .body = body};
}

static bool take(struct queue *queue, struct letter *ret) {
    if (queue->first == queue->last)
        return false;
    *ret = queue->letters[queue->first++];
    return true;
}

static void deliver_messages(const struct decision *decision) {
    assert_false(decision->out_of_memory);
    for (uint32_t i = 0; i < decision->messages_count; i++) {
        const struct decided *message = &decision->messages[i];
        switch ((int)message->type) {
        case RECORD_REQUEST_STOCK: {
            const struct request_stock *request = message->body;
            put(&saga.sku_inbox[request->sku.ptr[0] - 'A'], message->type, message->body);
            break;
        }
        case RECORD_REQUEST_PAYMENT: {
            const struct request_payment *request = message->body;
            put(&saga.payment_inbox[order_index(&request->order_id)], message->type, message->body);
            break;
        }
        case RECORD_REQUEST_SHIPMENT: {
            const struct request_shipment *request = message->body;
            put(&saga.shipping_inbox[order_index(&request->order_id)], message->type,
                message->body);
            break;
        }
        default: {
            // The answers all have their order id behind the shop.
            const struct stock_answered *answer = message->body;
            put(&saga.order_inbox[order_index(&answer->order_id)], message->type, message->body);
        }
        }
    }
}

static struct decision decision;

static void decision_anew(void) {
    decision_begin(&decision, &saga.arena, &saga.policy, saga.now_us);
}

// ---- the four roles ----------------------------------------------------------------------------

static bool order_turn(int i) {
    struct letter letter;
    if (!take(&saga.order_inbox[i], &letter))
        return false;
    decision_anew();
    const struct id *key_id = order_input_key(letter.type, letter.body);
    struct remembered_command remembered = {0}; // every command here has a key of its own
    order_decide(&decision, &saga.orders[i], key_id ? &remembered : NULL, letter.type, letter.body);
    deliver_messages(&decision);
    return true;
}

// Judged only when the order's inbox is read.
static bool deadline_turn(int i) {
    struct order *order = saga.orders[i];
    if (!order || saga.order_inbox[i].first != saga.order_inbox[i].last ||
        order_deadline_us(order) > saga.now_us)
        return false;
    decision_anew();
    order_decide_deadline(&decision, order);
    deliver_messages(&decision);
    return true;
}

static bool sku_turn(int sku) {
    struct letter letter;
    if (!take(&saga.sku_inbox[sku], &letter))
        return false;
    const struct request_stock *request = letter.body;
    int order = order_index(&request->order_id);
    struct inventory_slice slice = {.stock = &saga.stocks[sku],
                                    .reservation = &saga.reservations[order][sku]};
    decision_anew();
    inventory_decide(&decision, &slice, letter.type, letter.body);
    deliver_messages(&decision);
    return true;
}

static bool submit_payment(const struct request_payment *request) {
    const struct provider_call call = {
        .token = saga.payments_count,
        .payment_id = request->payment_id,
        .order_id = request->order_id,
        .action = request->action,
        .amount_minor = request->amount_minor,
        .currency = request->currency,
        .method = request->payment_method,
    };
    assert_in_range(saga.payments_count, 0, CALLS_MAX - 1);
    saga.payments[saga.payments_count++] = request;
    return saga.provider->submit(saga.provider, &call, NULL);
}

static bool payment_turn(int i) {
    struct letter letter;
    if (!take(&saga.payment_inbox[i], &letter))
        return false;
    assert_true(submit_payment(letter.body));
    return true;
}

static bool submit_shipment(const struct request_shipment *request) {
    const struct carrier_call call = {
        .token = saga.shipments_count,
        .shipment_id = request->shipment_id,
        .order_id = request->order_id,
        .action = request->action,
    };
    assert_in_range(saga.shipments_count, 0, CALLS_MAX - 1);
    saga.shipments[saga.shipments_count++] = request;
    return saga.carrier->submit(saga.carrier, &call, NULL);
}

static bool shipping_turn(int i) {
    struct letter letter;
    if (!take(&saga.shipping_inbox[i], &letter))
        return false;
    assert_true(submit_shipment(letter.body));
    return true;
}

static bool payment_poll(void) {
    struct provider_completion done[8];
    size_t count = saga.provider->poll(saga.provider, saga.now_us, done, 8);
    for (size_t i = 0; i < count; i++) {
        const struct payment_reply reply = {.result = done[i].result};
        decision_anew();
        assert_non_null(saga.payments[done[i].token]);
        payment_decide_reply(&decision, saga.payments[done[i].token], &reply);
        saga.payments[done[i].token] = NULL;
        deliver_messages(&decision);
    }
    return count > 0;
}

static bool shipping_poll(void) {
    struct carrier_completion done[8];
    size_t count = saga.carrier->poll(saga.carrier, saga.now_us, done, 8);
    for (size_t i = 0; i < count; i++) {
        if (!saga.shipments[done[i].token])
            continue; // asked by somebody who died
        const struct shipment_reply reply = {.result = done[i].result,
                                             .track_ready = done[i].track_ready,
                                             .track_delivered = done[i].track_delivered};
        decision_anew();
        shipment_decide_reply(&decision, saga.shipments[done[i].token], &reply);
        saga.shipments[done[i].token] = NULL;
        deliver_messages(&decision);
    }
    return count > 0;
}

// The executor dies: what it asked may have happened, and is asked again under the same keys.
static void crash_executors(void) {
    uint64_t payments = saga.payments_count;
    for (uint64_t i = 0; i < payments; i++) {
        const struct request_payment *request = saga.payments[i];
        if (!request)
            continue;
        saga.provider->forget(saga.provider, i);
        saga.payments[i] = NULL;
        assert_true(submit_payment(request));
    }
    uint64_t shipments = saga.shipments_count;
    for (uint64_t i = 0; i < shipments; i++) {
        const struct request_shipment *request = saga.shipments[i];
        if (!request)
            continue;
        saga.shipments[i] = NULL;
        assert_true(submit_shipment(request));
    }
}

// ---- people ------------------------------------------------------------------------------------

static void place(int i) {
    struct place_order *place = arena_alloc(&saga.arena, sizeof(*place));
    assert_non_null(place);
    uint32_t lines_count = (uint32_t)(1 + random_below(SKUS + 1));
    for (uint32_t line = 0; line < lines_count; line++)
        saga.lines[i][line] = (struct order_line){
            .sku = view(sku_names[random_below(SKUS)]),
            .quantity = 1 + random_below(3),
            .unit_price_minor = random_below(100),
        };
    *place = (struct place_order){
        .command_id = id_derive(&saga.order_ids[i], 1),
        .key_id = saga.order_ids[i],
        .shop_id = view("main"),
        .order_id = saga.order_ids[i],
        .idempotency_key = view("k"),
        .customer_id = view("c"),
        .currency = view("EUR"),
        .payment_method = view(methods[random_below(sizeof(methods) / sizeof(methods[0]))]),
        .lines = saga.lines[i],
        .lines_count = lines_count,
    };
    put(&saga.order_inbox[i], RECORD_PLACE_ORDER, place);
}

static void command(int i) {
    // The three commands begin alike, and a cancel is the largest.
    struct cancel_order *command = arena_alloc(&saga.arena, sizeof(*command));
    assert_non_null(command);
    *command = (struct cancel_order){
        .shop_id = view("main"), .order_id = saga.order_ids[i], .idempotency_key = view("k")};
    command->command_id = command->key_id =
        id_derive(&saga.order_ids[i], (uint64_t)(1000 + saga.commands++));
    static const enum record_id types[] = {RECORD_CANCEL_ORDER, RECORD_DISPATCH_ORDER,
                                           RECORD_DELIVER_ORDER};
    put(&saga.order_inbox[i], types[random_below(3)], command);
}

// ---- a run -------------------------------------------------------------------------------------

static void saga_begin(void) {
    memset(&saga, 0, sizeof(saga));
    arena_init(&saga.arena, 256 << 20);
    saga.policy = (struct policy){.reservation_ttl_us = 1000000 + random_below(30000000),
                                  .payment_timeout_us = 5000000,
                                  .payment_lookups_max = 3,
                                  .command_window_us = INT64_C(86400000000)};
    saga.now_us = INT64_C(1700000000000000);
    struct error err;
    struct provider *sim = provider_sim_new("", 64, &err);
    assert_non_null(sim);
    saga.provider = provider_calls_new(sim, 2000000, CALLS_MAX, &err);
    const struct carrier_sim_options options = {.ledger_path = "",
                                                .automatic = true,
                                                .dispatch_after_us = 200000,
                                                .deliver_after_us = 300000,
                                                .in_flight_max = CALLS_MAX};
    saga.carrier = carrier_sim_new(&options, &err);
    assert_true(saga.provider && saga.carrier);
    for (int sku = 0; sku < SKUS; sku++)
        saga.stocks[sku] = (struct stock){.version = 1, .on_hand = STOCK, .received = STOCK};
    struct id seed = id_hash(&(struct id_part){.bytes = "saga", .len = 4}, 1);
    for (int i = 0; i < ORDERS; i++) {
        saga.order_ids[i] = id_derive(&seed, (uint64_t)i);
        place(i);
    }
}

static void saga_end(void) {
    saga.provider->free(saga.provider);
    saga.carrier->free(saga.carrier);
    arena_done(&saga.arena);
}

static bool any_turn(int which, int key) {
    switch (which) {
    case 0:
        return order_turn(key);
    case 1:
        return key < SKUS && sku_turn(key);
    case 2:
        return payment_turn(key);
    case 3:
        return shipping_turn(key);
    case 4:
        return deadline_turn(key);
    case 5:
        return payment_poll();
    default:
        return shipping_poll();
    }
}

static bool some_turn_left(void) {
    for (int which = 0; which < 7; which++)
        for (int key = 0; key < ORDERS; key++)
            if (any_turn(which, key))
                return true;
    return false;
}

static int64_t next_moment_us(void) {
    int64_t next_us = saga.provider->next_due_us(saga.provider);
    int64_t carrier_us = saga.carrier->next_due_us(saga.carrier);
    if (carrier_us < next_us)
        next_us = carrier_us;
    for (int i = 0; i < ORDERS; i++)
        if (saga.orders[i] && order_deadline_us(saga.orders[i]) < next_us)
            next_us = order_deadline_us(saga.orders[i]);
    return next_us;
}

static void run(void) {
    int disturbances = random_below(12);
    for (int step = 0; step < 400; step++) {
        (void)any_turn(random_below(7), random_below(ORDERS));
        if (random_below(20) == 0)
            saga.now_us += random_below(2000000);
        if (disturbances > 0 && random_below(30) == 0) {
            disturbances--;
            if (random_below(4))
                command(random_below(ORDERS));
            else
                crash_executors();
        }
    }
    for (int rounds = 0;; rounds++) {
        assert_in_range(rounds, 0, 10000);
        if (some_turn_left())
            continue;
        int64_t next_us = next_moment_us();
        if (next_us == INT64_MAX)
            return;
        if (next_us > saga.now_us)
            saga.now_us = next_us;
    }
}

// ---- what must be true in the end --------------------------------------------------------------

static enum payment_result looked_up(int i) {
    const struct provider_call call = {.token = 1000000,
                                       .payment_id = id_derive(&saga.order_ids[i], 'P'),
                                       .order_id = saga.order_ids[i],
                                       .action = PAYMENT_ACTION_LOOKUP};
    assert_true(saga.provider->submit(saga.provider, &call, NULL));
    struct provider_completion done;
    for (int polls = 0; polls < 10; polls++)
        if (saga.provider->poll(saga.provider, saga.now_us, &done, 1) == 1)
            return done.result;
    fail_msg("no answer to a look-up");
    return PAYMENT_RESULT_UNKNOWN;
}

static void check_money(int i, enum order_status status) {
    enum payment_result paid = looked_up(i);
    bool unpaid = paid == PAYMENT_RESULT_VOIDED || paid == PAYMENT_RESULT_DECLINED ||
                  paid == PAYMENT_RESULT_NOT_FOUND;
    if (status == ORDER_STATUS_COMPLETED)
        assert_int_equal(paid, PAYMENT_RESULT_CAPTURED);
    else if (status == ORDER_STATUS_NEEDS_ATTENTION)
        assert_int_equal(paid, PAYMENT_RESULT_AUTHORIZED); // the capture was declined
    else
        assert_true(unpaid);
}

static void check_end(void) {
    int64_t sold[SKUS] = {0};
    for (int i = 0; i < ORDERS; i++) {
        enum order_status status = order_status(saga.orders[i]);
        if (!order_is_closed(saga.orders[i]) && status != ORDER_STATUS_NEEDS_ATTENTION)
            fail_msg("order %d is still %s", i, order_status_names[status]);
        check_money(i, status);
        bool left = status == ORDER_STATUS_COMPLETED || status == ORDER_STATUS_NEEDS_ATTENTION;
        for (uint32_t line = 0; left && line < SKUS + 1; line++)
            if (saga.lines[i][line].quantity > 0)
                sold[saga.lines[i][line].sku.ptr[0] - 'A'] += saga.lines[i][line].quantity;
    }
    for (int sku = 0; sku < SKUS; sku++) {
        assert_int_equal(saga.stocks[sku].reserved, 0);
        assert_int_equal(saga.stocks[sku].sold, sold[sku]);
        assert_int_equal(saga.stocks[sku].on_hand, STOCK - sold[sku]);
    }
}

static void stock_and_money_are_conserved_whatever_happens(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    int runs = getenv("ORDERLOG_TEST_LONG") ? 20000 : 1000;
    printf("seed %llu (ORDERLOG_TEST_SEED repeats it), %d runs\n", (unsigned long long)seed, runs);
    int ended[ORDER_STATUS_COUNT] = {0};
    for (int i = 0; i < runs; i++) {
        random_state = seed + (uint64_t)i;
        saga_begin();
        run();
        for (int order = 0; order < ORDERS; order++)
            ended[order_status(saga.orders[order])]++;
        check_end();
        saga_end();
    }
    // All ends were tried, or the test tests little.
    for (int status = ORDER_STATUS_COMPLETED; status < ORDER_STATUS_COUNT; status++)
        printf("%s %d\n", order_status_names[status], ended[status]);
    assert_true(ended[ORDER_STATUS_COMPLETED] && ended[ORDER_STATUS_CANCELLED] &&
                ended[ORDER_STATUS_REJECTED] && ended[ORDER_STATUS_EXPIRED] &&
                ended[ORDER_STATUS_NEEDS_ATTENTION]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_and_money_are_conserved_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
