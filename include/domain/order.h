// SPDX-License-Identifier: Apache-2.0
//
// The order: arbiter of everything that happens to it. Four machines side by side (order,
// reservation, payment, shipment); the status shown to customers is derived from them in
// order_status(). The state is a fold of the order's events and of nothing else.
//
// Memory: a state is one contiguous block (lines and their text behind the fixed part), so that
// whoever works on it can save and restore it with one memcpy. Blocks move only on OrderPlaced (new
// block) and end on closing (order_close). Between inputs an order is kept packed (order_pack).
#ifndef ORDERLOG_DOMAIN_ORDER_H
#define ORDERLOG_DOMAIN_ORDER_H

#include "domain/remembered.h"

// The fields every versioned record of orders.events begins with, in the same place.
struct order_head {
    struct id event_id;
    struct view shop_id;
    struct id order_id;
    int64_t version;
    int64_t occurred_at;
    struct id causation_id;
    struct id correlation_id;
    enum order_status status;
    enum reservation_status reservation_status;
    enum payment_status payment_status;
    enum shipment_status shipment_status;
};

struct order; // the folded state; layout in src/domain/order_state.h

// Bytes of the block that OrderPlaced is folded into; order_size() tells how many of them are used.
size_t order_block_size(const struct order_placed *placed);

// Size of an existing block.
size_t order_size(const struct order *order);

// Folds one event. For OrderPlaced, order points to a zeroed block of order_block_size() bytes,
// 16-byte aligned. Asserts that the version is the next one. OrderCommandRefused changes no order:
// only order_remember() takes it.
void order_evolve(struct order *order, enum record_id type, const void *event);

// The key of a command to an order, NULL for an answer of another domain; and of the command whose
// outcome an event is, NULL if it is nobody's. OrderPlaced has none here: that the order exists is
// remembered for ever, by the order itself.
const struct id *order_input_key(enum record_id type, const void *input);
const struct id *order_event_key(enum record_id type, const void *event);

// Folds one event into what is remembered of order_event_key(); nothing where that is NULL.
void order_remember(struct remembered_command *remembered, enum record_id type, const void *event);

// The whole order, which the event that closes it carries; NULL: this one does not close it, or is
// older than that.
const struct folded_order *order_event_folded(enum record_id type, const void *event);

// Decides one message of orders.inbox (PlaceOrder, CancelOrder, DispatchOrder, DeliverOrder,
// StockAnswered, PaymentAnswered, ShipmentAnswered). *order may be NULL (unknown order id). Events
// are folded into *order as they are emitted; a new order's block is made in the decision's arena
// and *order is set to it: the caller moves it into its own store. remembered is what is remembered
// of order_input_key(), folded in the same way; NULL where that is NULL.
void order_decide(struct decision *decision, struct order **order,
                  struct remembered_command *remembered, enum record_id type, const void *input);

// The moment the next deadline of this order passes; INT64_MAX if none is running.
int64_t order_deadline_us(const struct order *order);

// Turns a passed deadline into its event (or nothing when now is before it). Cause is derived from
// order id and version, so that it is the same after a replay.
void order_decide_deadline(struct decision *decision, struct order *order);

// True when the order has reached a terminal state and no part of it is unsettled.
bool order_is_closed(const struct order *order);

// What is remembered of a closed order for ever. Lines, amounts and deadlines go.
struct order_closed {
    struct id order_id;
    struct id place_command_id; // made of its content: tells a repetition from a reused key
    uint32_t shop_print;        // hashes: they tell shops and customers apart, no more
    uint32_t customer_print;
    int64_t closing_offset; // of the event that closed it, which carries the whole order
    uint32_t version;
    uint32_t life : 4; // these as in struct order
    uint32_t reservation : 4;
    uint32_t payment : 4;
    uint32_t shipment : 4;
    uint32_t cases : 8;
    uint32_t unused : 8;
};
_Static_assert(sizeof(struct order_closed) == 56, "one of these for every order there ever was");

void order_close(const struct order *order, int64_t closing_offset, struct order_closed *ret);

// The closed order as a state that answers every input, in a block of ORDER_RECALLED_SIZE bytes,
// 16-byte aligned. What it becomes is closed again.
enum { ORDER_RECALLED_SIZE = 64 };
struct order *order_recall(const struct order_closed *closed, void *block);

// ---- at rest ----

// The open order in few bytes, order_packed_max() at most; returns how many. They depend on the
// order alone: the same order is the same bytes. The first is less than ORDER_PACKED_FIRST_END, so
// that whoever keeps them can tell them from what stands before them.
enum { ORDER_PACKED_FIRST_END = 0x80 };
size_t order_packed_max(const struct order *order);
size_t order_pack(const struct order *order, uint8_t *ret);

// And back, into a block of order_unpacked_size() bytes, 16-byte aligned: the same to the byte. An
// order's id is not among its packed bytes.
size_t order_unpacked_size(const uint8_t *packed, size_t len);
void order_unpack(const struct id *order_id, const uint8_t *packed, size_t len,
                  struct order *order);

// order_deadline_us() and order_version() of the order.
int64_t order_packed_deadline_us(const uint8_t *packed, size_t len);
int64_t order_packed_version(const uint8_t *packed, size_t len);

// ---- snapshots ----

// The open order as a record, for which the arena holds the items; texts are borrowed from the
// state. False: the arena is full.
bool order_snapshot(const struct order *order, struct arena *arena, struct order_snapshot *ret);

// And back, into a zeroed block of order_restored_size() bytes, 16-byte aligned: the same to the
// byte. False: no open order is like that.
size_t order_restored_size(const struct order_snapshot *snapshot);
bool order_restore(const struct order_snapshot *snapshot, struct order *order);

// The same for what is left of closed ones.
void order_closed_snapshot(const struct order_closed *closed, struct closed_order_snapshot *ret);
bool order_closed_restore(const struct closed_order_snapshot *snapshot, struct order_closed *ret);

// ---- what others ask ----

enum order_status order_status(const struct order *order);
int64_t order_version(const struct order *order);

// Amounts of an order before it exists: used by the gateway (expected_total) and by the decider.
// False, with a reason and the line (or -1), when a quantity, price or sum is out of range.
struct order_amounts {
    int64_t items_minor;
    int64_t total_minor;
};
bool order_amounts(const struct order_line *lines, uint32_t lines_count, int64_t discount_minor,
                   int64_t shipping_minor, int64_t tax_minor, struct order_amounts *ret,
                   const char **reterr_reason, int32_t *reterr_line);

#endif
