// SPDX-License-Identifier: Apache-2.0
#include "order_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ARENA_BYTES_MAX = 1 << 30, DECISION_ARENA_MAX = 1 << 26 };

static const char shop[] = "main";

struct view order_world_view(const char *text) {
    return (struct view){.ptr = text, .len = text ? (uint32_t)strlen(text) : 0};
}

struct id order_world_id(const char *name) {
    return id_hash(&(struct id_part){.bytes = name, .len = strlen(name)}, 1);
}

void order_world_init(struct order_world *world) {
    memset(world, 0, sizeof(*world));
    arena_init(&world->arena, ARENA_BYTES_MAX);
    world->policy = (struct policy){
        .reservation_ttl_us = 900000000,
        .payment_timeout_us = 30000000,
        .payment_lookups_max = 3,
        .command_window_us = INT64_C(86400000000),
    };
    world->now_us = INT64_C(1700000000000000);
    world->recalls = true;
}

void order_world_done(struct order_world *world) {
    free(world->order);
    free(world->log);
    arena_done(&world->arena);
}

// ---- what came out, as text --------------------------------------------------------------------

static void say(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *text, const char *format, ...) {
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(text + len, WORLD_TEXT_MAX - len, format, args);
    va_end(args);
    assert_true(added >= 0 && (size_t)added < WORLD_TEXT_MAX - len);
}

static void say_event(char *text, enum record_id type, const void *body) {
    say(text, "%s%s", text[0] ? " " : "", record_types[type]->name);
    switch ((int)type) {
    case RECORD_ORDER_COMMAND_REFUSED:
        say(text, ":%s", order_refusal_names[((const struct order_command_refused *)body)->reason]);
        break;
    case RECORD_ORDER_REJECTED:
        say(text, ":%s", reject_reason_names[((const struct order_rejected *)body)->reason]);
        break;
    case RECORD_ORDER_CASE_OPENED:
        say(text, ":%s", case_reason_names[((const struct order_case_opened *)body)->reason]);
        break;
    default:
        break;
    }
}

static void say_message(char *text, enum record_id type, const void *body) {
    const char *gap = text[0] ? " " : "";
    if (type == RECORD_REQUEST_STOCK) {
        const struct request_stock *request = body;
        say(text, "%s%s:%.*s:%lld", gap, stock_action_names[request->action], (int)request->sku.len,
            request->sku.ptr, (long long)request->quantity);
    } else if (type == RECORD_REQUEST_PAYMENT) {
        const struct request_payment *request = body;
        say(text, "%s%s", gap, payment_action_names[request->action]);
    } else {
        assert_int_equal(type, RECORD_REQUEST_SHIPMENT);
        const struct request_shipment *request = body;
        say(text, "%s%s", gap, shipment_action_names[request->action]);
    }
}

// ---- through the codec -------------------------------------------------------------------------

static uint8_t *encoded(struct arena *arena, const struct decided *decided, size_t *ret_len) {
    const struct record_type *type = record_types[decided->type];
    size_t size = type->size_max(decided->body);
    uint8_t *bytes = arena_alloc(arena, size);
    assert_non_null(bytes);
    uint8_t *end = type->encode(bytes, bytes + size, decided->body);
    assert_non_null(end);
    *ret_len = (size_t)(end - bytes);
    return bytes;
}

static void *travelled(struct arena *arena, const struct decided *decided) {
    const struct record_type *type = record_types[decided->type];
    size_t len;
    const uint8_t *bytes = encoded(arena, decided, &len);
    void *body = arena_alloc(arena, type->struct_size);
    struct error err;
    if (!type->decode(bytes, bytes + len, arena, body, &err))
        fail_msg("%s: %s", type->name, err.msg);
    return body;
}

static void assert_same(const struct decided *a, const struct decided *b, uint32_t count,
                        struct arena *arena) {
    for (uint32_t i = 0; i < count; i++) {
        size_t a_len, b_len;
        const uint8_t *a_bytes = encoded(arena, &a[i], &a_len);
        const uint8_t *b_bytes = encoded(arena, &b[i], &b_len);
        assert_int_equal(a[i].type, b[i].type);
        assert_int_equal(a_len, b_len);
        assert_memory_equal(a_bytes, b_bytes, a_len);
    }
}

