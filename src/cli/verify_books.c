// SPDX-License-Identifier: Apache-2.0
//
// The books: what each domain says about an order must fit what the others say. While the system is
// at work messages are under way between domains, so then only orders that closed a while ago are
// judged.
#include "cli/verify.h"

static const int64_t settled_after_us = INT64_C(60000000);

static bool is_terminal(const struct verify_order *order) {
    return order->status == ORDER_STATUS_COMPLETED || order->status == ORDER_STATUS_CANCELLED ||
           order->status == ORDER_STATUS_REJECTED || order->status == ORDER_STATUS_EXPIRED;
}

static bool may_judge(const struct verify *verify, const struct verify_order *order) {
    if (order->status == ORDER_STATUS_NEEDS_ATTENTION)
        return false; // people are at it: nothing is settled
    if (order->payment_status == PAYMENT_STATUS_VOID_REQUESTED)
        return false; // asked again until the provider says that it has let go: not at its end yet
    return verify->is_quiet || (is_terminal(order) && order->numbers[ORDER_UPDATED_AT] <
                                                          verify->now_us - settled_after_us);
}

static void order_violation(struct verify *verify, enum verify_check check,
                            const struct verify_order *order, const char *what) {
    verify_violation(verify->report, check,
                     "order %s (%s, payment %s, orders.events[%d] offsets %lld..%lld): %s",
                     id_text(&order->id).text, order_status_names[order->status],
                     payment_status_names[order->payment_status], order->partition,
                     (long long)order->offset_first, (long long)order->offset_last, what);
}

// ---- money --------------------------------------------------------------------------------------

static const char *judge_capture(const struct verify_order *order) {
    const struct verify_effects *effects = &order->effects;
    const int64_t total_minor = order->numbers[ORDER_TOTAL_MINOR];
    const int64_t captured_minor = order->numbers[ORDER_CAPTURED_MINOR];
    const bool is_captured = order->payment_status == PAYMENT_STATUS_CAPTURED;
    if (order->status == ORDER_STATUS_COMPLETED && !is_captured)
        return "completed without being paid";
    if (is_captured && captured_minor != total_minor)
        return "captured is not its total";
    if (is_captured && effects->captured_minor != total_minor)
        return "the provider did not capture its total";
    if (is_captured && effects->voided)
        return "the provider captured and voided";
    if (!is_captured && captured_minor != 0)
        return "captured, but its payment status says otherwise";
    if (!is_captured && effects->captured_minor != VERIFY_NULL)
        return "the provider captured, but the order does not know";
    return NULL;
}

static const char *judge_authorisation(const struct verify_order *order) {
    const struct verify_effects *effects = &order->effects;
    const bool holds_money = order->payment_status == PAYMENT_STATUS_AUTHORIZED ||
                             order->payment_status == PAYMENT_STATUS_CAPTURE_REQUESTED ||
                             order->payment_status == PAYMENT_STATUS_CAPTURED;
    if (holds_money && effects->authorized_minor != order->numbers[ORDER_TOTAL_MINOR])
        return "the provider did not authorise its total";
    if (order->payment_status == PAYMENT_STATUS_VOIDED && !effects->voided)
        return "voided, but the provider did not";
    const bool is_dead = is_terminal(order) && order->status != ORDER_STATUS_COMPLETED;
    if (is_dead && effects->authorized_minor != VERIFY_NULL && !effects->voided)
        return "closed without a sale, but the provider still holds an authorisation";
    return NULL;
}

static void check_payment(struct verify *verify, const struct verify_order *order) {
    verify->report->checked[CHECK_PAYMENTS]++;
    const char *what = judge_capture(order);
    if (!what)
        what = judge_authorisation(order);
    if (what)
        order_violation(verify, CHECK_PAYMENTS, order, what);
}

// ---- parcels ------------------------------------------------------------------------------------

