// SPDX-License-Identifier: Apache-2.0
//
// One input's turn at an order: who asked, and the few ways in which a step may act: emit an event
// (which is folded at once), refuse a command, send a request. A step is one cell's answer in the
// tables of order.c. Inner to the order's own files.
#ifndef ORDERLOG_DOMAIN_ORDER_TURN_H
#define ORDERLOG_DOMAIN_ORDER_TURN_H

#include "order_state.h"

// What all commands to orders begin with.
struct order_command_head {
    struct id command_id;
    struct id key_id;
    struct view shop_id;
    struct id order_id;
};

// What all answers to orders begin with.
struct order_answer_head {
    struct id message_id;
    struct id causation_id;
    struct id correlation_id;
    struct view shop_id;
    struct id order_id;
};

struct order_turn {
    struct decision *decision;
    struct order *order;                   // NULL: unknown
    struct remembered_command *remembered; // of the command's key, NULL if it has none
    enum record_id type;                   // of the input
    const void *input;                     // NULL for a deadline
    struct id cause;                       // command id, message id, or the deadline's derived id
    struct view shop;                      // of the input, or of the state for a deadline
    const struct id *key_id;               // of a command, otherwise NULL
    bool not_theirs;                       // there is an order, of which the asker must not know
    const char *text;                      // the state's text in the arena, once it was needed
};

typedef void order_step(struct order_turn *turn);

// Begins an event with its head filled in but for the statuses; NULL when memory is out.
void *order_event_begin(struct order_turn *turn, enum record_id type, size_t size);

// Folds the event begun last into the order and notes the statuses after it.
void order_event_end(struct order_turn *turn);

// Puts the whole order into an event that has just closed it: the last thing done to it.
void order_fold_into(struct order_turn *turn, enum record_id type, void *event);

// The outcome of a command that changes nothing, also for an order that does not exist.
void order_refuse(struct order_turn *turn, enum order_refusal reason, const char *detail);

// The same, because the order is not at the version that the command expects.
void order_refuse_version(struct order_turn *turn, int64_t expected);

// RESERVE, RELEASE or SELL for every SKU that inventory did not refuse.
void order_request_stock(struct order_turn *turn, enum stock_action action);
void order_request_payment(struct order_turn *turn, enum payment_action action);
void order_request_shipment(struct order_turn *turn, enum shipment_action action);

// Copies of the state's text that outlive the state's block; ptr NULL when memory is out.
struct view order_text_kept(struct order_turn *turn, uint32_t at, uint32_t len);

struct id order_payment_id(const struct order *order);
struct id order_shipment_id(const struct order *order);

// A static text as a view.
struct view order_view(const char *text);

// ---- steps: what the cells of the tables name --------------------------------------------------

order_step order_ignore;

order_step order_place;       // order_place.c
order_step order_place_again; // the id exists: a repetition, or a reused key

order_step order_cancel; // order_commands.c
order_step order_deliver;
order_step order_authorise_dispatch;
order_step order_refuse_unknown;
order_step order_refuse_closed;
order_step order_refuse_dispatched;
order_step order_refuse_delivered;
order_step order_refuse_not_ready;
order_step order_refuse_not_dispatched;

order_step order_stock_reserved; // order_stock.c
order_step order_stock_refused;

order_step order_payment_authorised; // order_payment.c
order_step order_payment_declined;
order_step order_payment_not_found;
order_step order_payment_unknown;
order_step order_payment_captured;
order_step order_payment_voided;
order_step order_capture_again;
order_step order_capture_failed;

order_step order_shipment_booked; // order_shipment.c
order_step order_shipment_failed;
order_step order_shipment_dispatched;
order_step order_carrier_contradicts;

order_step order_expire; // order_deadline.c
order_step order_lookup_due;
order_step order_void_due;

// ---- shared by steps ---------------------------------------------------------------------------

// Has the order's payment been asked for, so that ending the order must void it?
bool order_payment_must_void(const struct order *order);

// When the present step of the payment is looked up next, after so many look-ups: one time-out
// later, from the second on after twice as long each, up to eight time-outs.
int64_t order_payment_deadline_us(const struct decision *decision, int32_t attempt);

void order_reject(struct order_turn *turn, enum reject_reason reason, struct view detail);
void order_cancel_for(struct order_turn *turn, enum cancel_reason reason, struct view note);
void order_open_case(struct order_turn *turn, enum case_reason reason, const char *detail);
void order_complete_if_done(struct order_turn *turn);

#endif
