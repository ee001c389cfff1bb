// SPDX-License-Identifier: Apache-2.0
//
// Ids: an event's follows from the input and the version it makes; a message's from the event it
// follows (or, where a step sends without an event, from the input) and its place in the decision.
// A replay of the same input on the same state makes the same ids.
#include "order_turn.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

struct view order_view(const char *text) {
    return (struct view){.ptr = text, .len = text ? (uint32_t)strlen(text) : 0};
}

struct id order_payment_id(const struct order *order) {
    return id_derive(&order->order_id, 'P');
}

struct id order_shipment_id(const struct order *order) {
    return id_derive(&order->order_id, 'S');
}

struct view order_text_kept(struct order_turn *turn, uint32_t at, uint32_t len) {
    const struct order_open *open = order_opened_const(turn->order);
    if (!turn->text) {
        char *text = decision_alloc(turn->decision, open->text_len);
        if (!text)
            return (struct view){0};
        memcpy(text, (const char *)turn->order + open->text_at, open->text_len);
        turn->text = text;
    }
    return (struct view){.ptr = turn->text + (at - open->text_at), .len = len};
}

// ---- events ------------------------------------------------------------------------------------

void *order_event_begin(struct order_turn *turn, enum record_id type, size_t size) {
    struct order_head *head = decision_event(turn->decision, type, size);
    if (!head)
        return NULL;
    head->version = turn->order->version + 1;
    head->event_id = id_derive(&turn->cause, (uint64_t)head->version);
    head->shop_id = turn->shop;
    head->order_id = turn->order->order_id;
    head->occurred_at = turn->decision->now_us;
    head->causation_id = turn->cause;
    head->correlation_id = turn->order->place_command_id;
    return head;
}

void order_event_end(struct order_turn *turn) {
    struct decision *decision = turn->decision;
    struct decided *event = &decision->events[decision->events_count - 1];
    order_evolve(turn->order, event->type, event->body);
    if (turn->remembered)
        order_remember(turn->remembered, event->type, event->body);
    struct order_head *head = event->body;
    head->status = order_status(turn->order);
    head->reservation_status = (enum reservation_status)turn->order->reservation;
    head->payment_status = (enum payment_status)turn->order->payment;
    head->shipment_status = (enum shipment_status)turn->order->shipment;
    order_fold_into(turn, event->type, event->body);
}

static struct order_command_refused *refuse(struct order_turn *turn, enum order_refusal reason,
                                            const char *detail) {
    const struct order_command_head *command = turn->input;
    struct order_command_refused *refused =
        decision_event(turn->decision, RECORD_ORDER_COMMAND_REFUSED, sizeof(*refused));
    if (!refused)
        return NULL;
    refused->event_id = id_derive(&command->command_id, (uint64_t)turn->decision->now_us);
    refused->shop_id = command->shop_id;
    refused->order_id = command->order_id;
    refused->occurred_at = turn->decision->now_us;
    refused->causation_id = command->command_id;
    refused->correlation_id =
        turn->order && !turn->not_theirs ? turn->order->place_command_id : command->command_id;
    refused->key_id = command->key_id;
    refused->reason = reason;
    refused->detail = order_view(detail);
    if (turn->type == RECORD_CANCEL_ORDER)
        refused->customer_id = ((const struct cancel_order *)turn->input)->customer_id;
    else if (turn->type == RECORD_PLACE_ORDER)
        refused->customer_id = ((const struct place_order *)turn->input)->customer_id;
    order_remember(turn->remembered, RECORD_ORDER_COMMAND_REFUSED, refused);
    return refused;
}

void order_refuse(struct order_turn *turn, enum order_refusal reason, const char *detail) {
    (void)refuse(turn, reason, detail);
}

void order_refuse_version(struct order_turn *turn, int64_t expected) {
    struct order_command_refused *refused =
        refuse(turn, ORDER_REFUSAL_INVALID_ORDER, "the order is at another version than expected");
    if (!refused)
        return;
    refused->has_expected_version = true;
    refused->expected_version = expected;
    refused->has_actual_version = true;
    refused->actual_version = turn->order->version;
}

// ---- messages ----------------------------------------------------------------------------------

// What all requests to other domains begin with.
struct request_head {
    struct id message_id;
    struct id causation_id;
    struct id correlation_id;
    struct view shop_id;
};
#define REQUEST_HEAD(record)                                                                       \
    _Static_assert(offsetof(struct record, message_id) ==                                          \
                           offsetof(struct request_head, message_id) &&                            \
                       offsetof(struct record, causation_id) ==                                    \
                           offsetof(struct request_head, causation_id) &&                          \
                       offsetof(struct record, correlation_id) ==                                  \
                           offsetof(struct request_head, correlation_id) &&                        \
                       offsetof(struct record, shop_id) == offsetof(struct request_head, shop_id), \
                   "begins with the common fields")
REQUEST_HEAD(request_stock);
REQUEST_HEAD(request_payment);
REQUEST_HEAD(request_shipment);

static void *request_begin(struct order_turn *turn, enum record_id type, size_t size) {
    struct decision *decision = turn->decision;
    uint32_t index = decision->messages_count;
    struct request_head *head = decision_message(decision, type, size);
    if (!head)
        return NULL;
    const struct order_head *event =
        decision->events_count ? decision->events[decision->events_count - 1].body : NULL;
    head->causation_id = event ? event->event_id : turn->cause;
    head->message_id = id_derive(&head->causation_id, index);
    head->correlation_id = turn->order->place_command_id;
    head->shop_id = turn->shop;
    return head;
}

void order_request_stock(struct order_turn *turn, enum stock_action action) {
    const struct order_item *items = order_items(turn->order);
    uint32_t items_count = order_opened(turn->order)->items_count;
    for (uint32_t i = 0; i < items_count; i++) {
        if (items[i].state > ORDER_ITEM_RESERVED)
            continue;
        struct request_stock *request = request_begin(turn, RECORD_REQUEST_STOCK, sizeof(*request));
        if (!request)
            return;
        request->sku = order_text_kept(turn, items[i].sku_at, items[i].sku_len);
        request->order_id = turn->order->order_id;
        request->action = action;
        request->quantity = items[i].quantity;
    }
}

void order_request_payment(struct order_turn *turn, enum payment_action action) {
    const struct order_open *open = order_opened(turn->order);
    struct request_payment *request = request_begin(turn, RECORD_REQUEST_PAYMENT, sizeof(*request));
    char *currency = decision_alloc(turn->decision, sizeof(open->currency));
    if (!request || !currency)
        return;
    memcpy(currency, open->currency, sizeof(open->currency));
    request->order_id = turn->order->order_id;
    request->payment_id = order_payment_id(turn->order);
    request->action = action;
    request->attempt = open->attempt;
    request->amount_minor = open->total_minor;
    request->currency = order_view(currency);
    request->payment_method = order_text_kept(turn, open->method_at, open->method_len);
}

void order_request_shipment(struct order_turn *turn, enum shipment_action action) {
    struct request_shipment *request =
        request_begin(turn, RECORD_REQUEST_SHIPMENT, sizeof(*request));
    if (!request)
        return;
    request->order_id = turn->order->order_id;
    request->shipment_id = order_shipment_id(turn->order);
    request->action = action;
}
