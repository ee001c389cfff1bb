// SPDX-License-Identifier: Apache-2.0
//
// An order's state as a record and back, to the byte.
#include "order_state.h"

#include <assert.h>
#include <string.h>

_Static_assert((int)ORDER_ITEM_PENDING == (int)ITEM_RESERVATION_PENDING &&
                   (int)ORDER_ITEM_RESERVED == (int)ITEM_RESERVATION_RESERVED &&
                   (int)ORDER_ITEM_UNKNOWN_SKU == (int)ITEM_RESERVATION_UNKNOWN_SKU &&
                   (int)ORDER_ITEM_OUT_OF_STOCK == (int)ITEM_RESERVATION_OUT_OF_STOCK,
               "a snapshot's item states are the state's own");

// ---- open orders -------------------------------------------------------------------------------

bool order_snapshot(const struct order *order, struct arena *arena, struct order_snapshot *ret) {
    const struct order_open *open = order_opened_const(order);
    struct snapshot_item *items = arena_alloc(arena, open->items_count * sizeof(*items));
    struct order_line *lines = arena_alloc(arena, open->lines_count * sizeof(*lines));
    if (!items || !lines)
        return false;
    const struct order_item *kept = order_items_const(order);
    for (uint32_t i = 0; i < open->items_count; i++)
        items[i] = (struct snapshot_item){
            .sku = order_text(order, kept[i].sku_at, kept[i].sku_len),
            .quantity = kept[i].quantity,
            .available = kept[i].available,
            .state = (enum item_reservation)kept[i].state,
        };
    *ret = (struct order_snapshot){
        .order_id = order->order_id,
        .shop_id = order_text(order, order->shop_at, order->shop_len),
        .version = order->version,
        .place_command_id = order->place_command_id,
        .life = (enum order_life)order->life,
        .reservation_status = (enum reservation_status)order->reservation,
        .payment_status = (enum payment_status)order->payment,
        .shipment_status = (enum shipment_status)order->shipment,
        .cases = order->cases,
        .has_reservation_deadline = open->reservation_deadline_us != INT64_MAX,
        .reservation_deadline = open->reservation_deadline_us,
        .has_payment_deadline = open->payment_deadline_us != INT64_MAX,
        .payment_deadline = open->payment_deadline_us,
        .currency = {.ptr = open->currency, .len = (uint32_t)strlen(open->currency)},
        .total_minor = open->total_minor,
        .authorised_minor = open->authorised_minor,
        .captured_minor = open->captured_minor,
        .payment_method = order_text(order, open->method_at, open->method_len),
        .payment_attempt = open->attempt,
        .items = items,
        .items_count = open->items_count,
        .has_folded = true,
    };
    order_folded(order, lines, &ret->folded);
    return true;
}

size_t order_restored_size(const struct order_snapshot *snapshot) {
    size_t size = sizeof(struct order) + sizeof(struct order_open) + snapshot->shop_id.len +
                  snapshot->payment_method.len + snapshot->folded.customer_id.len +
                  snapshot->folded.lines_count * sizeof(struct order_bought);
    for (uint32_t i = 0; i < snapshot->items_count; i++)
        size += sizeof(struct order_item) + snapshot->items[i].sku.len;
    return order_aligned(size);
}

static bool fits(const struct order_snapshot *snapshot) {
    for (uint32_t i = 0; i < snapshot->items_count; i++)
        if (snapshot->items[i].quantity < 1 || snapshot->items[i].quantity > UINT32_MAX ||
            snapshot->items[i].sku.len > UINT16_MAX)
            return false;
    const struct folded_order *folded = &snapshot->folded;
    for (uint32_t i = 0; i < folded->lines_count; i++)
        if (folded->lines[i].quantity < 1 || folded->lines[i].quantity > UINT32_MAX)
            return false;
    return snapshot->version >= 1 && snapshot->items_count <= UINT16_MAX && snapshot->has_folded &&
           folded->lines_count > 0 && snapshot->shop_id.len <= UINT16_MAX &&
           snapshot->payment_method.len <= UINT16_MAX && folded->customer_id.len <= UINT16_MAX &&
           snapshot->currency.len < sizeof(((struct order_open *)0)->currency);
}

