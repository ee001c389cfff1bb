// SPDX-License-Identifier: Apache-2.0
//
// The orders of one partition in memory: open ones packed, closed ones as what is left of them, the
// commands remembered, and the deadlines. A deadline in the heap may be outdated: the order itself
// says which one runs. One thread.
#ifndef ORDERLOG_PROCESS_ORDERS_H
#define ORDERLOG_PROCESS_ORDERS_H

#include "closed_orders.h"
#include "command_memory.h"
#include "service/error.h"
#include "service/trace.h"
#include "stream/parked.h"
#include "stream/snapshot.h"
#include "stream/soft_table.h"
#include "stream/timers.h"

// What an order was before it was changed; order NULL: not there.
struct orders_before {
    int64_t version;
    int64_t deadline_us;
};
struct orders_before orders_before(const struct order *order);

// An order that events are folded into, one after another.
struct orders_folded {
    struct order *order; // in the room; NULL: none
    struct id id;
    struct orders_before before;
};

struct orders {
    struct soft_table *open; // order id -> its block (order_block.h)
    struct closed_orders *closed;
    struct command_memory *commands;
    struct timers timers; // none before the first is asked for
    bool watching;
    struct timers put_off;       // of parked orders
    const struct parked *parked; // borrowed; NULL: none can be
    uint64_t freed_seen;         // parked_freed() when put_off was last looked through
    bool open_taken;             // this pass of snapshots has all rows of open orders
    bool refolds;                // restored from snapshots: events that they have seen come again
    // This partition's part of the gauges.
    int64_t orders_shown, open_shown, bytes_shown, timers_shown;
    struct order *room; // owned: the order that is worked on
    size_t room_size;
    struct orders_folded folded;
    uint8_t *block; // owned: the same, as it is put into the table
    size_t block_size;
    struct trace_context cause; // of what becomes of orders now; set only where traces are on
};

struct orders *orders_new(int64_t command_window_us, size_t commands_max); // asserts memory
void orders_free(struct orders *orders);

// The order of this id will be needed, or of the id of this print (soft_table_expect()).
void orders_expect(const struct orders *orders, uint64_t print, enum soft_step step);

// A copy of the order to work on, for orders_keep() to take or for the next call to overwrite; NULL
// if there is none. A closed one is recalled.
struct order *orders_edit(struct orders *orders, const struct id *id);

// What has become of an order, new ones included, wherever its block lies: what orders_edit() gave,
// or a decision's arena. Nothing, if its version is the same. at: where the last of its events
// lies, which closed it if it is closed: the offset, or until orders_located() the event's place
// among those of the open transaction.
void orders_keep(struct orders *orders, const struct id *id, struct orders_before before,
                 const struct order *order, int64_t at);

// Room for one order, not cleared; orders_edit() uses it too.
struct order *orders_room(struct orders *orders, size_t size);

// The trace of an open order: the one that it began in, whatever others have to do with it later,
// and in it the span that changed it last. Not set: it has none.
struct trace_context orders_trace(const struct orders *orders, const struct id *id);

// An open order, new or in place of the one there was.
typedef void *orders_put_fn(struct soft_table *table, const void *key, size_t key_len, size_t size);
void orders_put_open(struct orders *orders, const struct id *id, const struct order *order,
                     orders_put_fn *put);

// One event of orders.events. False (DISP_POISON): it does not follow. After orders_restored(), an
// event that an order has seen already is left out. Nothing is undone, and after the last one
// orders_commit() comes before anything else.
bool orders_fold(struct orders *orders, enum record_id type, const void *event, int64_t offset,
                 struct error *err);

// The open transaction is about to be committed: where its events lie.
void orders_located(struct orders *orders, const int64_t *offsets, size_t count);

void orders_commit(struct orders *orders);
void orders_undo(struct orders *orders);

// Snapshots: see stream/role.h. The arena is for one row.
bool orders_restore(struct orders *orders, const struct snapshot_row *row, struct error *err);
void orders_restored(struct orders *orders, bool usable);
size_t orders_changed(const struct orders *orders);
void orders_snapshot_begin(struct orders *orders);
bool orders_snapshot(struct orders *orders, size_t max, struct arena *arena,
                     const struct snapshot_sink *sink, bool *ret_done, struct error *err);
bool orders_rows(const struct orders *orders, struct arena *arena, const struct snapshot_sink *sink,
                 struct error *err);

// Its deadline, unless it is INT64_MAX, runs from now on (again). Nothing is noted before
// orders_next_deadline() has been called once: while orders are folded most deadlines come and go.
void orders_watch(struct orders *orders, const struct id *id, int64_t deadline_us);

// The order whose deadline passes first, NULL if none runs: those of parked orders do not. It is
// dropped by timers_pop().
const struct timer *orders_next_deadline(struct orders *orders);

#endif
