// SPDX-License-Identifier: Apache-2.0
//
// What the four machines amount to: the status, the next deadline, and what no combination of them
// may be.
#include "order_state.h"

#include <assert.h>

// ---- what others ask ---------------------------------------------------------------------------

static const enum order_status status_of_life[ORDER_LIFE_COUNT] = {
    [ORDER_LIFE_COMPLETED] = ORDER_STATUS_COMPLETED,
    [ORDER_LIFE_CANCELLED] = ORDER_STATUS_CANCELLED,
    [ORDER_LIFE_REJECTED] = ORDER_STATUS_REJECTED,
    [ORDER_LIFE_EXPIRED] = ORDER_STATUS_EXPIRED,
};

// Of a confirmed order; a refused booking cancels it in the same decision.
static const enum order_status status_of_shipment[SHIPMENT_STATUS_COUNT] = {
    [SHIPMENT_STATUS_NONE] = ORDER_STATUS_CONFIRMED,
    [SHIPMENT_STATUS_REQUESTED] = ORDER_STATUS_CONFIRMED,
    [SHIPMENT_STATUS_BOOKED] = ORDER_STATUS_READY_TO_SHIP,
    [SHIPMENT_STATUS_DISPATCH_AUTHORISED] = ORDER_STATUS_DISPATCHING,
    [SHIPMENT_STATUS_DISPATCHED] = ORDER_STATUS_DISPATCHED,
    [SHIPMENT_STATUS_DELIVERED] = ORDER_STATUS_DELIVERED,
    [SHIPMENT_STATUS_CANCELLED] = ORDER_STATUS_CONFIRMED,
    [SHIPMENT_STATUS_FAILED] = ORDER_STATUS_CONFIRMED,
};

enum order_status order_stage(const struct order *order) {
    if (order_is_terminal(order))
        return status_of_life[order->life];
    if (order->life == ORDER_LIFE_CONFIRMED)
        return status_of_shipment[order->shipment];
    return order->payment == PAYMENT_STATUS_NONE ? ORDER_STATUS_PLACED
                                                 : ORDER_STATUS_AWAITING_PAYMENT;
}

enum order_status order_status(const struct order *order) {
    if (order->cases && !order_is_terminal(order))
        return ORDER_STATUS_NEEDS_ATTENTION;
    return order_stage(order);
}

int64_t order_version(const struct order *order) {
    return order->version;
}

int64_t order_deadline_us(const struct order *order) {
    if (order->recalled)
        return INT64_MAX;
    const struct order_open *open = order_opened_const(order);
    return open->reservation_deadline_us < open->payment_deadline_us ? open->reservation_deadline_us
                                                                     : open->payment_deadline_us;
}

// ---- invariants --------------------------------------------------------------------------------

void order_assert_sound(const struct order *order) {
    bool left = order->shipment == SHIPMENT_STATUS_DISPATCHED ||
                order->shipment == SHIPMENT_STATUS_DELIVERED;
    bool leaving = left || order->shipment == SHIPMENT_STATUS_DISPATCH_AUTHORISED;
    bool charging = order->payment == PAYMENT_STATUS_CAPTURE_REQUESTED ||
                    order->payment == PAYMENT_STATUS_CAPTURED ||
                    order->payment == PAYMENT_STATUS_FAILED;
    bool authorising =
        order->payment == PAYMENT_STATUS_REQUESTED || order->payment == PAYMENT_STATUS_UNKNOWN;
    bool voiding =
        order->payment == PAYMENT_STATUS_VOID_REQUESTED || order->payment == PAYMENT_STATUS_VOIDED;

    // Never both cancelled and on its way; nothing is charged or sold that has not left.
    assert(!leaving || order->life == ORDER_LIFE_CONFIRMED || order->life == ORDER_LIFE_COMPLETED);
    assert(charging == left);
    assert((order->reservation == RESERVATION_STATUS_SOLD) == left);
    assert(!authorising || order->life == ORDER_LIFE_OPEN);
    assert(!voiding || order_is_terminal(order));
    assert(order->life != ORDER_LIFE_COMPLETED || (order->shipment == SHIPMENT_STATUS_DELIVERED &&
                                                   order->payment == PAYMENT_STATUS_CAPTURED));
    assert(order->life != ORDER_LIFE_CONFIRMED || charging ||
           order->payment == PAYMENT_STATUS_AUTHORIZED);
    assert(order->life != ORDER_LIFE_OPEN || order->shipment == SHIPMENT_STATUS_NONE);
    if (order->recalled)
        return;

    const struct order_open *open = order_opened_const(order);
    assert(open->items_count > 0);
    assert(open->items_pending + open->items_refused <= open->items_count);
    assert(open->authorised_minor >= 0 && open->authorised_minor <= open->total_minor);
    assert(open->captured_minor >= 0 && open->captured_minor <= open->authorised_minor);
    assert(order->payment == PAYMENT_STATUS_NONE || open->items_pending == 0);
    assert(open->reservation_deadline_us == INT64_MAX || order->life == ORDER_LIFE_OPEN);
}
