// SPDX-License-Identifier: Apache-2.0
//
// SKUs as a processor's role: looks up what an input is about, lets the domain decide, writes down
// what it decided and keeps what has become of it.
#include "process/roles.h"

#include "domain/inventory.h"
#include "service/metrics.h"
#include "shelf.h"
#include "stream/address.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DECISION_BYTES_MAX = 16 << 20 };

struct inventory_role {
    struct role role;
    struct policy policy;
    size_t commands_max;
    struct arena arena;
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    struct inventory_role *self = context;
    return shelf_new(self->policy.command_window_us, self->commands_max);
}

static void partition_free(void *context, void *state) {
    (void)context;
    struct shelf *shelf = state;
    metrics_set_part(METRIC_AGGREGATES, 0, 0, &shelf->stocks_shown);
    metrics_set_part(METRIC_STATE_BYTES, 0, 0, &shelf->bytes_shown);
    shelf_free(shelf);
}

static bool fold(void *context, void *state, enum record_id type, const void *body, int64_t offset,
                 struct error *err) {
    (void)context;
    (void)offset;
    return shelf_fold(state, type, body, err);
}

// ---- snapshots ---------------------------------------------------------------------------------

static bool restore(void *context, void *state, const struct snapshot_row *row, struct error *err) {
    (void)context;
    return shelf_restore(state, row, err);
}

static void restored(void *context, void *state, bool usable) {
    (void)context;
    shelf_restored(state, usable);
}

static size_t changed(void *context, void *state) {
    (void)context;
    return shelf_changed(state);
}

static void snapshot_begin(void *context, void *state) {
    (void)context;
    shelf_snapshot_begin(state);
}

static bool snapshot(void *context, void *state, size_t max, const struct snapshot_sink *sink,
                     bool *ret_done, struct error *err) {
    (void)context;
    return shelf_snapshot(state, max, sink, ret_done, err);
}

static bool rows(void *context, void *state, const struct snapshot_sink *sink, struct error *err) {
    (void)context;
    return shelf_rows(state, sink, err);
}

// ---- input -------------------------------------------------------------------------------------

static bool send_product(const struct stream_input *input, const struct address *address,
                         const struct stock *stock, struct output *output, struct error *err) {
    const struct product product = {
        .shop_id = address->shop,
        .sku = address->sku,
        .name = {.ptr = stock->name, .len = stock->name_len},
        .price_minor = stock->price_minor,
        .currency = {.ptr = stock->currency, .len = (uint32_t)strlen(stock->currency)},
        .price_version = stock->price_version,
        .updated_at = input->now_us,
    };
    return output_product(output, input->partition, &product, err);
}

// The order that an input is about, or the key of a command. False: none of ours.
static bool input_names(enum record_id type, const void *body, const struct id **ret_order_id,
                        const struct id **ret_key_id) {
    *ret_order_id = *ret_key_id = NULL;
    switch ((int)type) {
    case RECORD_REQUEST_STOCK:
        *ret_order_id = &((const struct request_stock *)body)->order_id;
        return true;
    case RECORD_SET_PRODUCT:
        *ret_key_id = &((const struct set_product *)body)->key_id;
        return true;
    case RECORD_RECEIVE_STOCK:
        *ret_key_id = &((const struct receive_stock *)body)->key_id;
        return true;
    case RECORD_ADJUST_STOCK:
        *ret_key_id = &((const struct adjust_stock *)body)->key_id;
        return true;
    default:
        return false;
    }
}

static void expect(void *context, void *state, enum record_id type, const void *body,
                   enum soft_step step) {
    (void)context;
    struct address address;
    struct error err;
    const struct id *order_id, *key_id;
    if (address_of_message(type, body, &address, &err) &&
        input_names(type, body, &order_id, &key_id))
        shelf_expect(state, &address, order_id, step);
}

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    struct inventory_role *self = context;
    struct shelf *shelf = state;
    struct address address;
    if (!address_of_message(input->type, input->body, &address, err))
        return false;
    const struct id *order_id, *key_id;
    if (!input_names(input->type, input->body, &order_id, &key_id))
        return error_set(err, DISP_POISON, 0, "inventory does not know what to do with a %s",
                         record_types[input->type]->name);
    struct shelf_touched touched;
    shelf_touch(shelf, &address, order_id, key_id, &touched);
    arena_reset(&self->arena);
    struct decision decision;
    decision_begin(&decision, &self->arena, &self->policy, input->now_us);
    inventory_decide(&decision, &touched.slice, input->type, input->body);
    if (!output_decision(output, input->partition, &decision, err))
        return false;
    for (uint32_t i = 0; i < decision.events_count; i++)
        if ((decision.events[i].type == RECORD_PRODUCT_CREATED ||
             decision.events[i].type == RECORD_PRODUCT_CHANGED) &&
            !send_product(input, &address, &touched.stock, output, err))
            return false;
    shelf_put_back(shelf, &touched);
    return true;
}

static void commit(void *context, void *state) {
    (void)context;
    struct shelf *shelf = state;
    shelf_commit(shelf);
    metrics_set_part(METRIC_AGGREGATES, 0, (int64_t)soft_table_count(shelf->stocks),
                     &shelf->stocks_shown);
    metrics_set_part(
        METRIC_STATE_BYTES, 0,
        (int64_t)(soft_table_bytes(shelf->stocks) + soft_table_bytes(shelf->reservations)),
        &shelf->bytes_shown);
}

static void undo(void *context, void *state) {
    (void)context;
    shelf_undo(state);
}

struct role *inventory_role_new(const struct config *config, struct error *err) {
    (void)err;
    struct inventory_role *self = calloc(1, sizeof(*self));
    assert(self);
    arena_init(&self->arena, DECISION_BYTES_MAX);
    self->policy = (struct policy){
        .command_window_us = config->order_command_window_ms * 1000,
    };
    self->commands_max = (size_t)config->commands_remembered_max;
    self->role = (struct role){
        .domain = DOMAIN_INVENTORY,
        .context = self,
        .partition_new = partition_new,
        .partition_free = partition_free,
        .fold = fold,
        .restore = restore,
        .restored = restored,
        .changed = changed,
        .snapshot_begin = snapshot_begin,
        .snapshot = snapshot,
        .rows = rows,
        .expect = expect,
        .handle = handle,
        .commit = commit,
        .undo = undo,
    };
    return &self->role;
}

void inventory_role_free(struct role *role) {
    if (!role)
        return;
    struct inventory_role *self = role->context;
    arena_done(&self->arena);
    free(self);
}
