// SPDX-License-Identifier: Apache-2.0
//
// The fold of orders.events. An event's head carries the status after it, so that the fold is
// mostly "the last one says it"; what a row of the read model shows beyond that comes from single
// events.
#include "cli/verify.h"
#include "domain/order.h"

#include <stdlib.h>

static void keep_enum(struct verify_order *order, enum order_text_column column,
                      const char *const *names, unsigned symbol) {
    order->texts[column] = verify_hash_text(names[symbol]);
}

static void keep_first(struct verify_order *order, enum order_number_column column, int64_t us) {
    if (order->numbers[column] == VERIFY_NULL)
        order->numbers[column] = us;
}

static bool add_item(struct verify *verify, struct verify_order *order, uint32_t sku,
                     int64_t quantity) {
    struct verify_item *known = verify_item_find(verify, order, sku);
    if (known) {
        known->quantity += quantity;
        return true;
    }
    if (verify->items_count == verify->items_capacity) {
        const size_t capacity = verify->items_capacity ? verify->items_capacity * 2 : 4096;
        struct verify_item *items = realloc(verify->items, capacity * sizeof(*items));
        if (!items)
            return false;
        verify->items = items;
        verify->items_capacity = capacity;
    }
    verify->items[verify->items_count++] = (struct verify_item){.sku = sku, .quantity = quantity};
    order->items_count++;
    return true;
}

static bool add_up(const struct order_placed *placed) {
    int64_t items_minor = 0;
    for (uint32_t i = 0; i < placed->lines_count; i++) {
        int64_t line_minor = 0;
        if (__builtin_mul_overflow(placed->lines[i].quantity, placed->lines[i].unit_price_minor,
                                   &line_minor) ||
            __builtin_add_overflow(items_minor, line_minor, &items_minor))
            return false;
    }
    return placed->items_minor == items_minor &&
           placed->total_minor ==
               items_minor - placed->discount_minor + placed->shipping_minor + placed->tax_minor &&
           placed->total_minor >= 0;
}

static bool place(struct verify *verify, struct verify_order *order,
                  const struct order_placed *placed) {
    order->texts[ORDER_SHOP_ID] = verify_hash_view(placed->shop_id);
    order->texts[ORDER_CUSTOMER_ID] = verify_hash_view(placed->customer_id);
    order->texts[ORDER_REFERENCE] = verify_hash_view(placed->reference);
    order->texts[ORDER_CURRENCY] = verify_hash_view(placed->currency);
    order->numbers[ORDER_LINES_COUNT] = placed->lines_count;
    order->numbers[ORDER_ITEMS_MINOR] = placed->items_minor;
    order->numbers[ORDER_DISCOUNT_MINOR] = placed->discount_minor;
    order->numbers[ORDER_SHIPPING_MINOR] = placed->shipping_minor;
    order->numbers[ORDER_TAX_MINOR] = placed->tax_minor;
    order->numbers[ORDER_TOTAL_MINOR] = placed->total_minor;
    order->numbers[ORDER_CAPTURED_MINOR] = 0;
    order->numbers[ORDER_ORDERED_AT] = placed->has_ordered_at ? placed->ordered_at : VERIFY_NULL;
    order->numbers[ORDER_PLACED_AT] = placed->occurred_at;

    verify->report->checked[CHECK_AMOUNTS]++;
    if (!add_up(placed))
        verify_violation(
            verify->report, CHECK_AMOUNTS,
            "order %s: its lines, discount, shipping and tax do not make its total %lld",
            id_text(&order->id).text, (long long)placed->total_minor);

    if (placed->has_shipping_address)
        order->address_digest = verify_sealed_digest(&placed->shipping_address);
    order->lines_digest = verify_lines_digest(placed->lines, placed->lines_count);
    order->items_first = verify->items_count;
    for (uint32_t i = 0; i < placed->lines_count; i++) {
        const struct order_line *line = &placed->lines[i];
        uint32_t sku = 0;
        if (!verify_sku_get(verify, placed->shop_id, line->sku, &sku) ||
            !add_item(verify, order, sku, line->quantity))
            return false;
    }
    return true;
}

