// SPDX-License-Identifier: Apache-2.0
//
// One order as its processor would keep it, for tests that read "given, when, then". Every input is
// decided twice from the same saved block, as after an undo; every event is encoded and decoded as
// on its way through Kafka; and after every input the order folded anew from its events must equal
// the live one byte by byte. What came out is kept as text:
//
//   order_world_cancel(&world, "c1");
//   assert_string_equal(world.events, "OrderCancelled");
//   assert_string_equal(world.messages, "RELEASE:A:2 VOID");
#ifndef ORDERLOG_TESTS_ORDER_WORLD_H
#define ORDERLOG_TESTS_ORDER_WORLD_H

#include "domain/order.h"

enum { WORLD_TEXT_MAX = 1 << 17 };

struct world_event {
    enum record_id type;
    void *body; // decoded, in the world's arena
};

enum { WORLD_KEYS_MAX = 64 };

// What is remembered of commands, by key.
struct world_memory {
    struct remembered_command commands[WORLD_KEYS_MAX];
    uint32_t count;
};

struct order_world {
    struct policy policy;
    struct arena arena; // of the whole test
    int64_t now_us;
    struct order *order; // owned; NULL: unknown
    struct world_memory memory;
    struct world_event *log; // owned: all events, refusals included
    uint32_t log_count;
    uint32_t log_capacity;
    bool recalls; // closed orders are closed and recalled, as in production (default)

    // Of the last input.
    struct decided *sent; // messages, decoded, in the arena
    uint32_t sent_count;
    uint32_t events_count;
    char events[WORLD_TEXT_MAX];
    char messages[WORLD_TEXT_MAX];

    // Last known of the order.
    struct order_head head;
    int32_t attempt; // of the last RequestPayment
};

void order_world_init(struct order_world *world);
void order_world_done(struct order_world *world);

// Any input of orders.inbox.
void order_world_give(struct order_world *world, enum record_id type, const void *input);

// The order all tests place unless they say otherwise: A twice (1 + 1) and B (3), 1,300 minor
// units.
extern const struct order_line order_world_lines[3];
struct place_order order_world_place_command(const char *content);
struct id order_world_id(const char *name); // a command or key id made of a name

void order_world_place(struct order_world *world);
void order_world_cancel(struct order_world *world, const char *name);
void order_world_dispatch(struct order_world *world, const char *name);
void order_world_deliver(struct order_world *world, const char *name);
void order_world_stock(struct order_world *world, const char *sku, enum stock_result result,
                       int64_t available);
void order_world_payment(struct order_world *world, enum payment_action action,
                         enum payment_result result); // attempt of the last request
void order_world_shipment(struct order_world *world, enum shipment_action action,
                          enum shipment_result result);
// Moves the clock there and lets every deadline that has passed be decided.
void order_world_time(struct order_world *world, int64_t now_us);

// The last event of the log; asserts its type.
const void *order_world_last(const struct order_world *world, enum record_id type);

struct view order_world_view(const char *text);

#endif
