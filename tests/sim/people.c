// SPDX-License-Identifier: Apache-2.0
//
// Shops, customers, operators and stock keepers. What each does about one order follows from the
// seed and the order alone, so that other orders can be left out without changing it. Everybody
// retries, now and then with other content under the same key.
#include "world.h"

#include <stdlib.h>
#include <string.h>

static const char *const methods[METHOD_COUNT] = {
    "tok_ok", "tok_decline", "tok_timeout", "tok_lost", "tok_delay_1000", "tok_capture_decline"};
static const char *const sku_names[SKUS_MAX] = {"S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7"};

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct script *say(struct world *world, int64_t at_us, enum role role, enum record_id type,
                          const void *body) {
    if (world->script_count == SCRIPT_MAX)
        world_fail(world, NOBODY, NOBODY, "people say more than the script holds");
    struct script *script = &world->script[world->script_count];
    *script = (struct script){
        .at_us = at_us,
        .serial = world->script_count++,
        .role = role,
        .type = type,
        .body = body,
    };
    log_names(type, body, &script->order, &script->sku);
    return script;
}

// Once, and perhaps again with the same content.
static void say_with_retries(struct world *world, struct dice *dice, int64_t at_us, enum role role,
                             enum record_id type, const void *body) {
    (void)say(world, at_us, role, type, body);
    for (uint32_t i = 0; i < 3 && dice_one_in(dice, 8); i++)
        (void)say(world, at_us + dice_us(dice, world->spread_us), role, type, body);
}

static struct id new_key(struct world *world, const struct id *cause, uint64_t what, int order,
                         int sku) {
    uint32_t index = world->keys_count++;
    world->key_orders[index] = (int8_t)order;
    world->key_skus[index] = (int8_t)sku;
    world->key_strangers[index] = false;
    return log_indexed_id(cause, what, index);
}

static bool keys_left(const struct world *world) {
    return world->keys_count < KEYS_MAX;
}

// ---- orders ------------------------------------------------------------------------------------

static enum method draw_method(struct dice *dice) {
    uint32_t drawn = dice_below(dice, 32);
    return drawn < METHOD_COUNT ? (enum method)drawn : METHOD_OK;
}

static void draw_lines(struct world *world, struct dice *dice, struct place_order *place) {
    place->lines_count = 1 + dice_below(dice, 4);
    place->lines = world_alloc(world, place->lines_count * sizeof(*place->lines));
    for (uint32_t i = 0; i < place->lines_count; i++) {
        // The lower of two throws: the first SKUs are hot.
        uint32_t a = dice_below(dice, world->skus_count);
        uint32_t b = dice_below(dice, world->skus_count);
        place->lines[i] = (struct order_line){
            .sku = view(sku_names[a < b ? a : b]),
            .quantity = 1 + dice_below(dice, 4),
            .unit_price_minor = dice_below(dice, 5000),
        };
    }
    place->shipping_minor = dice_below(dice, 500);
    place->discount_minor = dice_one_in(dice, 4) ? dice_below(dice, 2000) : 0;
    place->tax_minor = dice_below(dice, 300);
    if (dice_one_in(dice, 64))
        place->lines[0].quantity = 0; // nobody takes such an order
}

static const struct place_order *new_place(struct world *world, struct dice *dice, int order,
                                           uint64_t content) {
    struct place_order *place = world_alloc(world, sizeof(*place));
    *place = (struct place_order){
        .command_id = id_derive(&world->order_ids[order], 1000 + content),
        .key_id = world->order_ids[order],
        .shop_id = view("main"),
        .order_id = world->order_ids[order],
        .idempotency_key = view("k"),
        .customer_id = view("c"),
        .currency = view("EUR"),
        .payment_method = view(methods[world->plans[order].method]),
    };
    draw_lines(world, dice, place);
    return place;
}

