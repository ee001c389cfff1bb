// SPDX-License-Identifier: Apache-2.0
//
// I1–I3, I6, I7 and I13, at every committed event and message, in books kept apart from the
// domain's: ids and versions, stock per SKU, one terminal state, charges.
#include "world.h"

#include <string.h>

// ---- ids ---------------------------------------------------------------------------------------

static void check_id_is_new(struct world *world, const struct record *record) {
    uint64_t halves[2];
    memcpy(halves, record->body, sizeof(halves));
    uint64_t print = (halves[0] ^ halves[1]) | 1;
    uint32_t at = (uint32_t)(print >> 32) % IDS_MAX;
    for (; world->ids[at]; at = (at + 1) % IDS_MAX)
        if (world->ids[at] == print)
            world_fail(world, record->order, record->sku, "I3: the id of %s was there before",
                       record_types[record->type]->name);
    if (++world->ids_count > IDS_MAX / 2)
        world_fail(world, record->order, record->sku, "I8: more than %d records: no end of it",
                   IDS_MAX / 2);
    world->ids[at] = print;
}

static void check_version(struct world *world, const struct record *event, int64_t version,
                          int64_t before, const struct id *causation_id) {
    if (version != before + 1)
        world_fail(world, event->order, event->sku, "I3: version %lld of %s follows %lld",
                   (long long)version, record_types[event->type]->name, (long long)before);
    struct id id = id_derive(causation_id, (uint64_t)version);
    if (!id_equal(&id, event->body))
        world_fail(world, event->order, event->sku,
                   "I3: the id of %s does not follow from its cause",
                   record_types[event->type]->name);
}

// ---- commands ----------------------------------------------------------------------------------

static void accept_key(struct world *world, const struct record *event, bool has_key,
                       const struct id *key_id, int64_t at_us) {
    if (!has_key)
        return;
    struct key_book *book = &world->key_books[log_key_index(key_id)];
    const struct id *command_id = &((const struct order_head *)event->body)->causation_id;
    if (event->order == NOBODY)
        command_id = &((const struct stock_head *)event->body)->causation_id;
    if (!id_is_nil(&book->refused) && id_equal(&book->refused, command_id) &&
        at_us - book->refused_us <= world->policy.command_window_us)
        world_fail(world, event->order, event->sku, "I2: a command that was refused took effect");
    if (world->key_strangers[log_key_index(key_id)])
        world_fail(world, event->order, event->sku, "I16: a customer changed another's order");
    if (book->accepted && at_us - book->at_us <= world->policy.command_window_us)
        world_fail(world, event->order, event->sku, "I1: a command took effect twice, by %s",
                   record_types[event->type]->name);
    book->answered = book->accepted = true;
    book->at_us = at_us;
}

// remembered: the key stands for this command from now on.
static void refuse_key(struct world *world, const struct id *key_id, const struct id *command_id,
                       int64_t at_us, bool remembered) {
    struct key_book *book = &world->key_books[log_key_index(key_id)];
    world->outcome->refusals++;
    if (id_equal(&book->refused, command_id) && remembered &&
        at_us - book->refused_us <= world->policy.command_window_us)
        world_fail(world, world->key_orders[log_key_index(key_id)],
                   world->key_skus[log_key_index(key_id)], "I2: a command was refused twice");
    book->answered = true;
    if (!remembered)
        return;
    book->refused = *command_id;
    book->refused_us = at_us;
}

static void check_order_refusal(struct world *world, const struct record *event) {
    const struct order_command_refused *refused = event->body;
    // Of a place command: its key is the order's id.
    if (id_equal(&refused->key_id, &world->order_ids[event->order]))
        world->order_books[event->order].refused = true;
    refuse_key(world, &refused->key_id, &refused->causation_id, refused->occurred_at,
               refused->reason != ORDER_REFUSAL_KEY_REUSED);
}

