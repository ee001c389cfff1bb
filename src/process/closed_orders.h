// SPDX-License-Identifier: Apache-2.0
//
// What is left of closed orders, for ever: a table of small fixed entries without a pointer each,
// as there will be one for every order there ever was. Undone like all soft state. One thread.
#ifndef ORDERLOG_PROCESS_CLOSED_ORDERS_H
#define ORDERLOG_PROCESS_CLOSED_ORDERS_H

#include <stddef.h>

#include "domain/order.h"

struct closed_orders;

struct closed_orders *closed_orders_new(void);         // asserts memory
void closed_orders_free(struct closed_orders *orders); // NULL is fine

// Valid until the next put; NULL: not closed, or unknown.
const struct order_closed *closed_orders_get(const struct closed_orders *orders,
                                             const struct id *order_id);

// A new one, or what became of a known one.
void closed_orders_put(struct closed_orders *orders, const struct order_closed *closed);

// Until its transaction ends, a new one's closing_offset is its closing event's place among the
// events of the transaction. This turns places into offsets, before the commit.
void closed_orders_locate(struct closed_orders *orders, const int64_t *offsets, size_t count);

// What changed since the last commit is final, or put back.
void closed_orders_commit(struct closed_orders *orders);
void closed_orders_undo(struct closed_orders *orders);

// Snapshots, as of a soft table: see stream/soft_table.h. One that is closed in the open
// transaction has no offset yet and waits for the next; NULL: none, or none yet.
size_t closed_orders_changed(const struct closed_orders *orders);
void closed_orders_begin_pass(struct closed_orders *orders);
const struct order_closed *closed_orders_take_changed(struct closed_orders *orders);
bool closed_orders_all_taken(const struct closed_orders *orders); // of the pass
void closed_orders_all_stored(struct closed_orders *orders);

// The number-th of closed_orders_count(), in the order in which they were closed.
const struct order_closed *closed_orders_at(const struct closed_orders *orders, size_t number);

size_t closed_orders_count(const struct closed_orders *orders);

#endif
