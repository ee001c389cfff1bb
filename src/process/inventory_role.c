// SPDX-License-Identifier: Apache-2.0
//
// SKUs, their open reservations and the commands remembered, in three tables: an input touches one
// small entry of each, however hot the SKU is.
#include "process/roles.h"

#include "command_memory.h"
#include "domain/inventory.h"
#include "service/metrics.h"
#include "stream/address.h"
#include "stream/soft_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECISION_BYTES_MAX = 16 << 20,
    RESERVATION_KEY_MAX = sizeof(struct id) + TOPIC_KEY_MAX,
};

struct inventory_role {
    struct role role;
    struct policy policy;
    size_t commands_max;
    struct arena arena;
};

struct shelf {
    struct soft_table *stocks;       // shop/SKU -> struct stock
    struct soft_table *reservations; // order id, shop/SKU -> struct reservation
    struct command_memory *commands;
};

// Working copies of what one input touches, and the keys to put them back under.
struct touched {
    char stock_key[TOPIC_KEY_MAX];
    size_t stock_key_len;
    uint8_t reservation_key[RESERVATION_KEY_MAX];
    size_t reservation_key_len; // 0: none
    struct stock stock;
    struct reservation reservation;
    struct remembered_command remembered;
    struct inventory_slice slice;
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    struct inventory_role *self = context;
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    assert(shelf);
    shelf->stocks = soft_table_new();
    shelf->reservations = soft_table_new();
    shelf->commands = command_memory_new(self->policy.command_window_us, self->commands_max);
    return shelf;
}

static void partition_free(void *context, void *state) {
    (void)context;
    struct shelf *shelf = state;
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

static void touch(const struct shelf *shelf, const struct address *address,
                  const struct id *order_id, const struct id *key_id, struct touched *ret) {
    ret->stock_key_len = address_key(address, ret->stock_key);
    copy_entry(shelf->stocks, ret->stock_key, ret->stock_key_len, &ret->stock, sizeof(ret->stock));
    ret->slice = (struct inventory_slice){.stock = &ret->stock};
    ret->reservation_key_len = 0;
    ret->remembered = (struct remembered_command){0};
    if (order_id) {
        memcpy(ret->reservation_key, order_id, sizeof(*order_id));
        memcpy(ret->reservation_key + sizeof(*order_id), ret->stock_key, ret->stock_key_len);
        ret->reservation_key_len = sizeof(*order_id) + ret->stock_key_len;
        copy_entry(shelf->reservations, ret->reservation_key, ret->reservation_key_len,
                   &ret->reservation, sizeof(ret->reservation));
        ret->slice.reservation = &ret->reservation;
    }
    if (key_id) {
        ret->remembered = command_memory_get(shelf->commands, key_id);
        ret->slice.remembered = &ret->remembered;
    }
}

// Stores what changed; an empty reservation is no entry.
static void put_back(struct shelf *shelf, const struct touched *touched) {
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

static bool fold(void *context, void *state, enum record_id type, const void *body,
                 struct error *err) {
    (void)context;
    struct shelf *shelf = state;
    struct address address;
    if (!address_of_event(type, body, &address, err))
        return false;
    const struct id *order_id, *key_id;
    event_names(type, body, &order_id, &key_id);
    struct touched touched;
    touch(shelf, &address, order_id, key_id, &touched);
    if (type != RECORD_STOCK_COMMAND_REFUSED) {
        const struct stock_head *head = body;
        if (head->version != touched.stock.version + 1)
            return error_set(
                err, DISP_POISON, 0, "%s version %lld of SKU %.*s does not follow %lld",
                record_types[type]->name, (long long)head->version, (int)address.sku.len,
                address.sku.ptr, (long long)touched.stock.version);
    }
    inventory_evolve(&touched.slice, type, body);
    put_back(shelf, &touched);
    return true;
}

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

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    struct inventory_role *self = context;
    struct shelf *shelf = state;
    struct address address;
    if (!address_of_message(input->type, input->body, &address, err))
        return false;
    const struct id *order_id = NULL, *key_id = NULL;
    switch ((int)input->type) {
    case RECORD_REQUEST_STOCK:
        order_id = &((const struct request_stock *)input->body)->order_id;
        break;
    case RECORD_SET_PRODUCT:
        key_id = &((const struct set_product *)input->body)->key_id;
        break;
    case RECORD_RECEIVE_STOCK:
        key_id = &((const struct receive_stock *)input->body)->key_id;
        break;
    case RECORD_ADJUST_STOCK:
        key_id = &((const struct adjust_stock *)input->body)->key_id;
        break;
    default:
        return error_set(err, DISP_POISON, 0, "inventory does not know what to do with a %s",
                         record_types[input->type]->name);
    }
    struct touched touched;
    touch(shelf, &address, order_id, key_id, &touched);
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
    put_back(shelf, &touched);
    return true;
}

static void commit(void *context, void *state) {
    (void)context;
    struct shelf *shelf = state;
    soft_table_commit(shelf->stocks);
    soft_table_commit(shelf->reservations);
    command_memory_commit(shelf->commands);
    metrics_set(METRIC_AGGREGATES, 0, (int64_t)soft_table_count(shelf->stocks));
}

static void undo(void *context, void *state) {
    (void)context;
    struct shelf *shelf = state;
    soft_table_undo(shelf->stocks, NULL, NULL);
    soft_table_undo(shelf->reservations, NULL, NULL);
    command_memory_undo(shelf->commands);
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