static void check_stock_refusal(struct world *world, const struct record *event) {
    const struct stock_command_refused *refused = event->body;
    refuse_key(world, &refused->key_id, &refused->causation_id, refused->occurred_at,
               refused->reason != STOCK_REFUSAL_KEY_REUSED);
}

// ---- orders ------------------------------------------------------------------------------------

static void book_placed(struct world *world, struct order_book *book,
                        const struct order_placed *placed) {
    book->total_minor = placed->shipping_minor + placed->tax_minor - placed->discount_minor;
    for (uint32_t i = 0; i < placed->lines_count; i++) {
        const struct order_line *line = &placed->lines[i];
        book->quantity[log_sku_index(line->sku)] += line->quantity;
        book->total_minor += line->quantity * line->unit_price_minor;
    }
    if (book->total_minor != placed->total_minor)
        world_fail(world, log_order_index(&placed->order_id), NOBODY,
                   "I13: the total is not the sum of the lines");
    world->outcome->orders++;
}

static void book_end(struct world *world, struct order_book *book, const struct record *event) {
    if (book->ended != RECORD_COUNT)
        world_fail(world, event->order, NOBODY, "I8: %s after %s: two ends",
                   record_types[event->type]->name, record_types[book->ended]->name);
    if (event->type != RECORD_ORDER_COMPLETED && book->dispatch_authorised)
        world_fail(world, event->order, NOBODY, "%s after dispatch was authorised",
                   record_types[event->type]->name);
    if (event->type == RECORD_ORDER_COMPLETED && !(book->delivered && book->captured))
        world_fail(world, event->order, NOBODY, "completed, but not delivered and paid");
    book->ended = event->type;
}

static void must(struct world *world, const struct record *event, bool holds) {
    if (!holds)
        world_fail(world, event->order, event->sku, "%s does not fit what happened before",
                   record_types[event->type]->name);
}

static void book_order(struct world *world, struct order_book *book, const struct record *event) {
    const void *body = event->body;
    int64_t at_us = ((const struct order_head *)body)->occurred_at;
    bool open = book->ended == RECORD_COUNT;
    switch ((int)event->type) {
    case RECORD_ORDER_PLACED:
        book_placed(world, book, body);
        accept_key(world, event, true, &((const struct order_placed *)body)->key_id, at_us);
        return;
    case RECORD_ORDER_PAYMENT_AUTHORIZED:
        must(world, event, open && !book->authorised);
        book->authorised = true;
        return;
    case RECORD_ORDER_DISPATCH_AUTHORISED: {
        const struct order_dispatch_authorised *authorised = body;
        must(world, event, open && book->authorised && !book->dispatch_authorised);
        accept_key(world, event, authorised->has_key_id, &authorised->key_id, at_us);
        book->dispatch_authorised = true;
        return;
    }
    case RECORD_ORDER_DISPATCHED:
        must(world, event, open && book->dispatch_authorised && !book->dispatched);
        book->dispatched = true;
        return;
    case RECORD_ORDER_DELIVERED: {
        const struct order_delivered *delivered = body;
        must(world, event, open && book->dispatched && !book->delivered);
        accept_key(world, event, delivered->has_key_id, &delivered->key_id, at_us);
        book->delivered = true;
        return;
    }
    case RECORD_ORDER_PAYMENT_CAPTURED:
        must(world, event, book->dispatched && !book->captured && !book->voided);
        book->captured = true;
        return;
    case RECORD_ORDER_PAYMENT_VOIDED:
        must(world, event, !open && !book->captured && !book->voided);
        book->voided = true;
        return;
    case RECORD_ORDER_CANCELLED: {
        const struct order_cancelled *cancelled = body;
        accept_key(world, event, cancelled->has_key_id, &cancelled->key_id, at_us);
        book_end(world, book, event);
        return;
    }
    case RECORD_ORDER_COMPLETED:
    case RECORD_ORDER_REJECTED:
    case RECORD_ORDER_EXPIRED:
        book_end(world, book, event);
        return;
    case RECORD_ORDER_CASE_OPENED:
        book->cases |= 1U << ((const struct order_case_opened *)body)->reason;
        return;
    }
}

