// SPDX-License-Identifier: Apache-2.0
//
// Orders as a processor's role: looks up what an input is about, lets the domain decide, writes
// down what it decided and keeps what has become of it.
#include "process/roles.h"

#include "domain/order.h"
#include "orders.h"
#include "service/clock.h"
#include "service/metrics.h"
#include "stream/address.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECISION_BYTES_MAX = 64 << 20 };

struct order_role {
    struct role role; // first: the loop sees only this
    struct policy policy;
    size_t commands_max;
    struct arena arena; // one decision
};

static void *partition_new(void *context, int32_t partition) {
    (void)partition;
    struct order_role *self = context;
    return orders_new(self->policy.command_window_us, self->commands_max);
}

static void partition_free(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    metrics_set_part(METRIC_AGGREGATES, 0, 0, &orders->orders_shown);
    metrics_set_part(METRIC_OPEN_ORDERS, 0, 0, &orders->open_shown);
    metrics_set_part(METRIC_STATE_BYTES, 0, 0, &orders->bytes_shown);
    metrics_set_part(METRIC_TIMERS, 0, 0, &orders->timers_shown);
    orders_free(orders);
}

static bool fold(void *context, void *state, enum record_id type, const void *body, int64_t offset,
                 struct error *err) {
    (void)context;
    return orders_fold(state, type, body, offset, err);
}

static void caused(void *context, void *state, const struct trace_context *trace) {
    (void)context;
    ((struct orders *)state)->cause = *trace;
}

// ---- snapshots ---------------------------------------------------------------------------------

static bool restore(void *context, void *state, const struct snapshot_row *row, struct error *err) {
    (void)context;
    return orders_restore(state, row, err);
}

static void restored(void *context, void *state, bool usable) {
    (void)context;
    orders_restored(state, usable);
}

static size_t changed(void *context, void *state) {
    (void)context;
    return orders_changed(state);
}

static void snapshot_begin(void *context, void *state) {
    (void)context;
    orders_snapshot_begin(state);
}

static bool snapshot(void *context, void *state, size_t max, const struct snapshot_sink *sink,
                     bool *ret_done, struct error *err) {
    struct order_role *self = context;
    return orders_snapshot(state, max, &self->arena, sink, ret_done, err);
}

static bool rows(void *context, void *state, const struct snapshot_sink *sink, struct error *err) {
    struct order_role *self = context;
    return orders_rows(state, &self->arena, sink, err);
}

// ---- input -------------------------------------------------------------------------------------

// In the order's own trace, where it has one; the span is to be named.
static struct span *go_on(struct orders *orders, struct output *output, const struct id *id,
                          int32_t partition) {
    const struct trace_context trace = orders_trace(orders, id);
    struct span *span = output_cause(output, &trace, clock_now_us());
    if (!span)
        return NULL;
    span->partition = partition;
    span->has_order_id = true;
    memcpy(span->order_id, id->bytes, sizeof(span->order_id));
    return span;
}

// What a caller sends without a trace has none, or that of the order's id (the gateway's choice):
// it is part of what the order's own caller began.
static bool is_of_nobody(const struct trace_context *trace, const struct id *id) {
    return !trace->is_set || memcmp(trace->trace_id, id->bytes, TRACE_ID_LEN) == 0;
}

static void trace_input(struct orders *orders, struct output *output, const struct id *id,
                        const struct stream_input *input) {
    const struct trace_context known = orders_trace(orders, id);
    if (is_of_nobody(output_trace(output), id) && known.is_set && !is_of_nobody(&known, id)) {
        struct span *span = go_on(orders, output, id, input->partition);
        if (span)
            (void)snprintf(span->name, SPAN_NAME_MAX, "process %s",
                           record_types[input->type]->name);
    }
    orders->cause = *output_trace(output);
}

// No message has caused it: what has happened to the order before.
static void trace_deadline(struct orders *orders, struct output *output, const struct id *id,
                           int32_t partition) {
    struct span *span = go_on(orders, output, id, partition);
    orders->cause = *output_trace(output);
    if (!span)
        return;
    (void)snprintf(span->name, SPAN_NAME_MAX, "deadline");
    span->kind = SPAN_INTERNAL;
}

// The place of the event written last among those of the transaction.
static int64_t last_written(const struct output *output, int32_t partition) {
    return output_events_count(output, partition) - 1;
}

