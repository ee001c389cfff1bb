// SPDX-License-Identifier: Apache-2.0
#include "shelf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct shelf *shelf_new(int64_t command_window_us, size_t commands_max) {
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    assert(shelf);
    shelf->stocks = soft_table_new();
    shelf->reservations = soft_table_new();
    shelf->commands = command_memory_new(command_window_us, commands_max);
    return shelf;
}

void shelf_free(struct shelf *shelf) {
    soft_table_free(shelf->stocks);
    soft_table_free(shelf->reservations);
    command_memory_free(shelf->commands);
    free(shelf);
}

static void copy_entry(const struct soft_table *table, const void *key, size_t key_len, void *to,
                       size_t size) {
    const void *block = soft_table_get(table, key, key_len, NULL);
    if (block)
        memcpy(to, block, size);
    else
        memset(to, 0, size);
}

// Of an order's share in a SKU.
static size_t reservation_key(const struct id *order_id, const char *stock_key,
                              size_t stock_key_len, uint8_t out[SHELF_RESERVATION_KEY_MAX]) {
    memcpy(out, order_id, sizeof(*order_id));
    memcpy(out + sizeof(*order_id), stock_key, stock_key_len);
    return sizeof(*order_id) + stock_key_len;
}

void shelf_expect(const struct shelf *shelf, const struct address *address,
                  const struct id *order_id, enum soft_step step) {
    char stock_key[TOPIC_KEY_MAX];
    const size_t stock_key_len = address_key(address, stock_key);
    soft_table_expect(shelf->stocks, soft_table_print(stock_key, stock_key_len), step);
    if (!order_id)
        return;
    uint8_t key[SHELF_RESERVATION_KEY_MAX];
    const size_t key_len = reservation_key(order_id, stock_key, stock_key_len, key);
    soft_table_expect(shelf->reservations, soft_table_print(key, key_len), step);
}

void shelf_touch(const struct shelf *shelf, const struct address *address,
                 const struct id *order_id, const struct id *key_id, struct shelf_touched *ret) {
    ret->stock_key_len = address_key(address, ret->stock_key);
    copy_entry(shelf->stocks, ret->stock_key, ret->stock_key_len, &ret->stock, sizeof(ret->stock));
    ret->slice = (struct inventory_slice){.stock = &ret->stock};
    ret->reservation_key_len = 0;
    ret->remembered = (struct remembered_command){0};
    if (order_id) {
        ret->reservation_key_len =
            reservation_key(order_id, ret->stock_key, ret->stock_key_len, ret->reservation_key);
        copy_entry(shelf->reservations, ret->reservation_key, ret->reservation_key_len,
                   &ret->reservation, sizeof(ret->reservation));
        ret->slice.reservation = &ret->reservation;
    }
    if (key_id) {
        ret->remembered = command_memory_get(shelf->commands, key_id);
        ret->slice.remembered = &ret->remembered;
    }
}

// An empty reservation is no entry.
void shelf_put_back(struct shelf *shelf, const struct shelf_touched *touched) {
    const struct stock *stock =
        soft_table_get(shelf->stocks, touched->stock_key, touched->stock_key_len, NULL);
    if (touched->stock.version != (stock ? stock->version : 0))
        memcpy(soft_table_put(shelf->stocks, touched->stock_key, touched->stock_key_len,
                              sizeof(touched->stock)),
               &touched->stock, sizeof(touched->stock));
    if (touched->reservation_key_len) {
        const struct reservation *held = soft_table_get(
            shelf->reservations, touched->reservation_key, touched->reservation_key_len, NULL);
        if (touched->reservation.quantity == 0 && held)
            soft_table_remove(shelf->reservations, touched->reservation_key,
                              touched->reservation_key_len);
        else if (touched->reservation.quantity != (held ? held->quantity : 0))
            memcpy(soft_table_put(shelf->reservations, touched->reservation_key,
                                  touched->reservation_key_len, sizeof(touched->reservation)),
                   &touched->reservation, sizeof(touched->reservation));
    }
    command_memory_put(shelf->commands, &touched->remembered);
}

// ---- folding -----------------------------------------------------------------------------------

// The order an event is about, or the key of the command that caused it.
static void event_names(enum record_id type, const void *body, const struct id **ret_order_id,
                        const struct id **ret_key_id) {
    *ret_order_id = *ret_key_id = NULL;
    switch ((int)type) {
    case RECORD_STOCK_RESERVED:
        *ret_order_id = &((const struct stock_reserved *)body)->order_id;
        break;
    case RECORD_STOCK_RELEASED:
        *ret_order_id = &((const struct stock_released *)body)->order_id;
        break;
    case RECORD_STOCK_SOLD:
        *ret_order_id = &((const struct stock_sold *)body)->order_id;
        break;
    case RECORD_STOCK_RECEIVED:
        *ret_key_id = &((const struct stock_received *)body)->key_id;
        break;
    case RECORD_STOCK_ADJUSTED:
        *ret_key_id = &((const struct stock_adjusted *)body)->key_id;
        break;
    case RECORD_PRODUCT_CREATED:
        *ret_key_id = &((const struct product_created *)body)->key_id;
        break;
    case RECORD_PRODUCT_CHANGED:
        *ret_key_id = &((const struct product_changed *)body)->key_id;
        break;
    case RECORD_STOCK_COMMAND_REFUSED:
        *ret_key_id = &((const struct stock_command_refused *)body)->key_id;
        break;
    default:
        break;
    }
}

bool shelf_fold(struct shelf *shelf, enum record_id type, const void *event, struct error *err) {
    struct address address;
    if (!address_of_event(type, event, &address, err))
        return false;
    const struct id *order_id, *key_id;
    event_names(type, event, &order_id, &key_id);
    struct shelf_touched touched;
    shelf_touch(shelf, &address, order_id, key_id, &touched);
    bool seen = false;
    if (type != RECORD_STOCK_COMMAND_REFUSED) {
        const struct stock_head *head = event;
        seen = shelf->refolds && head->version <= touched.stock.version;
        if (!seen && head->version != touched.stock.version + 1)
            return error_set(
                err, DISP_POISON, 0, "%s version %lld of SKU %.*s does not follow %lld",
                record_types[type]->name, (long long)head->version, (int)address.sku.len,
                address.sku.ptr, (long long)touched.stock.version);
    }
    // A reservation's row may be newer than the SKU's: the last event that concerns it decides, and
    // until that one came it may be neither what the event found nor what it left.
    if (shelf->refolds)
        inventory_expect(&touched.slice, type, event);
    if (seen)
        inventory_evolve_beside(&touched.slice, type, event);
    else
        inventory_evolve(&touched.slice, type, event);
    shelf_put_back(shelf, &touched);
    return true;
}

// ---- transactions ------------------------------------------------------------------------------

void shelf_commit(struct shelf *shelf) {
    soft_table_commit(shelf->stocks);
    soft_table_commit(shelf->reservations);
    command_memory_commit(shelf->commands);
}

void shelf_undo(struct shelf *shelf) {
    soft_table_undo(shelf->stocks, NULL, NULL);
    soft_table_undo(shelf->reservations, NULL, NULL);
    command_memory_undo(shelf->commands);
}