// The event that closes an order carries it whole, and no other does.
static void check_folded(struct world *world, struct order_book *book, const struct record *event) {
    const struct order_head *head = event->body;
    const bool money_rests = head->payment_status == PAYMENT_STATUS_NONE ||
                             head->payment_status == PAYMENT_STATUS_DECLINED ||
                             head->payment_status == PAYMENT_STATUS_CAPTURED ||
                             head->payment_status == PAYMENT_STATUS_VOIDED;
    const bool closes = !book->closed && book->ended != RECORD_COUNT && money_rests;
    const struct folded_order *folded = order_event_folded(event->type, event->body);
    must(world, event, closes == (folded != NULL));
    if (!folded)
        return;
    book->closed = true;
    int64_t quantity[SKUS_MAX] = {0};
    int64_t items_minor = 0;
    for (uint32_t i = 0; i < folded->lines_count; i++) {
        quantity[log_sku_index(folded->lines[i].sku)] += folded->lines[i].quantity;
        items_minor += folded->lines[i].quantity * folded->lines[i].unit_price_minor;
    }
    must(world, event, memcmp(quantity, book->quantity, sizeof(quantity)) == 0);
    must(world, event,
         folded->items_minor == items_minor && folded->total_minor == book->total_minor &&
             folded->total_minor ==
                 items_minor - folded->discount_minor + folded->shipping_minor + folded->tax_minor);
    must(world, event, folded->captured_minor == (book->captured ? book->total_minor : 0));
}

static void check_order_event(struct world *world, const struct record *event) {
    if (event->type == RECORD_ORDER_COMMAND_REFUSED) {
        check_order_refusal(world, event);
        return;
    }
    struct order_book *book = &world->order_books[event->order];
    const struct order_head *head = event->body;
    if ((event->type == RECORD_ORDER_PLACED) != (book->version == 0))
        world_fail(world, event->order, NOBODY, "I3: an order begins with OrderPlaced, once");
    check_version(world, event, head->version, book->version, &head->causation_id);
    book->version = head->version;
    book->status = head->status;
    book_order(world, book, event);
    check_folded(world, book, event);
}

// ---- stock -------------------------------------------------------------------------------------

static void move_stock(struct world *world, struct sku_book *book, const struct record *event) {
    const void *body = event->body;
    int64_t at_us = ((const struct stock_head *)body)->occurred_at;
    switch ((int)event->type) {
    case RECORD_PRODUCT_CREATED: {
        const struct product_created *created = body;
        accept_key(world, event, created->has_key_id, &created->key_id, at_us);
        return;
    }
    case RECORD_PRODUCT_CHANGED: {
        const struct product_changed *changed = body;
        accept_key(world, event, changed->has_key_id, &changed->key_id, at_us);
        return;
    }
    case RECORD_STOCK_RECEIVED: {
        const struct stock_received *received = body;
        accept_key(world, event, received->has_key_id, &received->key_id, at_us);
        book->on_hand += received->quantity;
        return;
    }
    case RECORD_STOCK_ADJUSTED: {
        const struct stock_adjusted *adjusted = body;
        accept_key(world, event, adjusted->has_key_id, &adjusted->key_id, at_us);
        book->on_hand += adjusted->delta;
        return;
    }
    case RECORD_STOCK_RESERVED: {
        const struct stock_reserved *reserved = body;
        must(world, event, book->held[event->order] == 0 && book->sold_to[event->order] == 0);
        book->held[event->order] = reserved->quantity;
        book->reserved += reserved->quantity;
        return;
    }
    case RECORD_STOCK_RELEASED: {
        const struct stock_released *released = body;
        must(world, event, book->held[event->order] == released->quantity);
        book->held[event->order] = 0;
        book->reserved -= released->quantity;
        return;
    }
    case RECORD_STOCK_SOLD: {
        const struct stock_sold *sold = body;
        must(world, event, book->held[event->order] == sold->quantity);
        must(world, event, world->order_books[event->order].dispatched);
        book->held[event->order] = 0;
        book->sold_to[event->order] = sold->quantity;
        book->reserved -= sold->quantity;
        book->on_hand -= sold->quantity;
        book->sold += sold->quantity;
        return;
    }
    }
}

