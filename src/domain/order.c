// SPDX-License-Identifier: Apache-2.0
//
// The order's decisions: one table per kind of input, every cell filled. A step is chosen by the
// state of the one machine that the input speaks to; what the other machines may be at that moment
// follows from the invariants in order_assert_sound().
//
//  order        PLACED ──all stock held──▶ AWAITING_PAYMENT ──authorised──▶ CONFIRMED
//                 │ refused: REJECTED        │ declined, not found: REJECTED   │ booked
//                 │                          │                                 ▼
//                 ├── deadline: EXPIRED ─────┤                          READY_TO_SHIP
//                 │                          │                                 │ READY,
//                 DispatchOrder └───────── cancel: CANCELLED ◀──── cancel, booking failed ───┤
//                                                                              ▼
//                                 COMPLETED ◀── DELIVERED ◀── DISPATCHED ◀── DISPATCHING
//                                 (captured and delivered)            (point of no return)
//
//  reservation  PENDING ─▶ RESERVED ─▶ SOLD            payment  NONE ─▶ REQUESTED ◀▶ UNKNOWN
//                   │          └────▶ RELEASED                    │ └──▶ AUTHORIZED | DECLINED
//                   └▶ REFUSED | RELEASED                         │        ▼
//                                                                 │      CAPTURE_REQUESTED
//  shipment     NONE ─▶ REQUESTED ─▶ BOOKED ─▶ DISPATCH_          │        ▼
//                          │            │      AUTHORISED         │      CAPTURED | FAILED
//                          └▶ FAILED    │         ▼               ▼
//                          └▶ CANCELLED ◀      DISPATCHED    VOID_REQUESTED ─▶ VOIDED
//                                                 ▼          (from any of the three that hold or
//                                              DELIVERED      may come to hold money)
#include "order_turn.h"

#include <assert.h>
#include <stddef.h>

// ---- commands: by stage ------------------------------------------------------------------------

// A stage is a status other than NEEDS_ATTENTION, whose place stands for an order that is unknown.
enum { STAGE_UNKNOWN = ORDER_STATUS_NEEDS_ATTENTION };

enum command { PLACE, CANCEL, DISPATCH, DELIVER, COMMAND_COUNT };

// clang-format off
static order_step *const command_steps[ORDER_STATUS_COUNT][COMMAND_COUNT] = {
    //                               PLACE              CANCEL                   DISPATCH                  DELIVER
    [STAGE_UNKNOWN]                 = {order_place,       order_refuse_unknown,    order_refuse_unknown,     order_refuse_unknown},
    [ORDER_STATUS_PLACED]           = {order_place_again, order_cancel,            order_refuse_not_ready,   order_refuse_not_dispatched},
    [ORDER_STATUS_AWAITING_PAYMENT] = {order_place_again, order_cancel,            order_refuse_not_ready,   order_refuse_not_dispatched},
    [ORDER_STATUS_CONFIRMED]        = {order_place_again, order_cancel,            order_refuse_not_ready,   order_refuse_not_dispatched},
    [ORDER_STATUS_READY_TO_SHIP]    = {order_place_again, order_cancel,            order_authorise_dispatch, order_refuse_not_dispatched},
    [ORDER_STATUS_DISPATCHING]      = {order_place_again, order_refuse_dispatched, order_refuse_dispatched,  order_refuse_not_dispatched},
    [ORDER_STATUS_DISPATCHED]       = {order_place_again, order_refuse_dispatched, order_refuse_dispatched,  order_deliver},
    [ORDER_STATUS_DELIVERED]        = {order_place_again, order_refuse_dispatched, order_refuse_dispatched,  order_refuse_delivered},
    [ORDER_STATUS_COMPLETED]        = {order_place_again, order_refuse_closed,     order_refuse_dispatched,  order_refuse_delivered},
    [ORDER_STATUS_CANCELLED]        = {order_place_again, order_refuse_closed,     order_refuse_closed,      order_refuse_closed},
    [ORDER_STATUS_REJECTED]         = {order_place_again, order_refuse_closed,     order_refuse_closed,      order_refuse_closed},
    [ORDER_STATUS_EXPIRED]          = {order_place_again, order_refuse_closed,     order_refuse_closed,      order_refuse_closed},
};

