// SPDX-License-Identifier: Apache-2.0
//
// PlaceOrder: a new order, or one that exists already.
#include "domain/money.h"
#include "order_turn.h"

#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 1000, TEXT_MAX = 64, DETAIL_MAX = 160 };
enum {
    NONCE_LEN = 12,
    TAG_LEN = 16,
    SEALED_MAX = 16384
}; // of what is sealed: include/privacy/seal.h

static bool length_fits(struct view text) {
    return text.len >= 1 && text.len <= TEXT_MAX;
}

// Nobody can look into it here; it is only handed on.
static bool sealed_fits(const struct personal *sealed) {
    return sealed->nonce.len == NONCE_LEN && sealed->ciphertext.len >= TAG_LEN &&
           sealed->ciphertext.len <= SEALED_MAX;
}

static bool sku_valid(struct view sku) {
    if (!length_fits(sku))
        return false;
    for (uint32_t i = 0; i < sku.len; i++) {
        unsigned char c = (unsigned char)sku.ptr[i];
        if (c < 0x20 || c == 0x7f || c == '/')
            return false;
    }
    return true;
}

// What is wrong with the command, and in which line; NULL if nothing is.
static const char *complaint(const struct place_order *place, struct order_amounts *ret_amounts,
                             int32_t *reterr_line) {
    *reterr_line = -1;
    if (!length_fits(place->shop_id))
        return "shop_id must have 1 to 64 characters";
    if (!length_fits(place->customer_id))
        return "customer_id must have 1 to 64 characters";
    if (!length_fits(place->payment_method))
        return "payment_method must have 1 to 64 characters";
    if (place->reference.len > TEXT_MAX)
        return "reference must have at most 64 characters";
    if (place->has_shipping_address && !sealed_fits(&place->shipping_address))
        return "shipping_address must be sealed, in at most 16384 bytes";
    if (!money_currency_known(place->currency.ptr, place->currency.len))
        return "currency must be an ISO 4217 code in use";
    if (place->lines_count < 1 || place->lines_count > LINES_MAX)
        return "an order has 1 to 1000 lines";
    for (uint32_t i = 0; i < place->lines_count; i++) {
        if (!sku_valid(place->lines[i].sku)) {
            *reterr_line = (int32_t)i;
            return "sku must have 1 to 64 characters, none of them '/' or a control character";
        }
    }
    const char *reason = NULL;
    if (!order_amounts(place->lines, place->lines_count, place->discount_minor,
                       place->shipping_minor, place->tax_minor, ret_amounts, &reason, reterr_line))
        return reason;
    return NULL;
}

static void refuse_invalid(struct order_turn *turn, const char *reason, int32_t line) {
    char *detail = decision_alloc(turn->decision, DETAIL_MAX);
    if (!detail)
        return;
    if (line < 0)
        (void)snprintf(detail, DETAIL_MAX, "%s", reason);
    else
        (void)snprintf(detail, DETAIL_MAX, "line %d: %s", (int)line + 1, reason);
    order_refuse(turn, ORDER_REFUSAL_INVALID_ORDER, detail);
}

static struct order_placed *placed_from(struct order_turn *turn, const struct place_order *place,
                                        const struct order_amounts *amounts) {
    struct decision *decision = turn->decision;
    struct order_placed *placed = decision_event(decision, RECORD_ORDER_PLACED, sizeof(*placed));
    if (!placed)
        return NULL;
    placed->version = 1;
    placed->event_id = id_derive(&turn->cause, 1);
    placed->shop_id = place->shop_id;
    placed->order_id = place->order_id;
    placed->occurred_at = decision->now_us;
    placed->causation_id = turn->cause;
    placed->correlation_id = place->command_id;
    placed->has_key_id = true;
    placed->key_id = place->key_id;
    placed->customer_id = place->customer_id;
    placed->currency = place->currency;
    placed->reference = place->reference;
    placed->has_ordered_at = place->has_ordered_at;
    placed->ordered_at = place->ordered_at;
    placed->payment_method = place->payment_method;
    placed->lines = place->lines;
    placed->lines_count = place->lines_count;
    placed->items_minor = amounts->items_minor;
    placed->discount_minor = place->discount_minor;
    placed->shipping_minor = place->shipping_minor;
    placed->tax_minor = place->tax_minor;
    placed->total_minor = amounts->total_minor;
    placed->has_shipping_address = place->has_shipping_address;
    placed->shipping_address = place->shipping_address;
    placed->reservation_deadline = decision->now_us + decision->policy->reservation_ttl_us;
    return placed;
}

void order_place(struct order_turn *turn) {
    const struct place_order *place = turn->input;
    struct order_amounts amounts;
    int32_t line;
    const char *reason = complaint(place, &amounts, &line);
    if (reason) {
        refuse_invalid(turn, reason, line);
        return;
    }

    const struct order_placed *placed = placed_from(turn, place, &amounts);
    if (!placed)
        return;
    struct order *order = decision_alloc(turn->decision, order_block_size(placed));
    if (!order)
        return;
    turn->order = order;
    order_event_end(turn);
    order_request_stock(turn, STOCK_ACTION_RESERVE);
}

void order_place_again(struct order_turn *turn) {
    const struct place_order *place = turn->input;
    if (id_equal(&place->command_id, &turn->order->place_command_id))
        return;
    order_refuse(turn, ORDER_REFUSAL_KEY_REUSED,
                 "this idempotency key was used for an order with other content");
}
