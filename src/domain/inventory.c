// SPDX-License-Identifier: Apache-2.0
//
// Every event carries the stock after it, absolute; evolve takes those figures over and checks them
// against its own books: on hand + sold = received + adjusted.
#include "domain/inventory.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "domain/money.h"

static const int64_t units_max = INT64_C(1000000000000);
static const int64_t price_minor_max = INT64_C(1000000000000);
enum { TEXT_MAX = 64, REASON_MAX = 512 };

// ---- evolve ------------------------------------------------------------------------------------

#define SAME_FIELD(record, field)                                                                  \
    (offsetof(struct record, field) == offsetof(struct stock_head, field))
#define STOCK_HEAD(record)                                                                         \
    _Static_assert(SAME_FIELD(record, event_id) && SAME_FIELD(record, shop_id) &&                  \
                       SAME_FIELD(record, sku) && SAME_FIELD(record, version) &&                   \
                       SAME_FIELD(record, occurred_at) && SAME_FIELD(record, causation_id) &&      \
                       SAME_FIELD(record, correlation_id) && SAME_FIELD(record, on_hand) &&        \
                       SAME_FIELD(record, reserved) && SAME_FIELD(record, sold),                   \
                   "begins with the common fields")
STOCK_HEAD(product_created);
STOCK_HEAD(product_changed);
STOCK_HEAD(stock_received);
STOCK_HEAD(stock_adjusted);
STOCK_HEAD(stock_reserved);
STOCK_HEAD(stock_released);
STOCK_HEAD(stock_sold);

static bool is_sound(const struct stock *stock) {
    return stock->reserved >= 0 && stock->reserved <= stock->on_hand &&
           stock->on_hand <= units_max && stock->sold >= 0 &&
           (uint64_t)stock->on_hand + (uint64_t)stock->sold ==
               (uint64_t)stock->received + (uint64_t)stock->adjusted;
}

static void assert_sound(const struct stock *stock) {
    assert(stock->reserved >= 0 && stock->reserved <= stock->on_hand);
    assert(stock->on_hand <= units_max && stock->sold >= 0);
    assert(stock->on_hand + stock->sold == stock->received + stock->adjusted);
}

static void remember(struct inventory_slice *slice, const struct id *key_id,
                     const struct id *command_id, int64_t at_us) {
    if (!slice->remembered)
        return;
    slice->remembered->key_id = *key_id;
    slice->remembered->command_id = *command_id;
    slice->remembered->at_us = at_us;
}

static void product_set(struct stock *stock, struct view name, int64_t price_minor,
                        struct view currency, int64_t price_version) {
    assert(name.len <= INVENTORY_NAME_MAX && currency.len < sizeof(stock->currency));
    memset(stock->name, 0, sizeof(stock->name));
    memcpy(stock->name, name.ptr, name.len);
    stock->name_len = (uint16_t)name.len;
    memset(stock->currency, 0, sizeof(stock->currency));
    memcpy(stock->currency, currency.ptr, currency.len);
    stock->price_minor = price_minor;
    stock->price_version = price_version;
}

// A command's key, where the event is its outcome.
static void remember_if(struct inventory_slice *slice, const struct stock_head *head, bool has_key,
                        const struct id *key_id) {
    if (has_key)
        remember(slice, key_id, &head->causation_id, head->occurred_at);
}

void inventory_evolve_beside(struct inventory_slice *slice, enum record_id type,
                             const void *event) {
    switch ((int)type) {
    case RECORD_STOCK_COMMAND_REFUSED: {
        // A command under a reused key does not replace the one that the key stands for.
        const struct stock_command_refused *refused = event;
        if (refused->reason != STOCK_REFUSAL_KEY_REUSED)
            remember(slice, &refused->key_id, &refused->causation_id, refused->occurred_at);
        return;
    }
    case RECORD_PRODUCT_CREATED: {
        const struct product_created *created = event;
        remember_if(slice, event, created->has_key_id, &created->key_id);
        return;
    }
    case RECORD_PRODUCT_CHANGED: {
        const struct product_changed *changed = event;
        remember_if(slice, event, changed->has_key_id, &changed->key_id);
        return;
    }
    case RECORD_STOCK_RECEIVED: {
        const struct stock_received *received = event;
        remember_if(slice, event, received->has_key_id, &received->key_id);
        return;
    }
    case RECORD_STOCK_ADJUSTED: {
        const struct stock_adjusted *adjusted = event;
        remember_if(slice, event, adjusted->has_key_id, &adjusted->key_id);
        return;
    }
    case RECORD_STOCK_RESERVED:
        slice->reservation->quantity = ((const struct stock_reserved *)event)->quantity;
        return;
    case RECORD_STOCK_RELEASED:
    case RECORD_STOCK_SOLD:
        slice->reservation->quantity = 0;
        return;
    }
    assert(!"a record that is not an event of a SKU");
}

