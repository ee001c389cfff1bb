// SPDX-License-Identifier: Apache-2.0
//
// Orders as rows of orders.state. An order's row is keyed by its id, open or closed: closing
// replaces the one by the other.
#include "orders.h"

#include "order_block.h"

#include <assert.h>
#include <string.h>

static bool restore_open(struct orders *orders, const struct id *id,
                         const struct snapshot_row *row) {
    const struct order_snapshot *snapshot = row->body;
    if (!id_equal(&snapshot->order_id, id))
        return false;
    size_t size = order_restored_size(snapshot);
    struct order *order = memset(orders_room(orders, size), 0, size);
    if (!order_restore(snapshot, order))
        return false;
    orders->cause = row->trace;
    orders_put_open(orders, id, order, soft_table_put_for_good);
    return true;
}

// Rows of earlier formats lack one of these.
static bool is_older(const struct snapshot_row *row) {
    if (row->body && row->type == RECORD_ORDER_SNAPSHOT)
        return !((const struct order_snapshot *)row->body)->has_folded;
    if (row->body && row->type == RECORD_CLOSED_ORDER_SNAPSHOT)
        return !((const struct closed_order_snapshot *)row->body)->has_closing_offset ||
               !((const struct closed_order_snapshot *)row->body)->has_customer_print;
    return false;
}

bool orders_restore(struct orders *orders, const struct snapshot_row *row, struct error *err) {
    if (is_older(row))
        return error_set(err, DISP_ABORT, 0, "a snapshot of an older format");
    if (command_memory_is_key(row->key, row->key_len))
        return command_memory_restore(orders->commands, row, err);
    struct id id;
    bool good = row->body && id_parse(row->key, row->key_len, &id);
    if (good && row->type == RECORD_ORDER_SNAPSHOT) {
        good = restore_open(orders, &id, row);
    } else if (good && row->type == RECORD_CLOSED_ORDER_SNAPSHOT) {
        struct order_closed closed;
        good = order_closed_restore(row->body, &closed) && id_equal(&closed.order_id, &id);
        if (good) {
            closed_orders_put(orders->closed, &closed);
            soft_table_remove(orders->open, &id, sizeof(id));
        }
    } else {
        good = false;
    }
    return good || error_set(err, DISP_POISON, 0, "no snapshot of an order");
}

void orders_restored(struct orders *orders, bool usable) {
    orders->refolds = usable;
    command_memory_restored(orders->commands, usable);
    soft_table_commit(orders->open);
    soft_table_all_stored(orders->open);
    if (usable) {
        closed_orders_all_stored(orders->closed);
        return;
    }
    soft_table_remove_all(orders->open);
    soft_table_commit(orders->open);
    closed_orders_free(orders->closed);
    orders->closed = closed_orders_new();
}

size_t orders_changed(const struct orders *orders) {
    return soft_table_changed(orders->open) + closed_orders_changed(orders->closed) +
           command_memory_changed(orders->commands);
}

void orders_snapshot_begin(struct orders *orders) {
    orders->open_taken = false;
    soft_table_begin_pass(orders->open);
    command_memory_begin_pass(orders->commands);
}

static bool put_open(const struct snapshot_sink *sink, const struct id *id, const void *block,
                     size_t size, struct arena *arena, struct error *err) {
    const struct order_block at_rest = order_block_of(block, size);
    struct order_snapshot snapshot;
    arena_reset(arena);
    struct order *order = arena_alloc(arena, order_unpacked_size(at_rest.packed, at_rest.len));
    if (order)
        order_unpack(id, at_rest.packed, at_rest.len, order);
    if (!order || !order_snapshot(order, arena, &snapshot))
        return error_set(err, DISP_FATAL, 0, "out of memory for a snapshot");
    char key[ID_TEXT_LEN];
    id_format(id, key);
    const struct snapshot_row row = {
        .key = key,
        .key_len = sizeof(key),
        .type = RECORD_ORDER_SNAPSHOT,
        .body = &snapshot,
        .trace = order_block_trace(&at_rest),
    };
    return sink->put(sink->opaque, &row, err);
}

static bool put_closed(const struct snapshot_sink *sink, const struct order_closed *closed,
                       struct error *err) {
    struct closed_order_snapshot snapshot;
    order_closed_snapshot(closed, &snapshot);
    char key[ID_TEXT_LEN];
    id_format(&closed->order_id, key);
    return snapshot_put(sink, key, sizeof(key), RECORD_CLOSED_ORDER_SNAPSHOT, &snapshot, err);
}

bool orders_snapshot(struct orders *orders, size_t max, struct arena *arena,
                     const struct snapshot_sink *sink, bool *ret_done, struct error *err) {
    struct soft_change change;
    for (; max > 0 && soft_table_take_changed(orders->open, &change); max--)
        // No order vanishes: what is not open any more has become a closed one's row.
        if (change.block && !put_open(sink, change.key, change.block, change.size, arena, err))
            return false;
    if (max > 0 && !orders->open_taken) {
        // An order that has closed since the pass began, before its open row was taken, has but
        // this row: what is closed by now belongs to the pass.
        orders->open_taken = true;
        closed_orders_begin_pass(orders->closed);
    }
    const struct order_closed *closed;
    for (; max > 0 && (closed = closed_orders_take_changed(orders->closed)); max--)
        if (!put_closed(sink, closed, err))
            return false;
    if (!command_memory_take(orders->commands, &max, sink, err))
        return false;
    *ret_done = max > 0 && closed_orders_all_taken(orders->closed);
    return true;
}

struct rows {
    struct arena *arena;
    const struct snapshot_sink *sink;
    struct error *err;
    bool good;
};

static void visit(void *opaque, const void *key, size_t key_len, const void *block, size_t size) {
    (void)key_len;
    struct rows *rows = opaque;
    rows->good = rows->good && put_open(rows->sink, key, block, size, rows->arena, rows->err);
}

bool orders_rows(const struct orders *orders, struct arena *arena, const struct snapshot_sink *sink,
                 struct error *err) {
    assert(!orders->folded.order && "what is folded is to be committed first");
    struct rows rows = {.arena = arena, .sink = sink, .err = err, .good = true};
    soft_table_each(orders->open, visit, &rows);
    for (size_t i = 0; rows.good && i < closed_orders_count(orders->closed); i++)
        rows.good = put_closed(sink, closed_orders_at(orders->closed, i), err);
    return rows.good && command_memory_rows(orders->commands, sink, err);
}
