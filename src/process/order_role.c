// SPDX-License-Identifier: Apache-2.0
//
// Orders in soft state, one block each, and the heap of their deadlines. A deadline in the heap may
// be outdated: the order itself says which one runs.
#include "process/roles.h"

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
    struct arena arena; // one decision
};

struct orders {
    struct soft_table *table; // order id -> struct order
    struct timers timers;
    struct timers put_off;       // of parked orders
    const struct parked *parked; // borrowed
    uint64_t freed_seen;         // parked_freed() when put_off was last looked through
    int64_t orders_shown, timers_shown; // this partition's part of the gauges
};

static void *partition_new(void *context, int32_t partition) {
    (void)context;
    (void)partition;
    struct orders *orders = calloc(1, sizeof(*orders));
    assert(orders);
    orders->table = soft_table_new();
    return orders;
}

static void partition_free(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    metrics_set_part(METRIC_AGGREGATES, 0, 0, &orders->orders_shown);
    metrics_set_part(METRIC_TIMERS, 0, 0, &orders->timers_shown);
    soft_table_free(orders->table);
    timers_done(&orders->timers);
    timers_done(&orders->put_off);
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

static bool fold(void *context, void *state, enum record_id type, const void *body,
                 struct error *err) {
    (void)context;
    struct orders *orders = state;
    struct address address;
    if (!address_of_event(type, body, &address, err))
        return false;
    const struct id *id = address.order_id;
    struct order *order = soft_table_get(orders->table, id, sizeof(*id), NULL);
    if (type == RECORD_ORDER_COMMAND_REFUSED) {
        // It changes no version; what never became an order has nothing to remember it.
        if (order) {
            order = soft_table_edit(orders->table, id, sizeof(*id));
            order_evolve(order, type, body);
        }
        return true;
    }
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

// Deciding changes an order in place: what cannot be written must leave no trace.
static const void *keep(struct order_role *self, const struct order *order, struct error *err) {
    void *copy = order ? arena_alloc(&self->arena, order_size(order)) : NULL;
    if (copy)
        memcpy(copy, order, order_size(order));
    else if (order)
        error_set(err, DISP_FATAL, 0, "out of memory for a copy of an order");
    return copy;
}

static bool put_back(struct order *order, const void *kept, const struct error *err) {
    if (order && err->what == DISP_POISON)
        memcpy(order, kept, order_size(kept));
    return false;
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
    const void *kept = keep(self, before, err);
    if (before && !kept)
        return false;
    struct order *after = before;
    order_decide(&decision, &after, input->type, input->body);
    return apply(orders, input->partition, id, before, after, &decision, output, err) ||
           put_back(before, kept, err);
}

static void commit(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    soft_table_commit(orders->table);
    metrics_set_part(METRIC_AGGREGATES, 0, (int64_t)soft_table_count(orders->table),
                     &orders->orders_shown);
    metrics_set_part(METRIC_TIMERS, 0, (int64_t)orders->timers.count, &orders->timers_shown);
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
}

static void watch_parked(void *context, void *state, const struct parked *parked) {
    (void)context;
    ((struct orders *)state)->parked = parked;
}

static bool is_parked(const struct orders *orders, const struct id *id) {
    char key[ID_TEXT_LEN];
    if (parked_count(orders->parked) == 0)
        return false;
    id_format(id, key);
    return parked_has(orders->parked, key, sizeof(key));
}

// Deadlines of orders that may not be parked any more run again.
static void take_up(struct orders *orders) {
    if (orders->freed_seen == parked_freed(orders->parked))
        return;
    orders->freed_seen = parked_freed(orders->parked);
    const struct timer *top;
    while ((top = timers_top(&orders->put_off))) {
        timers_push(&orders->timers, top->deadline_us, &top->key);
        timers_pop(&orders->put_off);
    }
}

// The order of the top entry if that deadline still runs; outdated entries are dropped.
static const struct timer *running_top(struct orders *orders) {
    take_up(orders);
    const struct timer *top;
    while ((top = timers_top(&orders->timers))) {
        const struct order *order =
            soft_table_get(orders->table, &top->key, sizeof(top->key), NULL);
        bool runs = order && order_deadline_us(order) == top->deadline_us;
        if (runs && !is_parked(orders, &top->key))
            return top;
        if (runs)
            timers_push(&orders->put_off, top->deadline_us, &top->key);
        timers_pop(&orders->timers);
    }
    return NULL;
}

static int64_t deadline_us(void *context, void *state) {
    (void)context;
    const struct timer *top = running_top(state);
    return top ? top->deadline_us : INT64_MAX;
}

static bool fire(void *context, void *state, struct stream_deadlines *deadlines,
                 struct output *output, struct error *err) {
    struct order_role *self = context;
    struct orders *orders = state;
    const struct timer *top;
    for (size_t i = 0;
         i < deadlines->max && (top = running_top(orders)) && top->deadline_us <= deadlines->now_us;
         i++) {
        struct id id = top->key;
        timers_pop(&orders->timers);
        arena_reset(&self->arena);
        struct decision decision;
        decision_begin(&decision, &self->arena, &self->policy, deadlines->now_us);
        struct order *order = soft_table_edit(orders->table, &id, sizeof(id));
        const void *kept = keep(self, order, err);
        if (!kept)
            return false;
        order_decide_deadline(&decision, order);
        if (apply(orders, deadlines->partition, &id, order, order, &decision, output, err))
            continue;
        if (err->what == DISP_POISON) {
            id_format(&id, deadlines->failed_key);
            deadlines->failed_key_len = ID_TEXT_LEN;
            watch_deadline(orders, &id, kept); // put off: the order is being parked
        }
        return put_back(order, kept, err);
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
    self->role = (struct role){
        .domain = DOMAIN_ORDER,
        .context = self,
        .partition_new = partition_new,
        .partition_free = partition_free,
        .fold = fold,
        .handle = handle,
        .commit = commit,
        .undo = undo,
        .watch_parked = watch_parked,
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