static void expect(void *context, void *state, enum record_id type, const void *body,
                   enum soft_step step) {
    (void)context;
    struct address address;
    struct error err;
    if (address_of_message(type, body, &address, &err))
        orders_expect(state, soft_table_print(address.order_id, sizeof(struct id)), step);
}

static bool key_print(const void *key, size_t key_len, uint64_t *ret) {
    struct id id;
    if (!id_parse(key, key_len, &id))
        return false;
    *ret = soft_table_print(&id, sizeof(id));
    return true;
}

static void expect_print(void *state, uint64_t print, enum soft_step step) {
    orders_expect(state, print, step);
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
    if (spans_are_on())
        trace_input(orders, output, id, input);
    struct order *order = orders_edit(orders, id);
    struct orders_before before = orders_before(order);
    const struct id *key_id = order_input_key(input->type, input->body);
    struct remembered_command remembered = {0};
    if (key_id)
        remembered = command_memory_get(orders->commands, key_id);
    order_decide(&decision, &order, key_id ? &remembered : NULL, input->type, input->body);
    // What cannot be written leaves no trace: only now is it kept.
    if (!output_decision(output, input->partition, &decision, err))
        return false;
    command_memory_put(orders->commands, &remembered);
    orders_keep(orders, id, before, order, last_written(output, input->partition));
    return true;
}

static void located(void *context, void *state, const int64_t *offsets, size_t count) {
    (void)context;
    orders_located(state, offsets, count);
}

static void show_timers(struct orders *orders) {
    metrics_set_part(METRIC_TIMERS, 0, (int64_t)orders->timers.count, &orders->timers_shown);
}

static void commit(void *context, void *state) {
    (void)context;
    struct orders *orders = state;
    orders_commit(orders);
    metrics_set_part(
        METRIC_AGGREGATES, 0,
        (int64_t)(soft_table_count(orders->open) + closed_orders_count(orders->closed)),
        &orders->orders_shown);
    metrics_set_part(METRIC_OPEN_ORDERS, 0, (int64_t)soft_table_count(orders->open),
                     &orders->open_shown);
    metrics_set_part(METRIC_STATE_BYTES, 0,
                     (int64_t)(soft_table_bytes(orders->open) +
                               closed_orders_count(orders->closed) * sizeof(struct order_closed)),
                     &orders->bytes_shown);
    show_timers(orders);
}

static void undo(void *context, void *state) {
    (void)context;
    orders_undo(state);
}

static int64_t deadline_us(void *context, void *state) {
    (void)context;
    const struct timer *top = orders_next_deadline(state);
    show_timers(state); // the first call gathers them
    return top ? top->deadline_us : INT64_MAX;
}

static void watch_parked(void *context, void *state, const struct parked *parked) {
    (void)context;
    ((struct orders *)state)->parked = parked;
}

static bool fire(void *context, void *state, struct stream_deadlines *deadlines,
                 struct output *output, struct error *err) {
    struct order_role *self = context;
    struct orders *orders = state;
    const struct timer *top;
    for (size_t i = 0; i < deadlines->max && (top = orders_next_deadline(orders)) &&
                       top->deadline_us <= deadlines->now_us;
         i++) {
        struct id id = top->key;
        timers_pop(&orders->timers);
        arena_reset(&self->arena);
        struct decision decision;
        decision_begin(&decision, &self->arena, &self->policy, deadlines->now_us);
        struct order *order = orders_edit(orders, &id);
        struct orders_before before = orders_before(order);
        order_decide_deadline(&decision, order);
        if (spans_are_on())
            trace_deadline(orders, output, &id, deadlines->partition);
        if (output_decision(output, deadlines->partition, &decision, err)) {
            orders_keep(orders, &id, before, order, last_written(output, deadlines->partition));
            continue;
        }
        if (err->what == DISP_POISON) {
            id_format(&id, deadlines->failed_key);
            deadlines->failed_key_len = ID_TEXT_LEN;
            orders_watch(orders, &id, before.deadline_us); // put off: the order is being parked
        }
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
        .caused = caused,
        .restore = restore,
        .restored = restored,
        .changed = changed,
        .snapshot_begin = snapshot_begin,
        .snapshot = snapshot,
        .rows = rows,
        .expect = expect,
        .key_print = key_print,
        .expect_print = expect_print,
        .handle = handle,
        .located = located,
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