// ---- inventory's answers: by the SKU they speak of ---------------------------------------------

enum item_stage {
    ITEM_SETTLED, // of an order that has ended: what it held was let go
    ITEM_ABSENT,  // of an order without this SKU
    ITEM_PENDING,
    ITEM_ANSWERED,
    ITEM_STAGE_COUNT
};

static order_step *const stock_steps[ITEM_STAGE_COUNT][STOCK_RESULT_COUNT] = {
    //                RESERVED               UNKNOWN_SKU          OUT_OF_STOCK
    [ITEM_SETTLED]  = {order_ignore,         order_ignore,        order_ignore},
    [ITEM_ABSENT]   = {order_ignore,         order_ignore,        order_ignore},
    [ITEM_PENDING]  = {order_stock_reserved, order_stock_refused, order_stock_refused},
    [ITEM_ANSWERED] = {order_ignore,         order_ignore,        order_ignore},
};

// ---- payment's answers: by payment status ------------------------------------------------------

static order_step *const payment_steps[PAYMENT_STATUS_COUNT][PAYMENT_RESULT_COUNT] = {
    //                                   AUTHORIZED                DECLINED                CAPTURED                VOIDED                NOT_FOUND                UNKNOWN
    [PAYMENT_STATUS_NONE]              = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
    [PAYMENT_STATUS_REQUESTED]         = {order_payment_authorised, order_payment_declined, order_ignore,           order_ignore,         order_payment_not_found, order_payment_unknown},
    [PAYMENT_STATUS_UNKNOWN]           = {order_payment_authorised, order_payment_declined, order_ignore,           order_ignore,         order_payment_not_found, order_payment_unknown},
    [PAYMENT_STATUS_AUTHORIZED]        = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
    [PAYMENT_STATUS_DECLINED]          = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
    [PAYMENT_STATUS_CAPTURE_REQUESTED] = {order_capture_again,      order_capture_failed,   order_payment_captured, order_capture_failed, order_capture_failed,    order_payment_unknown},
    [PAYMENT_STATUS_CAPTURED]          = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
    [PAYMENT_STATUS_VOID_REQUESTED]    = {order_ignore,             order_ignore,           order_ignore,           order_payment_voided, order_ignore,            order_ignore},
    [PAYMENT_STATUS_VOIDED]            = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
    [PAYMENT_STATUS_FAILED]            = {order_ignore,             order_ignore,           order_ignore,           order_ignore,         order_ignore,            order_ignore},
};

// ---- shipping's answers: by shipment status ----------------------------------------------------

static order_step *const shipment_steps[SHIPMENT_STATUS_COUNT][SHIPMENT_RESULT_COUNT] = {
    //                                       BOOKED                     BOOKING_FAILED             CANCELLED                  READY                      DISPATCHED                 DELIVERED
    [SHIPMENT_STATUS_NONE]                = {order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts},
    [SHIPMENT_STATUS_REQUESTED]           = {order_shipment_booked,     order_shipment_failed,     order_shipment_failed,     order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts},
    [SHIPMENT_STATUS_BOOKED]              = {order_ignore,              order_carrier_contradicts, order_carrier_contradicts, order_authorise_dispatch,  order_carrier_contradicts, order_carrier_contradicts},
    [SHIPMENT_STATUS_DISPATCH_AUTHORISED] = {order_ignore,              order_carrier_contradicts, order_carrier_contradicts, order_ignore,              order_shipment_dispatched, order_carrier_contradicts},
    [SHIPMENT_STATUS_DISPATCHED]          = {order_ignore,              order_carrier_contradicts, order_carrier_contradicts, order_ignore,              order_ignore,              order_deliver},
    [SHIPMENT_STATUS_DELIVERED]           = {order_ignore,              order_carrier_contradicts, order_carrier_contradicts, order_ignore,              order_ignore,              order_ignore},
    // Cancelled while the carrier's answer was on its way: booked, failed or ready says nothing now.
    [SHIPMENT_STATUS_CANCELLED]           = {order_ignore,              order_ignore,              order_ignore,              order_ignore,              order_carrier_contradicts, order_carrier_contradicts},
    [SHIPMENT_STATUS_FAILED]              = {order_carrier_contradicts, order_ignore,              order_ignore,              order_carrier_contradicts, order_carrier_contradicts, order_carrier_contradicts},
};