// What single events add to the row. False: out of memory.
static bool apply(struct verify *verify, struct verify_order *order, const struct message *message,
                  int64_t at_us) {
    switch ((int)message->type) {
    case RECORD_ORDER_PLACED:
        return place(verify, order, message->body);
    case RECORD_ORDER_CONFIRMED:
        keep_first(order, ORDER_CONFIRMED_AT, at_us);
        break;
    case RECORD_ORDER_SHIPMENT_BOOKED: {
        const struct order_shipment_booked *booked = message->body;
        if (booked->tracking.ptr)
            order->texts[ORDER_TRACKING] = verify_hash_view(booked->tracking);
        break;
    }
    case RECORD_ORDER_DISPATCHED:
        keep_first(order, ORDER_DISPATCHED_AT, at_us);
        break;
    case RECORD_ORDER_DELIVERED:
        keep_first(order, ORDER_DELIVERED_AT, at_us);
        break;
    case RECORD_ORDER_PAYMENT_CAPTURED: {
        const struct order_payment_captured *captured = message->body;
        order->numbers[ORDER_CAPTURED_MINOR] = captured->amount_minor;
        break;
    }
    case RECORD_ORDER_REJECTED: {
        const struct order_rejected *rejected = message->body;
        keep_enum(order, ORDER_CLOSE_REASON, reject_reason_names, rejected->reason);
        order->texts[ORDER_CLOSE_DETAIL] = verify_hash_view(rejected->detail);
        keep_first(order, ORDER_CLOSED_AT, at_us);
        break;
    }
    case RECORD_ORDER_CANCELLED: {
        const struct order_cancelled *cancelled = message->body;
        keep_enum(order, ORDER_CLOSE_REASON, cancel_reason_names, cancelled->reason);
        order->texts[ORDER_CLOSE_DETAIL] = verify_hash_view(cancelled->note);
        keep_first(order, ORDER_CLOSED_AT, at_us);
        break;
    }
    case RECORD_ORDER_EXPIRED:
    case RECORD_ORDER_COMPLETED:
        keep_first(order, ORDER_CLOSED_AT, at_us);
        break;
    case RECORD_ORDER_CASE_OPENED: {
        const struct order_case_opened *opened = message->body;
        keep_enum(order, ORDER_CASE_REASON, case_reason_names, opened->reason);
        break;
    }
    default:
        break;
    }
    return true;
}

static void check_id(struct verify *verify, const struct id *event_id, const struct id *cause,
                     int64_t index, const struct verify_order *order, int64_t offset) {
    verify->report->checked[CHECK_DERIVED_IDS]++;
    const struct id expected = id_derive(cause, (uint64_t)index);
    if (!id_equal(&expected, event_id))
        verify_violation(verify->report, CHECK_DERIVED_IDS,
                         "order %s, orders.events[%d] offset %lld: event id %s instead of %s",
                         id_text(&order->id).text, order->partition, (long long)offset,
                         id_text(event_id).text, id_text(&expected).text);
}

static void keep_timeline(struct verify *verify, struct verify_order *order,
                          const struct message *message, const struct log_record *record) {
    if (verify->timeline_until && record->offset >= verify->timeline_until[record->partition])
        return;
    order->timeline_count++;
    order->timeline_digest += verify_timeline_digest(message, record);
}

bool verify_fold_order(struct verify *verify, const struct message *message,
                       const struct log_record *record) {
    if (message->type == RECORD_ORDER_COMMAND_REFUSED) {
        const struct order_command_refused *refused = message->body;
        struct verify_order *order = verify_order_get(verify, &refused->order_id);
        if (!order)
            return false;
        order->partition = record->partition;
        check_id(verify, &refused->event_id, &refused->causation_id, refused->occurred_at, order,
                 record->offset);
        keep_timeline(verify, order, message, record);
        return true;
    }

    const struct order_head *head = message->body;
    struct verify_order *order = verify_order_get(verify, &head->order_id);
    if (!order)
        return false;
    order->partition = record->partition;
    const int64_t expected = order->numbers[ORDER_VERSION] + 1;
    const bool is_placed = message->type == RECORD_ORDER_PLACED;
    verify->report->checked[CHECK_ORDER_VERSIONS]++;
    if (head->version != expected || is_placed != (expected == 1)) {
        verify_violation(
            verify->report, CHECK_ORDER_VERSIONS,
            "order %s, orders.events[%d] offset %lld: %s has version %lld, expected %lld",
            id_text(&order->id).text, record->partition, (long long)record->offset,
            record_types[message->type]->name, (long long)head->version, (long long)expected);
        if (head->version < expected)
            return true;
    }
    check_id(verify, &head->event_id, &head->causation_id, head->version, order, record->offset);

    order->status = head->status;
    order->reservation_status = head->reservation_status;
    order->payment_status = head->payment_status;
    order->shipment_status = head->shipment_status;
    keep_enum(order, ORDER_STATUS, order_status_names, head->status);
    keep_enum(order, ORDER_RESERVATION_STATUS, reservation_status_names, head->reservation_status);
    keep_enum(order, ORDER_PAYMENT_STATUS, payment_status_names, head->payment_status);
    keep_enum(order, ORDER_SHIPMENT_STATUS, shipment_status_names, head->shipment_status);
    order->numbers[ORDER_VERSION] = head->version;
    order->numbers[ORDER_UPDATED_AT] = head->occurred_at;
    if (expected == 1)
        order->offset_first = record->offset;
    order->offset_last = record->offset;
    keep_timeline(verify, order, message, record);
    verify_folded(verify, order, message, record->offset);
    return apply(verify, order, message, head->occurred_at);
}