// What the order held before an event that is about its reservation.
static int64_t held_before(enum record_id type, const void *event) {
    if (type == RECORD_STOCK_RELEASED)
        return ((const struct stock_released *)event)->quantity;
    if (type == RECORD_STOCK_SOLD)
        return ((const struct stock_sold *)event)->quantity;
    return 0;
}

void inventory_expect(struct inventory_slice *slice, enum record_id type, const void *event) {
    if (slice->reservation)
        slice->reservation->quantity = held_before(type, event);
}

void inventory_evolve(struct inventory_slice *slice, enum record_id type, const void *event) {
    if (slice->reservation)
        assert(slice->reservation->quantity == held_before(type, event));
    inventory_evolve_beside(slice, type, event);
    if (type == RECORD_STOCK_COMMAND_REFUSED)
        return;

    struct stock *stock = slice->stock;
    const struct stock_head *head = event;
    assert(head->version == stock->version + 1);
    stock->version = head->version;
    stock->on_hand = head->on_hand;
    stock->reserved = head->reserved;
    stock->sold = head->sold;

    switch ((int)type) {
    case RECORD_PRODUCT_CREATED: {
        const struct product_created *created = event;
        product_set(stock, created->name, created->price_minor, created->currency,
                    created->price_version);
        break;
    }
    case RECORD_PRODUCT_CHANGED: {
        const struct product_changed *changed = event;
        product_set(stock, changed->name, changed->price_minor, changed->currency,
                    changed->price_version);
        break;
    }
    case RECORD_STOCK_RECEIVED:
        stock->received += ((const struct stock_received *)event)->quantity;
        break;
    case RECORD_STOCK_ADJUSTED:
        stock->adjusted += ((const struct stock_adjusted *)event)->delta;
        break;
    }
    assert_sound(stock);
}

// ---- snapshots ---------------------------------------------------------------------------------

void inventory_snapshot(const struct stock *stock, struct stock_snapshot *ret) {
    *ret = (struct stock_snapshot){
        .version = stock->version,
        .on_hand = stock->on_hand,
        .reserved = stock->reserved,
        .sold = stock->sold,
        .received = stock->received,
        .adjusted = stock->adjusted,
        .name = {.ptr = stock->name, .len = stock->name_len},
        .price_minor = stock->price_minor,
        .currency = {.ptr = stock->currency, .len = (uint32_t)strlen(stock->currency)},
        .price_version = stock->price_version,
    };
}

bool inventory_restore(const struct stock_snapshot *snapshot, struct stock *ret) {
    if (snapshot->name.len > INVENTORY_NAME_MAX ||
        snapshot->currency.len >= sizeof(ret->currency) || snapshot->version < 1)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->version = snapshot->version;
    ret->on_hand = snapshot->on_hand;
    ret->reserved = snapshot->reserved;
    ret->sold = snapshot->sold;
    ret->received = snapshot->received;
    ret->adjusted = snapshot->adjusted;
    product_set(ret, snapshot->name, snapshot->price_minor, snapshot->currency,
                snapshot->price_version);
    return is_sound(ret);
}

// ---- deciding: what all events have ------------------------------------------------------------

// What commands about SKUs begin with.
struct stock_command_head {
    struct id command_id;
    struct id key_id;
    struct view shop_id;
    struct view sku;
};
#define STOCK_COMMAND_HEAD(record)                                                                 \
    _Static_assert(                                                                                \
        offsetof(struct record, command_id) == offsetof(struct stock_command_head, command_id) &&  \
            offsetof(struct record, key_id) == offsetof(struct stock_command_head, key_id) &&      \
            offsetof(struct record, shop_id) == offsetof(struct stock_command_head, shop_id) &&    \
            offsetof(struct record, sku) == offsetof(struct stock_command_head, sku),              \
        "begins with the common fields")
