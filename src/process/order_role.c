// SPDX-License-Identifier: Apache-2.0
//
// Orders in soft state, one block each, the commands remembered, and the heap of deadlines. A
// deadline in the heap may be outdated: the order itself says which one runs.
#include "process/roles.h"

#include "command_memory.h"
#include "domain/order.h"
#include "service/metrics.h"
#include "stream/address.h"
#include "stream/soft_table.h"
#include "stream/timers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DECISION_BYTES_MAX = 64 << 20 };

struct order_role {
    struct role role; // first: the loop sees only this
    struct policy policy;
    size_t commands_max;
    struct arena arena; // one decision
};

struct orders {
    struct soft_table *table; // order id -> struct order
    struct command_memory *commands;
    struct timers timers;
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    struct order_role *self = context;
    struct orders *orders = calloc(1, sizeof(*orders));
    assert(orders);
    orders->table = soft_table_new();
    orders->commands = command_memory_new(self->policy.command_window_us, self->commands_max);
    return orders;
}

static void partition_free(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    soft_table_free(orders->table);
    command_memory_free(orders->commands);
    timers_done(&orders->timers);
    free(orders);
}

static void watch_deadline(struct orders *orders, const struct id *id, const struct order *order) {
    int64_t deadline_us = order_deadline_us(order);
    if (deadline_us != INT64_MAX)
        timers_push(&orders->timers, deadline_us, id);
}

// A closed order keeps only what late input may ask of it.
static void settle(struct orders *orders, const struct id *id, struct order *order) {
    if (!order_is_closed(order))
        return;
    size_t before = order_size(order);
    size_t size = order_shrink(order);
    if (size != before)
        (void)soft_table_put(orders->table, id, sizeof(*id), size);
}

static void remember(struct orders *orders, enum record_id type, const void *event) {
    const struct id *key_id = order_event_key(type, event);
    if (!key_id)
        return;
    struct remembered_command remembered = command_memory_get(orders->commands, key_id);
    order_remember(&remembered, type, event);
    command_memory_put(orders->commands, &remembered);
}

static bool fold(void *context, void *state, enum record_id type, const void *body,
                 struct error *err) {
    (void)context;
    struct orders *orders = state;
    struct address address;
    if (!address_of_event(type, body, &address, err))
        return false;
    const struct id *id = address.order_id;
    if (type == RECORD_ORDER_COMMAND_REFUSED) {
        remember(orders, type, body);
        return true; // it has no version and changes no order
    }
    struct order *order = soft_table_get(orders->table, id, sizeof(*id), NULL);
    const struct order_head *head = body;
    int64_t version = order ? order_version(order) : 0;
    if (head->version != version + 1 || (type == RECORD_ORDER_PLACED) != (version == 0))
        return error_set(err, DISP_POISON, 0, "%s version %lld of order %s does not follow %lld",
                         record_types[type]->name, (long long)head->version, id_text(id).text,
                         (long long)version);
    if (order)
        order = soft_table_edit(orders->table, id, sizeof(*id));
    else
        order = soft_table_put(orders->table, id, sizeof(*id), order_block_size(body));
    order_evolve(order, type, body);
    remember(orders, type, body);
    watch_deadline(orders, id, order);
    settle(orders, id, order);
    return true;
}

// Moves a new order into the table, watches its deadline, and writes down what was decided.
static bool apply(struct orders *orders, int32_t partition, const struct id *id,
                  struct order *before, struct order *after, const struct decision *decision,
                  struct output *output, struct error *err) {
    if (!output_decision(output, partition, decision, err))
        return false;
    if (!after)
        return true;
    if (after != before) {
        size_t size = order_size(after);
        void *block = soft_table_put(orders->table, id, sizeof(*id), size);
        memcpy(block, after, size);
        after = block;
    }
    if (decision->events_count) {
        watch_deadline(orders, id, after);
        settle(orders, id, after);
    }
    return true;
}

