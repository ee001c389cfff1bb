// SPDX-License-Identifier: Apache-2.0
//
// The whole order as its closing event carries it, so that whoever acts on a closed order later (a
// return) reads one record instead of the order's life. The carrier's tracking is not in it: it
// comes late and in any length, and what is asked of the carrier is asked under the shipment's id.
#include "order_turn.h"

#include <string.h>

void order_folded(const struct order *order, struct order_line *lines, struct folded_order *ret) {
    const struct order_open *open = order_opened_const(order);
    const struct order_item *items = order_items_const(order);
    const struct order_bought *bought = order_lines_const(order);
    for (uint32_t i = 0; i < open->lines_count; i++) {
        const struct order_item *item = &items[bought[i].item];
        lines[i] = (struct order_line){
            .sku = order_text(order, item->sku_at, item->sku_len),
            .quantity = bought[i].quantity,
            .unit_price_minor = bought[i].unit_price_minor,
            .has_price_version = bought[i].has_price_version,
            .price_version = bought[i].price_version,
        };
    }
    *ret = (struct folded_order){
        .customer_id = order_text(order, open->customer_at, open->customer_len),
        .currency = {.ptr = open->currency, .len = (uint32_t)strlen(open->currency)},
        .lines = lines,
        .lines_count = open->lines_count,
        .items_minor =
            open->total_minor + open->discount_minor - open->shipping_minor - open->tax_minor,
        .discount_minor = open->discount_minor,
        .shipping_minor = open->shipping_minor,
        .tax_minor = open->tax_minor,
        .total_minor = open->total_minor,
        .captured_minor = open->captured_minor,
    };
}

// Where an event that may close an order has its room for it; NULL: it is none of those.
static struct folded_order *room_in(enum record_id type, void *event, bool **ret_has) {
    switch ((int)type) {
    case RECORD_ORDER_COMPLETED: {
        struct order_completed *completed = event;
        *ret_has = &completed->has_folded;
        return &completed->folded;
    }
    case RECORD_ORDER_CANCELLED: {
        struct order_cancelled *cancelled = event;
        *ret_has = &cancelled->has_folded;
        return &cancelled->folded;
    }
    case RECORD_ORDER_REJECTED: {
        struct order_rejected *rejected = event;
        *ret_has = &rejected->has_folded;
        return &rejected->folded;
    }
    case RECORD_ORDER_EXPIRED: {
        struct order_expired *expired = event;
        *ret_has = &expired->has_folded;
        return &expired->folded;
    }
    case RECORD_ORDER_PAYMENT_VOIDED: {
        struct order_payment_voided *voided = event;
        *ret_has = &voided->has_folded;
        return &voided->folded;
    }
    }
    return NULL;
}

const struct folded_order *order_event_folded(enum record_id type, const void *event) {
    bool *has = NULL;
    const struct folded_order *folded = room_in(type, (void *)(uintptr_t)event, &has);
    return folded && *has ? folded : NULL;
}

void order_fold_into(struct order_turn *turn, enum record_id type, void *event) {
    const struct order *order = turn->order;
    bool *has = NULL;
    struct folded_order *folded = room_in(type, event, &has);
    if (!folded || !order_is_closed(order))
        return;
    // The block may be gone before the event is written.
    struct order *kept = decision_alloc(turn->decision, order_size(order));
    uint32_t lines_count = order_opened_const(order)->lines_count;
    struct order_line *lines = decision_alloc(turn->decision, lines_count * sizeof(*lines));
    if (!kept || !lines)
        return;
    memcpy(kept, order, order_size(order));
    order_folded(kept, lines, folded);
    *has = true;
    if (order->payment != PAYMENT_STATUS_NONE) {
        folded->has_payment_id = true;
        folded->payment_id = order_payment_id(order);
    }
    if (order->shipment != SHIPMENT_STATUS_NONE) {
        folded->has_shipment_id = true;
        folded->shipment_id = order_shipment_id(order);
    }
}