static void check_stock_event(struct world *world, const struct record *event) {
    if (event->type == RECORD_STOCK_COMMAND_REFUSED) {
        check_stock_refusal(world, event);
        return;
    }
    struct sku_book *book = &world->sku_books[event->sku];
    const struct stock_head *head = event->body;
    check_version(world, event, head->version, book->version, &head->causation_id);
    book->version = head->version;
    move_stock(world, book, event);
    if (book->on_hand != head->on_hand || book->reserved != head->reserved ||
        book->sold != head->sold)
        world_fail(world, event->order, event->sku,
                   "I13: version %lld says on hand %lld, reserved %lld, sold %lld; "
                   "the sum of all before is %lld, %lld, %lld",
                   (long long)head->version, (long long)head->on_hand, (long long)head->reserved,
                   (long long)head->sold, (long long)book->on_hand, (long long)book->reserved,
                   (long long)book->sold);
    if (book->reserved < 0 || book->reserved > book->on_hand)
        world_fail(world, event->order, event->sku, "I7: %lld reserved of %lld on hand",
                   (long long)book->reserved, (long long)book->on_hand);
    if (event->type == RECORD_STOCK_RESERVED &&
        book->held[event->order] != world->order_books[event->order].quantity[event->sku])
        world_fail(world, event->order, event->sku, "I13: reserved another quantity than ordered");
}

// ---- any event, any message --------------------------------------------------------------------

void check_event(struct world *world, enum role role, const struct record *event) {
    world->outcome->events++;
    if (!event->copy || role == ROLE_ORDER)
        check_id_is_new(world, event);
    if (role == ROLE_ORDER)
        check_order_event(world, event);
    else if (role == ROLE_INVENTORY)
        check_stock_event(world, event);
}

void check_message(struct world *world, const struct record *message) {
    world->outcome->messages++;
    if (!message->copy)
        check_id_is_new(world, message);
    if (message->type != RECORD_REQUEST_PAYMENT)
        return;
    const struct request_payment *request = message->body;
    if (request->amount_minor != world->order_books[message->order].total_minor)
        world_fail(world, message->order, NOBODY, "I6: asked for another amount than the total");
}

// ---- what reaches the provider and the carrier -------------------------------------------------

void check_charge(struct world *world, int order, const struct call *call) {
    struct account *account = &world->accounts[order];
    const struct order_book *book = &world->order_books[order];
    if (call->role == ROLE_SHIPPING) {
        // A carrier that says too early that it has the parcel may see the order completed before
        // it is asked to fetch it.
        bool let_go = book->ended != RECORD_COUNT && book->ended != RECORD_ORDER_COMPLETED;
        if (call->action == SHIPMENT_ACTION_DISPATCH &&
            (!book->dispatch_authorised || account->cancelled || let_go))
            if (!account->dispatched)
                world_fail(world, order, NOBODY, "a parcel leaves that may not");
        return;
    }
    if (id_is_nil(&account->payment_id))
        account->payment_id = call->effect_id;
    if (!id_equal(&account->payment_id, &call->effect_id))
        world_fail(world, order, NOBODY, "I6: a second payment id: the customer may pay twice");
    if (call->action == PAYMENT_ACTION_CAPTURE && !book->dispatched)
        world_fail(world, order, NOBODY, "I6: captured before the parcel left");
    if (call->action == PAYMENT_ACTION_VOID && book->ended == RECORD_COUNT)
        world_fail(world, order, NOBODY, "I6: the payment of a living order is voided");
}