// ---- deadlines ---------------------------------------------------------------------------------

static order_step *const reservation_deadline_steps[ORDER_LIFE_COUNT] = {
    [ORDER_LIFE_OPEN]      = order_expire,
    [ORDER_LIFE_CONFIRMED] = order_ignore,
    [ORDER_LIFE_COMPLETED] = order_ignore,
    [ORDER_LIFE_CANCELLED] = order_ignore,
    [ORDER_LIFE_REJECTED]  = order_ignore,
    [ORDER_LIFE_EXPIRED]   = order_ignore,
};

static order_step *const payment_deadline_steps[PAYMENT_STATUS_COUNT] = {
    [PAYMENT_STATUS_NONE]              = order_ignore,
    [PAYMENT_STATUS_REQUESTED]         = order_lookup_due,
    [PAYMENT_STATUS_UNKNOWN]           = order_lookup_due,
    [PAYMENT_STATUS_AUTHORIZED]        = order_ignore,
    [PAYMENT_STATUS_DECLINED]          = order_ignore,
    [PAYMENT_STATUS_CAPTURE_REQUESTED] = order_lookup_due,
    [PAYMENT_STATUS_CAPTURED]          = order_ignore,
    [PAYMENT_STATUS_VOID_REQUESTED]    = order_void_due,
    [PAYMENT_STATUS_VOIDED]            = order_ignore,
    [PAYMENT_STATUS_FAILED]            = order_ignore,
};
// clang-format on

// ---- what inputs begin with --------------------------------------------------------------------

#define SAME_FIELD(record, head, field)                                                            \
    (offsetof(struct record, field) == offsetof(struct head, field))
#define COMMAND_HEAD(record)                                                                       \
    _Static_assert(SAME_FIELD(record, order_command_head, command_id) &&                           \
                       SAME_FIELD(record, order_command_head, key_id) &&                           \
                       SAME_FIELD(record, order_command_head, shop_id) &&                          \
                       SAME_FIELD(record, order_command_head, order_id),                           \
                   "begins with the common fields")
COMMAND_HEAD(place_order);
COMMAND_HEAD(cancel_order);
COMMAND_HEAD(dispatch_order);
COMMAND_HEAD(deliver_order);

#define ANSWER_HEAD(record)                                                                        \
    _Static_assert(SAME_FIELD(record, order_answer_head, message_id) &&                            \
                       SAME_FIELD(record, order_answer_head, correlation_id) &&                    \
                       SAME_FIELD(record, order_answer_head, shop_id) &&                           \
                       SAME_FIELD(record, order_answer_head, order_id),                            \
                   "begins with the common fields")
ANSWER_HEAD(stock_answered);
ANSWER_HEAD(payment_answered);
ANSWER_HEAD(shipment_answered);

#define EVENT_HEAD(record)                                                                         \
    _Static_assert(                                                                                \
        SAME_FIELD(record, order_head, event_id) && SAME_FIELD(record, order_head, shop_id) &&     \
            SAME_FIELD(record, order_head, order_id) && SAME_FIELD(record, order_head, version) && \
            SAME_FIELD(record, order_head, occurred_at) &&                                         \
            SAME_FIELD(record, order_head, causation_id) &&                                        \
            SAME_FIELD(record, order_head, correlation_id) &&                                      \
            SAME_FIELD(record, order_head, status) &&                                              \
            SAME_FIELD(record, order_head, shipment_status),                                       \
        "begins with the common fields")