// ---- remembered commands -----------------------------------------------------------------------

static struct remembered_command *remembered_of(struct world_memory *memory,
                                                const struct id *key_id) {
    for (uint32_t i = 0; i < memory->count; i++)
        if (id_equal(&memory->commands[i].key_id, key_id))
            return &memory->commands[i];
    assert_in_range(memory->count, 0, WORLD_KEYS_MAX - 1);
    struct remembered_command *remembered = &memory->commands[memory->count++];
    *remembered = (struct remembered_command){0};
    return remembered;
}

// ---- one input ---------------------------------------------------------------------------------

static struct order *block_copy(const struct order *order) {
    if (!order)
        return NULL;
    struct order *copy = aligned_alloc(16, (order_size(order) + 15) & ~(size_t)15);
    assert_non_null(copy);
    return memcpy(copy, order, order_size(order));
}

// As in production: closed, and recalled when it is needed.
static void recall_if_closed(struct order *order) {
    if (!order || !order_is_closed(order))
        return;
    struct order_closed closed;
    order_close(order, 0, &closed);
    order_recall(&closed, order);
    assert_int_equal(order_size(order), ORDER_RECALLED_SIZE);
}

// From nothing but the events; what is closed is recalled here too, at the same events.
static struct order *folded(const struct order_world *world, struct world_memory *memory) {
    struct order *order = NULL;
    for (uint32_t i = 0; i < world->log_count; i++) {
        const struct world_event *event = &world->log[i];
        const struct id *key_id = order_event_key(event->type, event->body);
        if (key_id)
            order_remember(remembered_of(memory, key_id), event->type, event->body);
        if (event->type == RECORD_ORDER_COMMAND_REFUSED)
            continue;
        if (event->type == RECORD_ORDER_PLACED) {
            size_t size = order_block_size(event->body);
            order = aligned_alloc(16, (size + 15) & ~(size_t)15);
            assert_non_null(order);
            memset(order, 0, size);
        }
        order_evolve(order, event->type, event->body);
        if (world->recalls)
            recall_if_closed(order);
    }
    return order;
}

static void assert_fold_is_live(const struct order_world *world) {
    struct world_memory memory = {0};
    struct order *again = folded(world, &memory);
    for (uint32_t i = 0; i < world->memory.count; i++) {
        const struct remembered_command *live = &world->memory.commands[i];
        if (!id_is_nil(&live->key_id))
            assert_memory_equal(remembered_of(&memory, &live->key_id), live, sizeof(*live));
    }
    if (!world->order) {
        assert_null(again);
        return;
    }
    assert_int_equal(order_size(again), order_size(world->order));
    assert_memory_equal(again, world->order, order_size(world->order));
    free(again);
}

static void log_append(struct order_world *world, enum record_id type, void *body) {
    if (world->log_count == world->log_capacity) {
        world->log_capacity = world->log_capacity ? 2 * world->log_capacity : 16;
        world->log = realloc(world->log, world->log_capacity * sizeof(*world->log));
        assert_non_null(world->log);
    }
    world->log[world->log_count++] = (struct world_event){.type = type, .body = body};
}

static void keep_events(struct order_world *world, const struct decision *decision) {
    world->events[0] = '\0';
    world->events_count = decision->events_count;
    for (uint32_t i = 0; i < decision->events_count; i++) {
        enum record_id type = decision->events[i].type;
        void *body = travelled(&world->arena, &decision->events[i]);
        log_append(world, type, body);
        say_event(world->events, type, body);
        if (type == RECORD_ORDER_COMMAND_REFUSED)
            continue;
        const struct order_head *head = body;
        struct id event_id = id_derive(&head->causation_id, (uint64_t)head->version);
        assert_int_equal(head->version, world->head.version + 1);
        assert_int_equal(head->occurred_at, world->now_us);
        assert_true(id_equal(&event_id, &head->event_id));
        world->head = *head;
    }
}