static bool handle(void *context, void *state, const struct stream_input *input,
                   struct output *output, struct error *err) {
    struct order_role *self = context;
    struct orders *orders = state;
    struct address address;
    if (!address_of_message(input->type, input->body, &address, err))
        return false;
    const struct id *id = address.order_id;
    arena_reset(&self->arena);
    struct decision decision;
    decision_begin(&decision, &self->arena, &self->policy, input->now_us);
    struct order *before = soft_table_edit(orders->table, id, sizeof(*id));
    struct order *after = before;
    const struct id *key_id = order_input_key(input->type, input->body);
    struct remembered_command remembered = {0};
    if (key_id)
        remembered = command_memory_get(orders->commands, key_id);
    order_decide(&decision, &after, key_id ? &remembered : NULL, input->type, input->body);
    if (!apply(orders, input->partition, id, before, after, &decision, output, err))
        return false;
    command_memory_put(orders->commands, &remembered);
    return true;
}

static void commit(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    soft_table_commit(orders->table);
    command_memory_commit(orders->commands);
    metrics_set(METRIC_AGGREGATES, 0, (int64_t)soft_table_count(orders->table));
    metrics_set(METRIC_TIMERS, 0, (int64_t)orders->timers.count);
}

static void restored(void *opaque, const void *key, size_t key_len, void *block) {
    (void)key_len;
    watch_deadline(opaque, key, block);
}

static void undo(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    // Deadlines popped meanwhile may run again.
    soft_table_undo(orders->table, restored, orders);
    command_memory_undo(orders->commands);
}

// The order of the top entry if that deadline still runs; outdated entries are dropped.
static const struct timer *running_top(struct orders *orders) {
    const struct timer *top;
    while ((top = timers_top(&orders->timers))) {
        const struct order *order =
            soft_table_get(orders->table, &top->key, sizeof(top->key), NULL);
        if (order && order_deadline_us(order) == top->deadline_us)
            return top;
        timers_pop(&orders->timers);
    }
    return NULL;
}

static int64_t deadline_us(void *context, void *state) {
    (void)context;
    const struct timer *top = running_top(state);
    return top ? top->deadline_us : INT64_MAX;
}

static bool fire(void *context, void *state, int32_t partition, int64_t now_us, size_t max,
                 struct output *output, struct error *err) {
    struct order_role *self = context;
    struct orders *orders = state;
    const struct timer *top;
    for (size_t i = 0; i < max && (top = running_top(orders)) && top->deadline_us <= now_us; i++) {
        struct id id = top->key;
        timers_pop(&orders->timers);
        arena_reset(&self->arena);
        struct decision decision;
        decision_begin(&decision, &self->arena, &self->policy, now_us);
        struct order *order = soft_table_edit(orders->table, &id, sizeof(id));
        order_decide_deadline(&decision, order);
        if (!apply(orders, partition, &id, order, order, &decision, output, err))
            return false;
    }
    return true;
}

struct role *order_role_new(const struct config *config, struct error *err) {
    (void)err;
    struct order_role *self = calloc(1, sizeof(*self));
    assert(self);
    arena_init(&self->arena, DECISION_BYTES_MAX);
    self->policy = (struct policy){
        .reservation_ttl_us = config->order_reservation_ttl_ms * 1000,
        .payment_timeout_us = config->order_payment_timeout_ms * 1000,
        .payment_lookups_max = (int32_t)config->order_payment_lookups_max,
        .command_window_us = config->order_command_window_ms * 1000,
    };
    self->commands_max = (size_t)config->commands_remembered_max;
    self->role = (struct role){
        .domain = DOMAIN_ORDER,
        .context = self,
        .partition_new = partition_new,
        .partition_free = partition_free,
        .fold = fold,
        .handle = handle,
        .commit = commit,
        .undo = undo,
        .deadline_us = deadline_us,
        .fire = fire,
    };
    return &self->role;
}

void order_role_free(struct role *role) {
    if (!role)
        return;
    struct order_role *self = role->context;
    arena_done(&self->arena);
    free(self);
}
