// SPDX-License-Identifier: Apache-2.0
//
// Orders and SKUs in soft state, as their roles keep them: decide, fold, undo.
#include "world.h"

#include <stdlib.h>
#include <string.h>

enum { PACKED_MAX = 4096 };

// ---- deciding ----------------------------------------------------------------------------------

// A closed order keeps only what late input may ask of it.
static void settle(struct order *order) {
    if (!order || !order_is_closed(order))
        return;
    struct order_closed closed;
    order_close(order, 0, &closed);
    (void)order_recall(&closed, order);
}

// In between an open order is packed.
static void rest(const struct id *order_id, struct order *order) {
    if (!order || order_is_closed(order))
        return;
    uint8_t packed[PACKED_MAX];
    if (order_packed_max(order) > sizeof(packed))
        abort();
    size_t len = order_pack(order, packed);
    memset(order, 0xdd, order_size(order));
    order_unpack(order_id, packed, len, order);
}

static struct order *moved(struct world *world, const struct order *order) {
    return memcpy(world_alloc(world, order_size(order)), order, order_size(order));
}

static void decide_order(struct world *world, struct state *state, const struct record *input,
                         struct decision *decision) {
    struct order *before = state->orders[input->order];
    struct order *after = before;
    const struct id *key_id = order_input_key(input->type, input->body);
    struct remembered_command *remembered =
        key_id ? &state->remembered[log_key_index(key_id)] : NULL;
    order_decide(decision, &after, remembered, input->type, input->body);
    if (after != before)
        state->orders[input->order] = moved(world, after);
    settle(state->orders[input->order]);
    rest(&world->order_ids[input->order], state->orders[input->order]);
}

// The key a command about a SKU has; NULL for an order's request.
static const struct id *key_of_input(const struct record *input) {
    if (input->type == RECORD_REQUEST_STOCK)
        return NULL;
    return &((const struct receive_stock *)input->body)->key_id;
}

static struct inventory_slice slice_of(struct state *state, int sku, int order,
                                       const struct id *key_id) {
    return (struct inventory_slice){
        .stock = &state->stocks[sku],
        .reservation = order == NOBODY ? NULL : &state->reservations[order][sku],
        .remembered = key_id ? &state->remembered[log_key_index(key_id)] : NULL,
    };
}

void aggregate_decide(struct world *world, struct state *state, enum role role,
                      const struct record *input, struct decision *decision) {
    if (role == ROLE_ORDER) {
        decide_order(world, state, input, decision);
        return;
    }
    struct inventory_slice slice = slice_of(state, input->sku, input->order, key_of_input(input));
    inventory_decide(decision, &slice, input->type, input->body);
}

void aggregate_decide_deadline(struct world *world, struct state *state, int order,
                               struct decision *decision) {
    (void)world;
    order_decide_deadline(decision, state->orders[order]);
    settle(state->orders[order]);
}

// ---- undo --------------------------------------------------------------------------------------

struct saved {
    void *at;
    size_t size;
};

static void save(struct undo *undo, void *at, size_t size) {
    size_t need = undo->used + size + sizeof(struct saved);
    if (need > undo->capacity) {
        undo->capacity = 2 * need + 4096;
        undo->bytes = realloc(undo->bytes, undo->capacity);
        if (!undo->bytes)
            abort();
    }
    const struct saved saved = {.at = at, .size = size};
    memcpy(undo->bytes + undo->used, at, size);
    memcpy(undo->bytes + undo->used + size, &saved, sizeof(saved));
    undo->used = need;
}

void aggregate_save(struct world *world, struct partition *partition, enum role role,
                    const struct record *input, int order) {
    struct undo *undo = &partition->undo;
    struct state *live = &world->live;
    if (role == ROLE_ORDER) {
        int index = input ? input->order : order;
        const struct id *key_id = input ? order_input_key(input->type, input->body) : NULL;
        if (key_id)
            save(undo, &live->remembered[log_key_index(key_id)], sizeof(struct remembered_command));
        save(undo, &live->orders[index], sizeof(live->orders[index]));
        if (live->orders[index])
            save(undo, live->orders[index], order_size(live->orders[index]));
        return;
    }
    // Counts and prices change; the name, which is long, only with a command.
    struct stock *stock = &live->stocks[input->sku];
    const struct id *key_id = key_of_input(input);
    save(undo, stock, key_id ? sizeof(*stock) : offsetof(struct stock, name));
    if (input->order != NOBODY)
        save(undo, &live->reservations[input->order][input->sku], sizeof(struct reservation));
    if (key_id)
        save(undo, &live->remembered[log_key_index(key_id)], sizeof(struct remembered_command));
}

void aggregate_undo(struct partition *partition) {
    struct undo *undo = &partition->undo;
    while (undo->used > 0) {
        struct saved saved;
        memcpy(&saved, undo->bytes + undo->used - sizeof(saved), sizeof(saved));
        undo->used -= sizeof(saved) + saved.size;
        memcpy(saved.at, undo->bytes + undo->used, saved.size);
    }
    partition->deadline_us = 0;
}

// ---- folding -----------------------------------------------------------------------------------