STOCK_COMMAND_HEAD(set_product);
STOCK_COMMAND_HEAD(receive_stock);
STOCK_COMMAND_HEAD(adjust_stock);

struct cause {
    const struct id *causation_id;
    const struct id *correlation_id;
    struct view shop_id;
    struct view sku;
};

// An event with the present stock in its head, to be changed by the caller.
static void *event_begin(struct decision *decision, const struct stock *stock, struct cause cause,
                         enum record_id type, size_t size) {
    struct stock_head *head = decision_event(decision, type, size);
    if (!head)
        return NULL;
    head->version = stock->version + 1;
    head->event_id = id_derive(cause.causation_id, (uint64_t)head->version);
    head->shop_id = cause.shop_id;
    head->sku = cause.sku;
    head->occurred_at = decision->now_us;
    head->causation_id = *cause.causation_id;
    head->correlation_id = *cause.correlation_id;
    head->on_hand = stock->on_hand;
    head->reserved = stock->reserved;
    head->sold = stock->sold;
    return head;
}

static void event_end(struct decision *decision, struct inventory_slice *slice) {
    const struct decided *event = &decision->events[decision->events_count - 1];
    inventory_evolve(slice, event->type, event->body);
}

// ---- commands ----------------------------------------------------------------------------------

static void refuse(struct decision *decision, struct inventory_slice *slice,
                   const struct stock_command_head *command, enum stock_refusal reason,
                   int64_t shortfall, const char *detail) {
    struct stock_command_refused *refused =
        decision_event(decision, RECORD_STOCK_COMMAND_REFUSED, sizeof(*refused));
    if (!refused)
        return;
    refused->event_id = id_derive(&command->command_id, (uint64_t)decision->now_us);
    refused->shop_id = command->shop_id;
    refused->sku = command->sku;
    refused->occurred_at = decision->now_us;
    refused->causation_id = command->command_id;
    refused->correlation_id = command->command_id;
    refused->key_id = command->key_id;
    refused->reason = reason;
    refused->shortfall = shortfall;
    refused->detail = (struct view){.ptr = detail, .len = (uint32_t)strlen(detail)};
    event_end(decision, slice);
}

static struct cause command_cause(const struct stock_command_head *command) {
    return (struct cause){.causation_id = &command->command_id,
                          .correlation_id = &command->command_id,
                          .shop_id = command->shop_id,
                          .sku = command->sku};
}

// NULL when the product may be set.
static const char *product_complaint(const struct set_product *set) {
    if (set->name.len < 1 || set->name.len > INVENTORY_NAME_MAX)
        return "name must have 1 to 512 bytes";
    if (set->price_minor < 0 || set->price_minor > price_minor_max)
        return "price_minor must be from 0 to 1000000000000";
    if (!money_currency_known(set->currency.ptr, set->currency.len))
        return "currency must be an ISO 4217 code in use";
    if (set->shop_id.len < 1 || set->shop_id.len > TEXT_MAX || set->sku.len < 1 ||
        set->sku.len > TEXT_MAX)
        return "shop and SKU must have 1 to 64 characters";
    return NULL;
}

static void create_product(struct decision *decision, struct inventory_slice *slice,
                           const struct set_product *set) {
    struct product_created *created =
        event_begin(decision, slice->stock, command_cause((const void *)set),
                    RECORD_PRODUCT_CREATED, sizeof(*created));
    if (!created)
        return;
    created->has_key_id = true;
    created->key_id = set->key_id;
    created->name = set->name;
    created->price_minor = set->price_minor;
    created->currency = set->currency;
    created->price_version = 1;
    event_end(decision, slice);
}

// Also when nothing differs: the event is the command's outcome. Only a new price is a new version
// of the price.
static void change_product(struct decision *decision, struct inventory_slice *slice,
                           const struct set_product *set) {
    struct product_changed *changed =
        event_begin(decision, slice->stock, command_cause((const void *)set),
                    RECORD_PRODUCT_CHANGED, sizeof(*changed));
    if (!changed)
        return;
    changed->has_key_id = true;
    changed->key_id = set->key_id;
    changed->name = set->name;
    changed->price_minor = set->price_minor;
    changed->currency = set->currency;
    changed->price_version =
        slice->stock->price_version + (set->price_minor != slice->stock->price_minor);
    event_end(decision, slice);
}