static void keep_messages(struct order_world *world, const struct decision *decision) {
    world->messages[0] = '\0';
    world->sent_count = decision->messages_count;
    world->sent = arena_alloc(&world->arena, (decision->messages_count + 1) * sizeof(*world->sent));
    for (uint32_t i = 0; i < decision->messages_count; i++) {
        enum record_id type = decision->messages[i].type;
        void *body = travelled(&world->arena, &decision->messages[i]);
        world->sent[i] = (struct decided){.type = type, .body = body};
        say_message(world->messages, type, body);
        if (type == RECORD_REQUEST_PAYMENT)
            world->attempt = ((const struct request_payment *)body)->attempt;
    }
}

static void decide(struct order_world *world, struct decision *decision, struct arena *arena,
                   struct order **order, struct world_memory *memory, enum record_id type,
                   const void *input) {
    const struct id *key_id = input ? order_input_key(type, input) : NULL;
    decision_begin(decision, arena, &world->policy, world->now_us);
    if (input)
        order_decide(decision, order, key_id ? remembered_of(memory, key_id) : NULL, type, input);
    else
        order_decide_deadline(decision, *order);
    assert_false(decision->out_of_memory);
}

static struct id order_id(void) {
    return order_world_id("the order");
}

// Packed and unpacked, as an order is that lies open between two inputs.
static struct order *rested(const struct order *order) {
    struct id id = order_id();
    if (order_is_closed(order))
        return block_copy(order);
    uint8_t *packed = malloc(order_packed_max(order));
    assert_non_null(packed);
    size_t len = order_pack(order, packed);
    assert_int_equal(order_unpacked_size(packed, len), order_size(order));
    assert_int_equal(order_packed_deadline_us(packed, len), order_deadline_us(order));
    assert_int_equal(order_packed_version(packed, len), order_version(order));
    struct order *again = aligned_alloc(16, (order_size(order) + 15) & ~(size_t)15);
    assert_non_null(again);
    memset(again, 0xdd, order_size(order));
    order_unpack(&id, packed, len, again);
    assert_memory_equal(again, order, order_size(order));
    free(packed);
    return again;
}

// Before anything is encoded the block moves, packed if it is open and recalled if it is closed,
// and its old place is overwritten: what was decided may not depend on it.
static void move_live(struct order_world *world, struct order *live) {
    if (!live)
        return;
    struct order *moved = rested(live);
    memset(live, 0xdd, order_size(moved));
    free(world->order);
    world->order = moved;
    if (world->recalls)
        recall_if_closed(world->order);
}

static void turn(struct order_world *world, enum record_id type, const void *input) {
    struct arena arena;
    arena_init(&arena, DECISION_ARENA_MAX);
    struct order *undone = block_copy(world->order);
    struct world_memory undone_memory = world->memory;
    struct order *first = undone;
    struct decision discarded, decision;
    decide(world, &discarded, &arena, &first, &undone_memory, type, input);

    struct order *live = world->order;
    decide(world, &decision, &arena, &live, &world->memory, type, input);
    assert_int_equal(decision.events_count, discarded.events_count);
    assert_int_equal(decision.messages_count, discarded.messages_count);
    assert_same(decision.events, discarded.events, decision.events_count, &arena);
    assert_same(decision.messages, discarded.messages, decision.messages_count, &arena);

    move_live(world, live);
    keep_events(world, &decision);
    keep_messages(world, &decision);
    if (world->order && world->events_count && world->head.version)
        assert_int_equal(world->head.status, order_status(world->order));
    assert_fold_is_live(world);
    free(undone);
    arena_done(&arena);
}

void order_world_give(struct order_world *world, enum record_id type, const void *input) {
    turn(world, type, input);
}

// ---- inputs ------------------------------------------------------------------------------------

const struct order_line order_world_lines[3] = {
    {.sku = {"A", 1}, .quantity = 1, .unit_price_minor = 200},
    {.sku = {"B", 1}, .quantity = 3, .unit_price_minor = 300},
    {.sku = {"A", 1}, .quantity = 1, .unit_price_minor = 200},
};