bool aggregate_key_lies_in(const struct world *world, enum role role, uint8_t partition,
                           uint32_t key) {
    int8_t index = role == ROLE_ORDER ? world->key_orders[key] : world->key_skus[key];
    return index != NOBODY && (uint32_t)index % world->partitions_count == partition;
}

static void forget_partition(struct world *world, struct state *state, enum role role,
                             uint8_t partition) {
    uint32_t step = world->partitions_count;
    for (uint32_t key = 0; key < world->keys_count; key++)
        if (aggregate_key_lies_in(world, role, partition, key))
            memset(&state->remembered[key], 0, sizeof(state->remembered[key]));
    if (role == ROLE_ORDER) {
        for (uint32_t i = partition; i < world->orders_count; i += step)
            state->orders[i] = NULL;
        return;
    }
    for (uint32_t sku = partition; sku < world->skus_count; sku += step) {
        memset(&state->stocks[sku], 0, sizeof(state->stocks[sku]));
        for (uint32_t i = 0; i < world->orders_count; i++)
            state->reservations[i][sku].quantity = 0;
    }
}

static void fold_order(struct world *world, struct state *state, const struct record *event) {
    struct order **order = &state->orders[event->order];
    const struct id *key_id = order_event_key(event->type, event->body);
    if (key_id)
        order_remember(&state->remembered[log_key_index(key_id)], event->type, event->body);
    if (event->type == RECORD_ORDER_COMMAND_REFUSED)
        return;
    if (event->type == RECORD_ORDER_PLACED) {
        size_t size = order_block_size(event->body);
        *order = memset(world_alloc(world, size), 0, size);
    }
    order_evolve(*order, event->type, event->body);
    settle(*order);
}

static const struct id *key_of_event(const struct record *event) {
    switch ((int)event->type) {
    case RECORD_PRODUCT_CREATED:
        return &((const struct product_created *)event->body)->key_id;
    case RECORD_PRODUCT_CHANGED:
        return &((const struct product_changed *)event->body)->key_id;
    case RECORD_STOCK_RECEIVED:
        return &((const struct stock_received *)event->body)->key_id;
    case RECORD_STOCK_ADJUSTED:
        return &((const struct stock_adjusted *)event->body)->key_id;
    case RECORD_STOCK_COMMAND_REFUSED:
        return &((const struct stock_command_refused *)event->body)->key_id;
    }
    return NULL;
}

void aggregate_fold(struct world *world, struct state *state, enum role role, uint8_t partition) {
    forget_partition(world, state, role, partition);
    struct topic *events = &world->events[role][partition];
    uint32_t position = 0;
    for (const struct record *event; (event = log_read(events, &position)); position++) {
        if (role == ROLE_ORDER) {
            fold_order(world, state, event);
            continue;
        }
        struct inventory_slice slice =
            slice_of(state, event->sku, event->order, key_of_event(event));
        inventory_evolve(&slice, event->type, event->body);
    }
}

// ---- snapshots ---------------------------------------------------------------------------------

static struct order *order_through_snapshot(struct world *world, struct order *order) {
    if (order_is_closed(order)) {
        struct order_closed closed;
        struct closed_order_snapshot snapshot;
        order_close(order, 0, &closed);
        order_closed_snapshot(&closed, &snapshot);
        if (!order_closed_restore(&snapshot, &closed))
            world_fail(world, log_order_index(&closed.order_id), NOBODY,
                       "I11: a closed order cannot be restored from its snapshot");
        return order_recall(&closed, order);
    }
    struct order_snapshot snapshot;
    if (!order_snapshot(order, &world->arena, &snapshot))
        abort();
    size_t size = order_restored_size(&snapshot);
    struct order *restored = memset(world_alloc(world, size), 0, size);
    if (!order_restore(&snapshot, restored))
        world_fail(world, log_order_index(&snapshot.order_id), NOBODY,
                   "I11: an order cannot be restored from its snapshot");
    return restored;
}

static void through_snapshots(struct world *world, struct state *state, enum role role,
                              uint8_t partition) {
    uint32_t step = world->partitions_count;
    for (uint32_t i = partition; role == ROLE_ORDER && i < world->orders_count; i += step)
        if (state->orders[i])
            state->orders[i] = order_through_snapshot(world, state->orders[i]);
    for (uint32_t sku = partition; role == ROLE_INVENTORY && sku < world->skus_count; sku += step) {
        struct stock_snapshot snapshot;
        inventory_snapshot(&state->stocks[sku], &snapshot);
        struct stock restored;
        if (snapshot.version > 0 && inventory_restore(&snapshot, &restored))
            state->stocks[sku] = restored;
    }
}

void aggregate_restore(struct world *world, enum role role, uint8_t partition) {
    aggregate_fold(world, &world->live, role, partition);
    through_snapshots(world, &world->live, role, partition);
}

// ---- deadlines ---------------------------------------------------------------------------------

int64_t aggregate_deadline_us(const struct world *world, uint8_t partition) {
    int64_t next_us = INT64_MAX;
    for (uint32_t i = partition; i < world->orders_count; i += world->partitions_count) {
        const struct order *order = world->live.orders[i];
        int64_t deadline_us = order ? order_deadline_us(order) : INT64_MAX;
        if (deadline_us < next_us)
            next_us = deadline_us;
    }
    return next_us;
}
