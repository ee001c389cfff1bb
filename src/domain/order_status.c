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

// clang-format off
#define ORDER_RULES(RULE)                                                                          \
    /* Never both cancelled and on its way; nothing is charged or sold that has not left. */       \
    RULE(!leaving || order->life == ORDER_LIFE_CONFIRMED || order->life == ORDER_LIFE_COMPLETED)   \
    RULE(charging == left)                                                                         \
    RULE((order->reservation == RESERVATION_STATUS_SOLD) == left)                                  \
    RULE(!authorising || order->life == ORDER_LIFE_OPEN)                                           \
    RULE(!voiding || order_is_terminal(order))                                                     \
    RULE(order->life != ORDER_LIFE_COMPLETED || order->shipment == SHIPMENT_STATUS_DELIVERED)      \
    RULE(order->life != ORDER_LIFE_COMPLETED || order->payment == PAYMENT_STATUS_CAPTURED)         \
    RULE(order->life != ORDER_LIFE_CONFIRMED || charging || authorised)                            \
    RULE(order->life != ORDER_LIFE_OPEN || order->shipment == SHIPMENT_STATUS_NONE)

#define OPEN_ORDER_RULES(RULE)                                                                     \
    RULE(open->items_count > 0)                                                                    \
    RULE(open->items_pending + open->items_refused <= open->items_count)                           \
    RULE(open->authorised_minor >= 0 && open->authorised_minor <= open->total_minor)               \
    RULE(open->captured_minor >= 0 && open->captured_minor <= open->authorised_minor)              \
    RULE(order->payment == PAYMENT_STATUS_NONE || open->items_pending == 0)                        \
    RULE(open->reservation_deadline_us == INT64_MAX || order->life == ORDER_LIFE_OPEN)
// clang-format on

// What the rules speak of.
#define ORDER_TERMS(order)                                                                         \
    const bool left = (order)->shipment == SHIPMENT_STATUS_DISPATCHED ||                           \
                      (order)->shipment == SHIPMENT_STATUS_DELIVERED;                              \
    const bool leaving = left || (order)->shipment == SHIPMENT_STATUS_DISPATCH_AUTHORISED;         \
    const bool authorised = (order)->payment == PAYMENT_STATUS_AUTHORIZED;                         \
    const bool charging = (order)->payment == PAYMENT_STATUS_CAPTURE_REQUESTED ||                  \
                          (order)->payment == PAYMENT_STATUS_CAPTURED ||                           \
                          (order)->payment == PAYMENT_STATUS_FAILED;                               \
    const bool authorising = (order)->payment == PAYMENT_STATUS_REQUESTED ||                       \
                             (order)->payment == PAYMENT_STATUS_UNKNOWN;                           \
    const bool voiding = (order)->payment == PAYMENT_STATUS_VOID_REQUESTED ||                      \
                         (order)->payment == PAYMENT_STATUS_VOIDED;

#define ASSERTED(rule) assert(rule);
#define AND_HOLDS(rule) &&(rule)

void order_assert_sound(const struct order *order) {
    ORDER_TERMS(order)
    ORDER_RULES(ASSERTED)
    if (order->recalled)
        return;
    const struct order_open *open = order_opened_const(order);
    OPEN_ORDER_RULES(ASSERTED)
}

bool order_is_sound(const struct order *order) {
    ORDER_TERMS(order)
    bool sound = true ORDER_RULES(AND_HOLDS);
    if (order->recalled)
        return sound;
    const struct order_open *open = order_opened_const(order);
    return sound OPEN_ORDER_RULES(AND_HOLDS);
}