static void check_shipment(struct verify *verify, const struct verify_order *order) {
    verify->report->checked[CHECK_SHIPMENTS]++;
    const bool has_left = order->shipment_status == SHIPMENT_STATUS_DISPATCHED ||
                          order->shipment_status == SHIPMENT_STATUS_DELIVERED;
    if (has_left && !order->effects.dispatched)
        order_violation(verify, CHECK_SHIPMENTS, order,
                        "dispatched, but the carrier has no parcel");
    if (!has_left && order->effects.dispatched)
        order_violation(verify, CHECK_SHIPMENTS, order, "the carrier dispatched it nevertheless");
    if (order->effects.dispatched && order->effects.shipment_cancelled)
        order_violation(verify, CHECK_SHIPMENTS, order, "both cancelled and dispatched");
    if (order->effects.delivered && !order->effects.dispatched)
        order_violation(verify, CHECK_SHIPMENTS, order, "delivered before it was dispatched");
}

// ---- stock --------------------------------------------------------------------------------------

// What the SKU's events must have done for one item of an order in this state.
static bool item_fits(const struct verify_order *order, const struct verify_item *item) {
    const int64_t open = item->reserved - item->released - item->sold;
    const bool nothing_else = item->reserved == item->quantity || item->reserved == 0;
    switch (order->reservation_status) {
    case RESERVATION_STATUS_PENDING:
        return nothing_else && item->sold == 0 && open >= 0;
    case RESERVATION_STATUS_RESERVED:
        return open == item->quantity && item->released == 0;
    case RESERVATION_STATUS_SOLD:
        return item->sold == item->quantity && item->released == 0 && open == 0;
    default:
        return nothing_else && item->sold == 0 && open == 0;
    }
}

static void check_items(struct verify *verify, const struct verify_order *order) {
    for (uint32_t i = 0; i < order->items_count; i++) {
        const struct verify_item *item = &verify->items[order->items_first + i];
        verify->report->checked[CHECK_ORDER_STOCK]++;
        if (!item_fits(order, item))
            verify_violation(verify->report, CHECK_ORDER_STOCK,
                             "order %s (%s, reservation %s): of SKU %s it has %lld; reserved %lld, "
                             "released %lld, sold %lld",
                             id_text(&order->id).text, order_status_names[order->status],
                             reservation_status_names[order->reservation_status],
                             intern_bytes(&verify->sku_keys, item->sku, NULL),
                             (long long)item->quantity, (long long)item->reserved,
                             (long long)item->released, (long long)item->sold);
    }
}

static void check_sku(struct verify *verify, uint32_t number) {
    const struct verify_sku *sku = &verify->skus[number];
    if (sku->numbers[SKU_VERSION] == 0)
        return; // only orders know it
    const char *key = intern_bytes(&verify->sku_keys, number, NULL);
    verify->report->checked[CHECK_STOCK_BALANCE]++;
    if (sku->received + sku->adjusted != sku->numbers[SKU_ON_HAND] + sku->numbers[SKU_SOLD])
        verify_violation(verify->report, CHECK_STOCK_BALANCE,
                         "SKU %s: received %lld, adjusted by %lld, but on hand %lld and sold %lld",
                         key, (long long)sku->received, (long long)sku->adjusted,
                         (long long)sku->numbers[SKU_ON_HAND], (long long)sku->numbers[SKU_SOLD]);
    verify->report->checked[CHECK_RESERVED_BALANCE]++;
    if (sku->open != sku->numbers[SKU_RESERVED])
        verify_violation(verify->report, CHECK_RESERVED_BALANCE,
                         "SKU %s: reserved is %lld, but open reservations hold %lld", key,
                         (long long)sku->numbers[SKU_RESERVED], (long long)sku->open);
}

void verify_books(struct verify *verify) {
    for (uint32_t i = 0; i < verify->order_ids.count; i++) {
        const struct verify_order *order = &verify->orders[i];
        if (order->numbers[ORDER_VERSION] == 0)
            continue; // a refused command named it; it was never placed
        if (!may_judge(verify, order)) {
            verify->in_flight++;
            continue;
        }
        check_payment(verify, order);
        check_shipment(verify, order);
        check_items(verify, order);
    }
    for (uint32_t i = 0; i < verify->sku_keys.count; i++)
        check_sku(verify, i);
}
