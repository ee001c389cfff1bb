// SPDX-License-Identifier: Apache-2.0
//
// SKUs and reservations as rows of inventory.state. Neither shop nor SKU holds a '/', so the number
// of them in a key tells what it is of: shop/SKU, or shop/SKU/order id.
#include "shelf.h"

#include <string.h>

enum { ROW_KEY_MAX = TOPIC_KEY_MAX + 1 + ID_TEXT_LEN };

// ---- restoring ---------------------------------------------------------------------------------

// The order id behind the last '/', if there are two.
static bool split_reservation_key(const char *key, size_t key_len, struct id *ret_order_id,
                                  size_t *ret_stock_key_len) {
    if (key_len < ID_TEXT_LEN + 2)
        return false;
    size_t at = key_len - ID_TEXT_LEN - 1;
    if (key[at] != '/' || at > TOPIC_KEY_MAX || !memchr(key, '/', at) ||
        !id_parse(key + at + 1, ID_TEXT_LEN, ret_order_id))
        return false;
    *ret_stock_key_len = at;
    return true;
}

static bool restore_reservation(struct shelf *shelf, const struct snapshot_row *row,
                                const struct id *order_id, size_t stock_key_len) {
    uint8_t key[SHELF_RESERVATION_KEY_MAX];
    memcpy(key, order_id, sizeof(*order_id));
    memcpy(key + sizeof(*order_id), row->key, stock_key_len);
    size_t key_len = sizeof(*order_id) + stock_key_len;
    if (!row->body) {
        soft_table_remove(shelf->reservations, key, key_len);
        return true;
    }
    const struct reservation_snapshot *snapshot = row->body;
    if (row->type != RECORD_RESERVATION_SNAPSHOT || snapshot->quantity < 1)
        return false;
    struct reservation *reservation =
        soft_table_put(shelf->reservations, key, key_len, sizeof(*reservation));
    *reservation = (struct reservation){.quantity = snapshot->quantity};
    return true;
}

static bool restore_stock(struct shelf *shelf, const struct snapshot_row *row) {
    if (!row->body || row->type != RECORD_STOCK_SNAPSHOT || row->key_len > TOPIC_KEY_MAX)
        return false;
    struct stock restored;
    if (!inventory_restore(row->body, &restored))
        return false;
    struct stock *stock = soft_table_put(shelf->stocks, row->key, row->key_len, sizeof(*stock));
    *stock = restored;
    return true;
}

bool shelf_restore(struct shelf *shelf, const struct snapshot_row *row, struct error *err) {
    if (command_memory_is_key(row->key, row->key_len))
        return command_memory_restore(shelf->commands, row, err);
    struct id order_id;
    size_t stock_key_len;
    bool good = split_reservation_key(row->key, row->key_len, &order_id, &stock_key_len)
                    ? restore_reservation(shelf, row, &order_id, stock_key_len)
                    : restore_stock(shelf, row);
    return good || error_set(err, DISP_POISON, 0, "no snapshot of a SKU or a reservation");
}

static void table_restored(struct soft_table *table, bool usable) {
    soft_table_commit(table);
    soft_table_all_stored(table);
    if (!usable)
        soft_table_remove_all(table);
    soft_table_commit(table);
}

void shelf_restored(struct shelf *shelf, bool usable) {
    shelf->refolds = usable;
    table_restored(shelf->stocks, usable);
    table_restored(shelf->reservations, usable);
    command_memory_restored(shelf->commands, usable);
}

// ---- writing -----------------------------------------------------------------------------------

size_t shelf_changed(const struct shelf *shelf) {
    return soft_table_changed(shelf->stocks) + soft_table_changed(shelf->reservations) +
           command_memory_changed(shelf->commands);
}

void shelf_snapshot_begin(struct shelf *shelf) {
    soft_table_begin_pass(shelf->stocks);
    soft_table_begin_pass(shelf->reservations);
    command_memory_begin_pass(shelf->commands);
}

static void split_stock_key(const char *key, size_t key_len, struct view *ret_shop,
                            struct view *ret_sku) {
    const char *slash = memchr(key, '/', key_len);
    *ret_shop = (struct view){.ptr = key, .len = (uint32_t)(slash - key)};
    *ret_sku = (struct view){.ptr = slash + 1, .len = (uint32_t)(key + key_len - slash - 1)};
}

static bool put_stock(const struct snapshot_sink *sink, const void *key, size_t key_len,
                      const struct stock *stock, struct error *err) {
    if (!stock)
        return snapshot_put(sink, key, key_len, RECORD_COUNT, NULL, err);
    struct stock_snapshot snapshot;
    inventory_snapshot(stock, &snapshot);
    split_stock_key(key, key_len, &snapshot.shop_id, &snapshot.sku);
    return snapshot_put(sink, key, key_len, RECORD_STOCK_SNAPSHOT, &snapshot, err);
}

static bool put_reservation(const struct snapshot_sink *sink, const uint8_t *key, size_t key_len,
                            const struct reservation *reservation, struct error *err) {
    struct id order_id;
    memcpy(&order_id, key, sizeof(order_id));
    char row_key[ROW_KEY_MAX];
    size_t stock_key_len = key_len - sizeof(order_id);
    memcpy(row_key, key + sizeof(order_id), stock_key_len);
    row_key[stock_key_len] = '/';
    id_format(&order_id, row_key + stock_key_len + 1);
    size_t row_key_len = stock_key_len + 1 + ID_TEXT_LEN;
    if (!reservation)
        return snapshot_put(sink, row_key, row_key_len, RECORD_COUNT, NULL, err);
    struct reservation_snapshot snapshot = {.order_id = order_id,
                                            .quantity = reservation->quantity};
    split_stock_key(row_key, stock_key_len, &snapshot.shop_id, &snapshot.sku);
    return snapshot_put(sink, row_key, row_key_len, RECORD_RESERVATION_SNAPSHOT, &snapshot, err);
}

bool shelf_snapshot(struct shelf *shelf, size_t max, const struct snapshot_sink *sink,
                    bool *ret_done, struct error *err) {
    struct soft_change change;
    for (; max > 0 && soft_table_take_changed(shelf->stocks, &change); max--)
        if (!put_stock(sink, change.key, change.key_len, change.block, err))
            return false;
    for (; max > 0 && soft_table_take_changed(shelf->reservations, &change); max--)
        if (!put_reservation(sink, change.key, change.key_len, change.block, err))
            return false;
    if (!command_memory_take(shelf->commands, &max, sink, err))
        return false;
    *ret_done = max > 0;
    return true;
}

struct rows {
    const struct snapshot_sink *sink;
    struct error *err;
    bool good;
};

static void visit_stock(void *opaque, const void *key, size_t key_len, const void *block,
                        size_t size) {
    (void)size;
    struct rows *rows = opaque;
    rows->good = rows->good && put_stock(rows->sink, key, key_len, block, rows->err);
}

static void visit_reservation(void *opaque, const void *key, size_t key_len, const void *block,
                              size_t size) {
    (void)size;
    struct rows *rows = opaque;
    rows->good = rows->good && put_reservation(rows->sink, key, key_len, block, rows->err);
}

bool shelf_rows(const struct shelf *shelf, const struct snapshot_sink *sink, struct error *err) {
    struct rows rows = {.sink = sink, .err = err, .good = true};
    soft_table_each(shelf->stocks, visit_stock, &rows);
    soft_table_each(shelf->reservations, visit_reservation, &rows);
    return rows.good && command_memory_rows(shelf->commands, sink, err);
}