bool order_restore(const struct order_snapshot *snapshot, struct order *order) {
    if (!fits(snapshot))
        return false;
    order->version = snapshot->version;
    order->order_id = snapshot->order_id;
    order->place_command_id = snapshot->place_command_id;
    order->life = (uint8_t)snapshot->life;
    order->reservation = (uint8_t)snapshot->reservation_status;
    order->payment = (uint8_t)snapshot->payment_status;
    order->shipment = (uint8_t)snapshot->shipment_status;
    order->cases = (uint8_t)snapshot->cases;

    struct order_open *open = order_opened(order);
    open->reservation_deadline_us =
        snapshot->has_reservation_deadline ? snapshot->reservation_deadline : INT64_MAX;
    open->payment_deadline_us =
        snapshot->has_payment_deadline ? snapshot->payment_deadline : INT64_MAX;
    open->discount_minor = snapshot->folded.discount_minor;
    open->shipping_minor = snapshot->folded.shipping_minor;
    open->tax_minor = snapshot->folded.tax_minor;
    open->total_minor = snapshot->total_minor;
    open->authorised_minor = snapshot->authorised_minor;
    open->captured_minor = snapshot->captured_minor;
    open->attempt = snapshot->payment_attempt;
    memcpy(open->currency, snapshot->currency.ptr, snapshot->currency.len);

    open->items_count = snapshot->items_count;
    open->lines_count = snapshot->folded.lines_count;
    uint32_t at = order_texts_begin(order, snapshot->shop_id, snapshot->payment_method,
                                    snapshot->folded.customer_id);
    struct order_item *items = order_items(order);
    for (uint32_t i = 0; i < snapshot->items_count; i++) {
        const struct snapshot_item *item = &snapshot->items[i];
        items[i].available = item->available;
        items[i].quantity = (uint32_t)item->quantity;
        items[i].state = (uint8_t)item->state;
        order_sku_put(order, &items[i], item->sku, &at);
    }
    order_texts_end(order, at);
    order_items_count(order);
    return order_lines_put(order, snapshot->folded.lines) && order_is_sound(order) &&
           !order_is_closed(order);
}

// ---- closed ones -------------------------------------------------------------------------------

void order_closed_snapshot(const struct order_closed *closed, struct closed_order_snapshot *ret) {
    *ret = (struct closed_order_snapshot){
        .order_id = closed->order_id,
        .shop_print = closed->shop_print,
        .version = closed->version,
        .place_command_id = closed->place_command_id,
        .life = (enum order_life)closed->life,
        .reservation_status = (enum reservation_status)closed->reservation,
        .payment_status = (enum payment_status)closed->payment,
        .shipment_status = (enum shipment_status)closed->shipment,
        .cases = (int32_t)closed->cases,
        .has_closing_offset = true,
        .closing_offset = closed->closing_offset,
        .has_customer_print = true,
        .customer_print = closed->customer_print,
    };
}

bool order_closed_restore(const struct closed_order_snapshot *snapshot, struct order_closed *ret) {
    *ret = (struct order_closed){
        .order_id = snapshot->order_id,
        .place_command_id = snapshot->place_command_id,
        .shop_print = (uint32_t)snapshot->shop_print,
        .customer_print = (uint32_t)snapshot->customer_print,
        .closing_offset = snapshot->closing_offset,
        .version = (uint32_t)snapshot->version,
        .life = (uint32_t)snapshot->life,
        .reservation = (uint32_t)snapshot->reservation_status,
        .payment = (uint32_t)snapshot->payment_status,
        .shipment = (uint32_t)snapshot->shipment_status,
        .cases = (uint8_t)snapshot->cases,
    };
    struct order recalled;
    return snapshot->version >= 1 && snapshot->version <= UINT32_MAX &&
           snapshot->has_closing_offset && snapshot->has_customer_print &&
           snapshot->shop_print == ret->shop_print &&
           snapshot->customer_print == ret->customer_print &&
           order_is_closed(order_recall(ret, &recalled)) && order_is_sound(&recalled);
}