static void decide_set_product(struct decision *decision, struct inventory_slice *slice,
                               const struct set_product *set) {
    const struct stock *stock = slice->stock;
    const char *complaint = product_complaint(set);
    if (complaint) {
        refuse(decision, slice, (const void *)set, STOCK_REFUSAL_OUT_OF_RANGE, 0, complaint);
        return;
    }
    if (stock->version == 0) {
        create_product(decision, slice, set);
        return;
    }
    if (memcmp(stock->currency, set->currency.ptr, set->currency.len) != 0) {
        refuse(decision, slice, (const void *)set, STOCK_REFUSAL_CURRENCY_CHANGED, 0,
               "the currency of a product cannot change");
        return;
    }
    change_product(decision, slice, set);
}

static void decide_receive(struct decision *decision, struct inventory_slice *slice,
                           const struct receive_stock *receive) {
    const struct stock *stock = slice->stock;
    if (receive->quantity < 1 || receive->quantity > units_max - stock->on_hand ||
        receive->quantity > MONEY_MINOR_MAX - stock->received) {
        refuse(decision, slice, (const void *)receive, STOCK_REFUSAL_OUT_OF_RANGE, 0,
               "quantity must be at least 1, and at most 1000000000000 units may be on hand");
        return;
    }
    struct stock_received *received =
        event_begin(decision, stock, command_cause((const void *)receive), RECORD_STOCK_RECEIVED,
                    sizeof(*received));
    if (!received)
        return;
    received->has_key_id = true;
    received->key_id = receive->key_id;
    received->quantity = receive->quantity;
    received->on_hand += receive->quantity;
    event_end(decision, slice);
}

static void decide_adjust(struct decision *decision, struct inventory_slice *slice,
                          const struct adjust_stock *adjust) {
    const struct stock *stock = slice->stock;
    if (adjust->delta == 0 || adjust->delta < -units_max ||
        adjust->delta > units_max - stock->on_hand ||
        adjust->delta > MONEY_MINOR_MAX - stock->adjusted ||
        adjust->delta < -MONEY_MINOR_MAX - stock->adjusted || adjust->reason.len > REASON_MAX) {
        refuse(decision, slice, (const void *)adjust, STOCK_REFUSAL_OUT_OF_RANGE, 0,
               "delta must not be 0, and at most 1000000000000 units may be on hand");
        return;
    }
    int64_t on_hand = stock->on_hand + adjust->delta;
    if (on_hand < stock->reserved) {
        refuse(decision, slice, (const void *)adjust, STOCK_REFUSAL_BELOW_RESERVED,
               stock->reserved - on_hand, "orders hold more units than would be left");
        return;
    }
    struct stock_adjusted *adjusted =
        event_begin(decision, stock, command_cause((const void *)adjust), RECORD_STOCK_ADJUSTED,
                    sizeof(*adjusted));
    if (!adjusted)
        return;
    adjusted->has_key_id = true;
    adjusted->key_id = adjust->key_id;
    adjusted->delta = adjust->delta;
    adjusted->reason = adjust->reason;
    adjusted->on_hand = on_hand;
    event_end(decision, slice);
}

// True when the command's key has an outcome already that still counts.
static bool answered_before(struct decision *decision, struct inventory_slice *slice,
                            const struct stock_command_head *command) {
    const struct remembered_command *remembered = slice->remembered;
    if (!remembered_stands(remembered, &command->key_id, decision))
        return false;
    if (!id_equal(&remembered->command_id, &command->command_id))
        refuse(decision, slice, command, STOCK_REFUSAL_KEY_REUSED, 0,
               "this idempotency key was used for a command with other content");
    return true;
}

static void decide_command(struct decision *decision, struct inventory_slice *slice,
                           enum record_id type, const void *input) {
    if (answered_before(decision, slice, input))
        return;
    if (type == RECORD_SET_PRODUCT)
        decide_set_product(decision, slice, input);
    else if (slice->stock->version == 0)
        refuse(decision, slice, input, STOCK_REFUSAL_UNKNOWN_SKU, 0, "there is no such product");
    else if (type == RECORD_RECEIVE_STOCK)
        decide_receive(decision, slice, input);
    else
        decide_adjust(decision, slice, input);
}