// The three begin alike, and a cancel is the largest.
static void command(struct world *world, struct dice *dice, int order, enum record_id type,
                    int64_t at_us) {
    if (!keys_left(world))
        return;
    const struct id *order_id = &world->order_ids[order];
    struct id key_id = new_key(world, order_id, 2000 + world->keys_count, order, NOBODY);
    // The shop asks, or a customer; some know an order that is not theirs.
    uint32_t who = type == RECORD_CANCEL_ORDER ? dice_below(dice, 4) : 0;
    world->key_strangers[world->keys_count - 1] = who == 3;
    uint32_t contents = dice_one_in(dice, 16) ? 2 : 1;
    for (uint32_t content = 0; content < contents; content++) {
        struct cancel_order *cancel = world_alloc(world, sizeof(*cancel));
        *cancel = (struct cancel_order){
            .command_id = id_derive(&key_id, content),
            .key_id = key_id,
            .shop_id = view("main"),
            .order_id = *order_id,
            .idempotency_key = view("k"),
        };
        if (who > 1)
            cancel->customer_id = view(who == 2 ? "c" : "stranger");
        say_with_retries(world, dice, at_us + content * dice_us(dice, world->spread_us), ROLE_ORDER,
                         type, cancel);
    }
}

static void live_through(struct world *world, int order) {
    struct dice dice = dice_new(world->request->seed, 10 + (uint64_t)order);
    struct plan *plan = &world->plans[order];
    plan->method = draw_method(&dice);
    plan->manual = dice_one_in(&dice, 10);
    plan->booking_fails = dice_one_in(&dice, 24);
    if (world->request->orders_out >> order & 1)
        return;

    int64_t at_us = world->now_us + dice_us(&dice, world->spread_us);
    const struct place_order *place = new_place(world, &dice, order, 0);
    say_with_retries(world, &dice, at_us, ROLE_ORDER, RECORD_PLACE_ORDER, place);
    if (dice_one_in(&dice, 24))
        say_with_retries(world, &dice, at_us + dice_us(&dice, world->spread_us) - 1000, ROLE_ORDER,
                         RECORD_PLACE_ORDER, new_place(world, &dice, order, 1));
    int64_t life_us = world->spread_us / 2 + 300000;
    if (dice_one_in(&dice, 6))
        command(world, &dice, order, RECORD_CANCEL_ORDER, at_us + dice_us(&dice, life_us));
    if (dice_one_in(&dice, 12))
        command(world, &dice, order, RECORD_CANCEL_ORDER, at_us + dice_us(&dice, 20000));
    if (dice_one_in(&dice, plan->manual ? 1 : 12))
        command(world, &dice, order, RECORD_DISPATCH_ORDER, at_us + dice_us(&dice, life_us));
    if (dice_one_in(&dice, plan->manual ? 2 : 12))
        command(world, &dice, order, RECORD_DELIVER_ORDER, at_us + dice_us(&dice, 2 * life_us));
    // Somebody who cannot wait tries again and again, each time anew.
    for (uint32_t i = dice_one_in(&dice, 24) ? dice_below(&dice, 8) : 0; i > 0; i--)
        command(world, &dice, order,
                dice_one_in(&dice, 2) ? RECORD_DISPATCH_ORDER : RECORD_DELIVER_ORDER,
                at_us + dice_us(&dice, life_us));
}

// ---- stock -------------------------------------------------------------------------------------

static void stock_command(struct world *world, struct dice *dice, int sku, enum record_id type,
                          int64_t amount, int64_t at_us) {
    if (!keys_left(world))
        return;
    union any {
        struct set_product set;
        struct receive_stock receive;
        struct adjust_stock adjust;
    } *body = world_alloc(world, sizeof(*body));
    memset(body, 0, sizeof(*body));
    struct id seed = log_indexed_id(&(struct id){.bytes = {(uint8_t)(sku + 1)}},
                                    world->request->seed, (uint32_t)sku);
    // All begin with the same fields.
    body->receive.key_id = new_key(world, &seed, world->keys_count, NOBODY, sku);
    body->receive.command_id = id_derive(&body->receive.key_id, 0);
    body->receive.shop_id = view("main");
    body->receive.sku = view(sku_names[sku]);
    body->receive.idempotency_key = view("k");
    if (type == RECORD_SET_PRODUCT) {
        body->set.name = view("product");
        body->set.price_minor = amount;
        body->set.currency = view("EUR");
    } else if (type == RECORD_RECEIVE_STOCK) {
        body->receive.quantity = amount;
    } else {
        body->adjust.delta = amount;
        body->adjust.reason = view("counted");
    }
    say_with_retries(world, dice, at_us, ROLE_INVENTORY, type, body);
    if (!dice_one_in(dice, 16))
        return;
    union any *other = world_alloc(world, sizeof(*other));
    memcpy(other, body, sizeof(*other));
    other->receive.command_id = id_derive(&body->receive.key_id, 1);
    say_with_retries(world, dice, at_us + dice_us(dice, world->spread_us), ROLE_INVENTORY, type,
                     other);
}