struct place_order order_world_place_command(const char *content) {
    return (struct place_order){
        .command_id = order_world_id(content),
        .key_id = order_id(),
        .shop_id = order_world_view(shop),
        .order_id = order_id(),
        .idempotency_key = order_world_view("k1"),
        .customer_id = order_world_view("c-17"),
        .currency = order_world_view("EUR"),
        .payment_method = order_world_view("tok_ok"),
        .lines = (struct order_line *)order_world_lines,
        .lines_count = 3,
    };
}

void order_world_place(struct order_world *world) {
    struct place_order place = order_world_place_command("content");
    order_world_give(world, RECORD_PLACE_ORDER, &place);
}

void order_world_cancel(struct order_world *world, const char *name) {
    struct cancel_order cancel = {
        .command_id = order_world_id(name),
        .key_id = order_world_id(name),
        .shop_id = order_world_view(shop),
        .order_id = order_id(),
        .idempotency_key = order_world_view(name),
        .reason = order_world_view("changed my mind"),
    };
    order_world_give(world, RECORD_CANCEL_ORDER, &cancel);
}

void order_world_dispatch(struct order_world *world, const char *name) {
    struct dispatch_order dispatch = {
        .command_id = order_world_id(name),
        .key_id = order_world_id(name),
        .shop_id = order_world_view(shop),
        .order_id = order_id(),
        .idempotency_key = order_world_view(name),
    };
    order_world_give(world, RECORD_DISPATCH_ORDER, &dispatch);
}

void order_world_deliver(struct order_world *world, const char *name) {
    struct deliver_order deliver = {
        .command_id = order_world_id(name),
        .key_id = order_world_id(name),
        .shop_id = order_world_view(shop),
        .order_id = order_id(),
        .idempotency_key = order_world_view(name),
    };
    order_world_give(world, RECORD_DELIVER_ORDER, &deliver);
}

// Answers have ids of their own; a counter in the clock's place keeps them apart.
static struct id fresh_message_id(const struct order_world *world) {
    struct id cause = order_world_id("message");
    return id_derive(&cause, world->log_count);
}

void order_world_stock(struct order_world *world, const char *sku, enum stock_result result,
                       int64_t available) {
    struct stock_answered answer = {
        .message_id = fresh_message_id(world),
        .shop_id = order_world_view(shop),
        .order_id = order_id(),
        .sku = order_world_view(sku),
        .result = result,
        .available = available,
    };
    order_world_give(world, RECORD_STOCK_ANSWERED, &answer);
}

void order_world_payment(struct order_world *world, enum payment_action action,
                         enum payment_result result) {
    struct id id = order_id();
    struct payment_answered answer = {
        .message_id = fresh_message_id(world),
        .shop_id = order_world_view(shop),
        .order_id = id,
        .payment_id = id_derive(&id, 'P'),
        .action = action,
        .attempt = world->attempt,
        .result = result,
    };
    order_world_give(world, RECORD_PAYMENT_ANSWERED, &answer);
}

void order_world_shipment(struct order_world *world, enum shipment_action action,
                          enum shipment_result result) {
    struct id id = order_id();
    struct shipment_answered answer = {
        .message_id = fresh_message_id(world),
        .shop_id = order_world_view(shop),
        .order_id = id,
        .shipment_id = id_derive(&id, 'S'),
        .action = action,
        .result = result,
        .tracking = order_world_view("T-1"),
    };
    order_world_give(world, RECORD_SHIPMENT_ANSWERED, &answer);
}

void order_world_time(struct order_world *world, int64_t now_us) {
    world->now_us = now_us;
    world->events[0] = world->messages[0] = '\0';
    world->events_count = 0;
    while (world->order && order_deadline_us(world->order) <= now_us) {
        turn(world, RECORD_COUNT, NULL);
        assert_true(world->events_count > 0);
    }
}

const void *order_world_last(const struct order_world *world, enum record_id type) {
    assert_true(world->log_count > 0);
    const struct world_event *event = &world->log[world->log_count - 1];
    assert_string_equal(record_types[event->type]->name, record_types[type]->name);
    return event->body;
}