// ---- requests of orders ------------------------------------------------------------------------

static struct cause request_cause(const struct request_stock *request) {
    return (struct cause){.causation_id = &request->message_id,
                          .correlation_id = &request->correlation_id,
                          .shop_id = request->shop_id,
                          .sku = request->sku};
}

static void answer(struct decision *decision, const struct request_stock *request,
                   enum stock_result result, int64_t available) {
    struct stock_answered *answered =
        decision_message(decision, RECORD_STOCK_ANSWERED, sizeof(*answered));
    if (!answered)
        return;
    answered->message_id = id_derive(&request->message_id, 2);
    answered->causation_id = request->message_id;
    answered->correlation_id = request->correlation_id;
    answered->shop_id = request->shop_id;
    answered->order_id = request->order_id;
    answered->sku = request->sku;
    answered->result = result;
    answered->requested = request->quantity;
    answered->available = available;
}

static void decide_reserve(struct decision *decision, struct inventory_slice *slice,
                           const struct request_stock *request) {
    const struct stock *stock = slice->stock;
    int64_t available = stock->on_hand - stock->reserved;
    if (slice->reservation->quantity > 0) {
        answer(decision, request, STOCK_RESULT_RESERVED, available);
        return;
    }
    if (stock->version == 0) {
        answer(decision, request, STOCK_RESULT_UNKNOWN_SKU, 0);
        return;
    }
    if (request->quantity < 1 || request->quantity > available) {
        answer(decision, request, STOCK_RESULT_OUT_OF_STOCK, available);
        return;
    }
    struct stock_reserved *reserved = event_begin(decision, stock, request_cause(request),
                                                  RECORD_STOCK_RESERVED, sizeof(*reserved));
    if (!reserved)
        return;
    reserved->order_id = request->order_id;
    reserved->quantity = request->quantity;
    reserved->reserved += request->quantity;
    event_end(decision, slice);
    answer(decision, request, STOCK_RESULT_RESERVED, available);
}

static void decide_release(struct decision *decision, struct inventory_slice *slice,
                           const struct request_stock *request) {
    int64_t quantity = slice->reservation->quantity;
    if (quantity == 0)
        return;
    struct stock_released *released = event_begin(decision, slice->stock, request_cause(request),
                                                  RECORD_STOCK_RELEASED, sizeof(*released));
    if (!released)
        return;
    released->order_id = request->order_id;
    released->quantity = quantity;
    released->reserved -= quantity;
    event_end(decision, slice);
}

static void decide_sell(struct decision *decision, struct inventory_slice *slice,
                        const struct request_stock *request) {
    int64_t quantity = slice->reservation->quantity;
    if (quantity == 0)
        return;
    struct stock_sold *sold = event_begin(decision, slice->stock, request_cause(request),
                                          RECORD_STOCK_SOLD, sizeof(*sold));
    if (!sold)
        return;
    sold->order_id = request->order_id;
    sold->quantity = quantity;
    sold->on_hand -= quantity;
    sold->reserved -= quantity;
    sold->sold += quantity;
    event_end(decision, slice);
}

static void decide_request(struct decision *decision, struct inventory_slice *slice,
                           const struct request_stock *request) {
    switch (request->action) {
    case STOCK_ACTION_RESERVE:
        decide_reserve(decision, slice, request);
        return;
    case STOCK_ACTION_RELEASE:
        decide_release(decision, slice, request);
        return;
    case STOCK_ACTION_SELL:
        decide_sell(decision, slice, request);
        return;
    case STOCK_ACTION_COUNT:
        break;
    }
    assert(!"an action that the codec lets through");
}

void inventory_decide(struct decision *decision, struct inventory_slice *slice, enum record_id type,
                      const void *input) {
    switch ((int)type) {
    case RECORD_SET_PRODUCT:
    case RECORD_RECEIVE_STOCK:
    case RECORD_ADJUST_STOCK:
        decide_command(decision, slice, type, input);
        return;
    case RECORD_REQUEST_STOCK:
        decide_request(decision, slice, input);
        return;
    }
    assert(!"a record that inventory.inbox does not hold");
}