static void keep_stock(struct world *world, int sku) {
    struct dice dice = dice_new(world->request->seed, 500 + (uint64_t)sku);
    if (dice_one_in(&dice, 32))
        return; // nobody has heard of it
    int64_t from_us = world->now_us - 1000000;
    stock_command(world, &dice, sku, RECORD_SET_PRODUCT, dice_below(&dice, 5000), from_us);
    // From far too little to plenty.
    uint32_t most = dice_one_in(&dice, 5) ? world->orders_count / 2 : 12 * world->orders_count;
    if (!dice_one_in(&dice, 32))
        stock_command(world, &dice, sku, RECORD_RECEIVE_STOCK, 1 + dice_below(&dice, most + 1),
                      from_us + 1);
    for (uint32_t i = dice_below(&dice, 4); i > 0; i--) {
        int64_t at_us = world->now_us + dice_us(&dice, world->spread_us);
        uint32_t what = dice_below(&dice, 4);
        if (what == 0)
            stock_command(world, &dice, sku, RECORD_SET_PRODUCT, dice_below(&dice, 5000), at_us);
        else if (what == 1)
            stock_command(world, &dice, sku, RECORD_RECEIVE_STOCK, dice_below(&dice, 20), at_us);
        else
            stock_command(world, &dice, sku, RECORD_ADJUST_STOCK,
                          (int64_t)dice_below(&dice, 20) - 12, at_us);
    }
}

// ---- the script --------------------------------------------------------------------------------

static bool earlier(const struct script *a, const struct script *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

static int compare(const void *a, const void *b) {
    return earlier(a, b) ? -1 : 1;
}

void people_begin(struct world *world) {
    world->script_count = world->script_next = world->keys_count = 0;
    struct id seed = {.bytes = "simulated orders"};
    for (uint32_t i = 0; i < world->orders_count; i++)
        world->order_ids[i] = new_key(world, &seed, world->request->seed + i, (int)i, NOBODY);
    for (uint32_t i = 0; i < world->orders_count; i++) {
        live_through(world, (int)i);
    }
    for (uint32_t sku = 0; sku < world->skus_count; sku++)
        keep_stock(world, (int)sku);
    qsort(world->script, world->script_count, sizeof(*world->script), compare);
}

void people_act(struct world *world) {
    while (world->script_next < world->script_count &&
           world->script[world->script_next].at_us <= world->now_us) {
        const struct script *script = &world->script[world->script_next++];
        uint8_t p = log_partition_of(world, script->role, script->order, script->sku);
        (void)log_append(world, &world->inbox[script->role][p], script->type, script->body, NULL,
                         script->copy);
    }
}

// Into its place among what is still to come.
void people_later(struct world *world, int64_t at_us, enum role role, const struct record *record) {
    if (world->script_count == SCRIPT_MAX)
        return;
    struct script later = {
        .at_us = at_us,
        .serial = world->script_count,
        .role = role,
        .type = record->type,
        .order = record->order,
        .sku = record->sku,
        .copy = true,
        .body = record->body,
    };
    uint32_t place = world->script_count++;
    while (place > world->script_next && earlier(&later, &world->script[place - 1])) {
        world->script[place] = world->script[place - 1];
        place--;
    }
    world->script[place] = later;
}

int64_t people_due_us(const struct world *world) {
    return world->script_next < world->script_count ? world->script[world->script_next].at_us
                                                    : INT64_MAX;
}
