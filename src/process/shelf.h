// SPDX-License-Identifier: Apache-2.0
//
// The SKUs of one partition in memory, in three tables: SKUs, their open reservations and the
// commands remembered. So an input touches one small entry of each, however hot the SKU is. One
// thread.
#ifndef ORDERLOG_PROCESS_SHELF_H
#define ORDERLOG_PROCESS_SHELF_H

#include "command_memory.h"
#include "domain/inventory.h"
#include "service/error.h"
#include "stream/address.h"
#include "stream/snapshot.h"
#include "stream/soft_table.h"

struct shelf {
    struct soft_table *stocks;       // shop/SKU -> struct stock
    struct soft_table *reservations; // order id, shop/SKU -> struct reservation
    struct command_memory *commands;
    bool refolds; // restored from snapshots: events that they have seen come again
    int64_t stocks_shown, bytes_shown; // this partition's part of the gauges
};

enum { SHELF_RESERVATION_KEY_MAX = sizeof(struct id) + TOPIC_KEY_MAX };

// Working copies of what one input touches, and the keys to put them back under.
struct shelf_touched {
    char stock_key[TOPIC_KEY_MAX];
    size_t stock_key_len;
    uint8_t reservation_key[SHELF_RESERVATION_KEY_MAX];
    size_t reservation_key_len; // 0: none
    struct stock stock;
    struct reservation reservation;
    struct remembered_command remembered;
    struct inventory_slice slice;
};

struct shelf *shelf_new(int64_t command_window_us, size_t commands_max); // asserts memory
void shelf_free(struct shelf *shelf);

// order_id, key_id: NULL if the input has none.
void shelf_touch(const struct shelf *shelf, const struct address *address,
                 const struct id *order_id, const struct id *key_id, struct shelf_touched *ret);

// shelf_touch() will be called for these; see soft_table_expect().
void shelf_expect(const struct shelf *shelf, const struct address *address,
                  const struct id *order_id, enum soft_step step);

// Stores what changed.
void shelf_put_back(struct shelf *shelf, const struct shelf_touched *touched);

// One event of inventory.events. False (DISP_POISON): it does not follow. After shelf_restored(),
// an event that the SKU has seen already changes only what lies beside it.
bool shelf_fold(struct shelf *shelf, enum record_id type, const void *event, struct error *err);

void shelf_commit(struct shelf *shelf);
void shelf_undo(struct shelf *shelf);

// Snapshots: see stream/role.h.
bool shelf_restore(struct shelf *shelf, const struct snapshot_row *row, struct error *err);
void shelf_restored(struct shelf *shelf, bool usable);
size_t shelf_changed(const struct shelf *shelf);
void shelf_snapshot_begin(struct shelf *shelf);
bool shelf_snapshot(struct shelf *shelf, size_t max, const struct snapshot_sink *sink,
                    bool *ret_done, struct error *err);
bool shelf_rows(const struct shelf *shelf, const struct snapshot_sink *sink, struct error *err);

#endif