EVENT_HEAD(order_placed);
EVENT_HEAD(order_stock_reserved);
EVENT_HEAD(order_stock_refused);
EVENT_HEAD(order_payment_requested);
EVENT_HEAD(order_payment_authorized);
EVENT_HEAD(order_payment_declined);
EVENT_HEAD(order_payment_unknown);
EVENT_HEAD(order_payment_timed_out);
EVENT_HEAD(order_payment_captured);
EVENT_HEAD(order_payment_voided);
EVENT_HEAD(order_confirmed);
EVENT_HEAD(order_shipment_booked);
EVENT_HEAD(order_shipment_failed);
EVENT_HEAD(order_dispatch_authorised);
EVENT_HEAD(order_dispatched);
EVENT_HEAD(order_delivered);
EVENT_HEAD(order_completed);
EVENT_HEAD(order_cancelled);
EVENT_HEAD(order_rejected);
EVENT_HEAD(order_expired);
EVENT_HEAD(order_case_opened);

// ---- dispatch ----------------------------------------------------------------------------------

static bool same_text(struct view a, struct view b) {
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool of_shop(const struct order *order, struct view shop) {
    if (order->recalled)
        return order->shop_print == order_print(shop);
    return same_text(shop, order_text(order, order->shop_at, order->shop_len));
}

// A customer is not told of orders that are not theirs; without one the shop asks.
static bool of_customer(const struct order *order, struct view customer) {
    if (!customer.ptr)
        return true;
    if (order->recalled)
        return order->customer_print == order_print(customer);
    const struct order_open *open = order_opened_const(order);
    return same_text(customer, order_text(order, open->customer_at, open->customer_len));
}

// Who a command comes from: only cancelling is given to customers' hands.
static struct view asking_customer(const struct order_turn *turn) {
    return turn->type == RECORD_CANCEL_ORDER
               ? ((const struct cancel_order *)turn->input)->customer_id
               : (struct view){NULL, 0};
}

// True when the command's key has an outcome already that still counts.
static bool answered_before(struct order_turn *turn, const struct order_command_head *command) {
    const struct remembered_command *remembered = turn->remembered;
    if (!remembered_stands(remembered, &command->key_id, turn->decision))
        return false;
    if (!id_equal(&remembered->command_id, &command->command_id))
        order_refuse(turn, ORDER_REFUSAL_KEY_REUSED,
                     "this idempotency key was used for a command with other content");
    return true;
}

// The version that the command wants the order to be at; 0: any.
static int64_t expected_version(const struct order_turn *turn, enum command command) {
    const struct cancel_order *cancel = turn->input;
    const struct dispatch_order *dispatch = turn->input;
    const struct deliver_order *deliver = turn->input;
    switch (command) {
    case CANCEL:
        return cancel->has_expected_version ? cancel->expected_version : 0;
    case DISPATCH:
        return dispatch->has_expected_version ? dispatch->expected_version : 0;
    case DELIVER:
        return deliver->has_expected_version ? deliver->expected_version : 0;
    case PLACE:
    case COMMAND_COUNT:
        break;
    }
    return 0;
}

static void take_command(struct order_turn *turn, enum command command) {
    const struct order_command_head *head = turn->input;
    turn->cause = head->command_id;
    turn->key_id = &head->key_id;
    turn->shop = head->shop_id;
    bool ours = turn->order && of_shop(turn->order, head->shop_id) &&
                of_customer(turn->order, asking_customer(turn));
    turn->not_theirs = turn->order && !ours;
    // What is known of the key of a place command whose order exists is the order.
    if (!(ours && command == PLACE) && answered_before(turn, head))
        return;
    if (!turn->order) {
        command_steps[STAGE_UNKNOWN][command](turn);
        return;
    }
    if (!ours) {
        order_refuse_unknown(turn);
        return;
    }
    // Before the table: it says what may be done to an order as it is, and whoever asks has seen
    // another one.
    int64_t expected = expected_version(turn, command);
    if (expected != 0 && expected != turn->order->version)
        order_refuse_version(turn, expected);
    else
        command_steps[order_stage(turn->order)][command](turn);
}

static enum item_stage item_stage(struct order *order, struct view sku) {
    if (order->life != ORDER_LIFE_OPEN)
        return ITEM_SETTLED;
    const struct order_item *item = order_item_find(order, sku);
    if (!item)
        return ITEM_ABSENT;
    return item->state == ORDER_ITEM_PENDING ? ITEM_PENDING : ITEM_ANSWERED;
}

static void take_answer(struct order_turn *turn) {
    const struct order_answer_head *head = turn->input;
    // An answer to nobody, or to somebody else: nothing to decide, and nobody waits for an outcome.
    if (!turn->order || !of_shop(turn->order, head->shop_id))
        return;
    turn->cause = head->message_id;
    turn->shop = head->shop_id;

    if (turn->type == RECORD_STOCK_ANSWERED) {
        const struct stock_answered *answer = turn->input;
        stock_steps[item_stage(turn->order, answer->sku)][answer->result](turn);
    } else if (turn->type == RECORD_PAYMENT_ANSWERED) {
        const struct payment_answered *answer = turn->input;
        struct id payment_id = order_payment_id(turn->order);
        if (id_equal(&answer->payment_id, &payment_id))
            payment_steps[turn->order->payment][answer->result](turn);
    } else {
        const struct shipment_answered *answer = turn->input;
        struct id shipment_id = order_shipment_id(turn->order);
        if (id_equal(&answer->shipment_id, &shipment_id))
            shipment_steps[turn->order->shipment][answer->result](turn);
    }
}

const struct id *order_input_key(enum record_id type, const void *input) {
    switch ((int)type) {
    case RECORD_PLACE_ORDER:
    case RECORD_CANCEL_ORDER:
    case RECORD_DISPATCH_ORDER:
    case RECORD_DELIVER_ORDER:
        return &((const struct order_command_head *)input)->key_id;
    }
    return NULL;
}

void order_decide(struct decision *decision, struct order **order,
                  struct remembered_command *remembered, enum record_id type, const void *input) {
    struct order_turn turn = {
        .decision = decision,
        .order = *order,
        .remembered = remembered,
        .type = type,
        .input = input,
    };
    switch ((int)type) {
    case RECORD_PLACE_ORDER:
        take_command(&turn, PLACE);
        break;
    case RECORD_CANCEL_ORDER:
        take_command(&turn, CANCEL);
        break;
    case RECORD_DISPATCH_ORDER:
        take_command(&turn, DISPATCH);
        break;
    case RECORD_DELIVER_ORDER:
        take_command(&turn, DELIVER);
        break;
    case RECORD_STOCK_ANSWERED:
    case RECORD_PAYMENT_ANSWERED:
    case RECORD_SHIPMENT_ANSWERED:
        take_answer(&turn);
        break;
    default:
        assert(!"a record that orders.inbox does not hold");
    }
    *order = turn.order;
}

// The reservation's deadline comes first: it ends what the other would only ask about.
void order_decide_deadline(struct decision *decision, struct order *order) {
    if (order_deadline_us(order) > decision->now_us)
        return;
    struct order_turn turn = {
        .decision = decision,
        .order = order,
        .type = RECORD_COUNT,
        .cause = id_derive(&order->order_id, (uint64_t)order->version),
    };
    turn.shop = order_text_kept(&turn, order->shop_at, order->shop_len);
    if (decision->out_of_memory)
        return;
    if (order_opened(order)->reservation_deadline_us <= decision->now_us)
        reservation_deadline_steps[order->life](&turn);
    else
        payment_deadline_steps[order->payment](&turn);
}
