// SPDX-License-Identifier: Apache-2.0
#include "orders.h"

#include "domain/order.h"
#include "order_block.h"
#include "service/spans.h"
#include "stream/address.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct orders *orders_new(int64_t command_window_us, size_t commands_max) {
    struct orders *orders = calloc(1, sizeof(*orders));
    assert(orders);
    orders->open = soft_table_new();
    orders->closed = closed_orders_new();
    orders->commands = command_memory_new(command_window_us, commands_max);
    return orders;
}

void orders_free(struct orders *orders) {
    soft_table_free(orders->open);
    closed_orders_free(orders->closed);
    command_memory_free(orders->commands);
    timers_done(&orders->timers);
    timers_done(&orders->put_off);
    free(orders->room);
    free(orders->block);
    free(orders);
}

struct order *orders_room(struct orders *orders, size_t size) {
    if (size > orders->room_size) {
        free(orders->room);
        orders->room = malloc(size);
        assert(orders->room && "out of memory for an order");
        orders->room_size = size;
    }
    return orders->room;
}

static bool find(const struct orders *orders, const struct id *id, struct order_block *ret) {
    size_t size;
    const void *block = soft_table_get(orders->open, id, sizeof(*id), &size);
    if (block)
        *ret = order_block_of(block, size);
    return block != NULL;
}

void orders_expect(const struct orders *orders, uint64_t print, enum soft_step step) {
    soft_table_expect(orders->open, print, step);
}

// An order as it lies in memory, borrowed from there: open, closed, or neither.
struct at_rest {
    bool is_open;
    struct order_block block;
    const struct order_closed *closed;
};

static struct at_rest look_up(const struct orders *orders, const struct id *id) {
    struct at_rest found = {0};
    found.is_open = find(orders, id, &found.block);
    if (!found.is_open)
        found.closed = closed_orders_get(orders->closed, id);
    return found;
}

static struct order *take_up(struct orders *orders, const struct id *id,
                             const struct at_rest *from) {
    if (from->closed)
        return order_recall(from->closed, orders_room(orders, ORDER_RECALLED_SIZE));
    if (!from->is_open)
        return NULL;
    const struct order_block *block = &from->block;
    struct order *order = orders_room(orders, order_unpacked_size(block->packed, block->len));
    order_unpack(id, block->packed, block->len, order);
    return order;
}

static int64_t version_at_rest(const struct at_rest *order) {
    if (order->is_open)
        return order_packed_version(order->block.packed, order->block.len);
    return order->closed ? order->closed->version : 0;
}

struct order *orders_edit(struct orders *orders, const struct id *id) {
    assert(!orders->folded.order && "what is folded is to be committed first");
    const struct at_rest found = look_up(orders, id);
    return take_up(orders, id, &found);
}

struct trace_context orders_trace(const struct orders *orders, const struct id *id) {
    struct order_block block;
    return find(orders, id, &block) ? order_block_trace(&block) : (struct trace_context){0};
}

// Someone else's trace may cancel it, but its deadlines and answers are not of that.
static struct trace_context next_trace(const struct orders *orders, const struct id *id) {
    const struct trace_context known = orders_trace(orders, id);
    bool goes_on =
        !known.is_set ||
        (orders->cause.is_set && memcmp(known.trace_id, orders->cause.trace_id, TRACE_ID_LEN) == 0);
    return goes_on ? orders->cause : known;
}

void orders_put_open(struct orders *orders, const struct id *id, const struct order *order,
                     orders_put_fn *put) {
    size_t max = ORDER_BLOCK_TRACE_LEN + order_packed_max(order);
    if (max > orders->block_size) {
        free(orders->block);
        orders->block = malloc(max);
        assert(orders->block && "out of memory for an order");
        orders->block_size = max;
    }
    size_t size = 0;
    if (spans_are_on()) {
        const struct trace_context trace = next_trace(orders, id);
        size = order_block_put_trace(&trace, orders->block);
    }
    size += order_pack(order, orders->block + size);
    memcpy(put(orders->open, id, sizeof(*id), size), orders->block, size);
}

// ---- deadlines set -----------------------------------------------------------------------------

static bool runs(const void *opaque, const struct timer *timer) {
    const struct orders *orders = opaque;
    struct order_block block;
    return find(orders, &timer->key, &block) &&
           order_packed_deadline_us(block.packed, block.len) == timer->deadline_us;
}

// Most orders close long before the deadlines that they had: what is outdated goes before there is
// more of it than of what runs.
void orders_watch(struct orders *orders, const struct id *id, int64_t deadline_us) {
    if (deadline_us == INT64_MAX || !orders->watching)
        return;
    struct timers *timers = &orders->timers;
    if (timers->count == timers->capacity && timers->count / 2 > soft_table_count(orders->open))
        timers_filter(timers, runs, orders);
    timers_push(timers, deadline_us, id);
}

static void watch(void *opaque, const void *key, size_t key_len, const void *block, size_t size) {
    (void)key_len;
    const struct order_block order = order_block_of(block, size);
    orders_watch(opaque, key, order_packed_deadline_us(order.packed, order.len));
}

struct orders_before orders_before(const struct order *order) {
    return (struct orders_before){
        .version = order ? order_version(order) : 0,
        .deadline_us = order ? order_deadline_us(order) : INT64_MAX,
    };
}

static void keep(struct orders *orders, const struct id *id, struct orders_before before,
                 const struct order *order, int64_t at, orders_put_fn *put) {
    if (!order || order_version(order) == before.version)
        return;
    if (order_is_closed(order)) {
        // What happens to it afterwards does not close it once more.
        const struct order_closed *known = closed_orders_get(orders->closed, id);
        struct order_closed closed;
        order_close(order, known ? known->closing_offset : at, &closed);
        closed_orders_put(orders->closed, &closed);
        soft_table_remove(orders->open, id, sizeof(*id));
        return;
    }
    orders_put_open(orders, id, order, put);
    int64_t deadline_us = order_deadline_us(order);
    if (deadline_us != before.deadline_us)
        orders_watch(orders, id, deadline_us);
}

void orders_keep(struct orders *orders, const struct id *id, struct orders_before before,
                 const struct order *order, int64_t at) {
    keep(orders, id, before, order, at, soft_table_put);
}

// ---- folding -----------------------------------------------------------------------------------

static void remember(struct orders *orders, enum record_id type, const void *event) {
    const struct id *key_id = order_event_key(type, event);
    if (!key_id)
        return;
    struct remembered_command remembered = command_memory_get(orders->commands, key_id);
    order_remember(&remembered, type, event);
    command_memory_put(orders->commands, &remembered);
}

static struct order *make_placed(struct orders *orders, const struct order_placed *placed) {
    const size_t size = order_block_size(placed);
    return memset(orders_room(orders, size), 0, size);
}

// Packs what is folded, and lies unpacked as long as the next event is of the same order: those
// that come of one input stand side by side. at: as for orders_keep().
static void put_away(struct orders *orders, int64_t at) {
    struct orders_folded *folded = &orders->folded;
    keep(orders, &folded->id, folded->before, folded->order, at, soft_table_put_for_good);
    folded->order = NULL;
}

// Takes up the order that the event is of, if it is there. False: it has seen the event.
static bool turn_to(struct orders *orders, const struct id *id, int64_t version) {
    struct orders_folded *folded = &orders->folded;
    if (folded->order && id_equal(&folded->id, id))
        return !orders->refolds || version > order_version(folded->order);
    put_away(orders, -1);
    const struct at_rest known = look_up(orders, id);
    if (orders->refolds && version <= version_at_rest(&known))
        return false;
    folded->id = *id;
    folded->order = take_up(orders, id, &known);
    folded->before = orders_before(folded->order);
    return true;
}

bool orders_fold(struct orders *orders, enum record_id type, const void *event, int64_t offset,
                 struct error *err) {
    struct address address;
    if (!address_of_event(type, event, &address, err))
        return false;
    if (type == RECORD_ORDER_COMMAND_REFUSED) {
        remember(orders, type, event);
        return true; // it has no version and changes no order
    }
    const struct id *id = address.order_id;
    const struct order_head *head = event;
    if (!turn_to(orders, id, head->version)) {
        remember(orders, type, event);
        return true;
    }
    struct orders_folded *folded = &orders->folded;
    const int64_t version = folded->order ? order_version(folded->order) : 0;
    if (head->version != version + 1 || (type == RECORD_ORDER_PLACED) != !folded->order)
        return error_set(err, DISP_POISON, 0, "%s version %lld of order %s does not follow %lld",
                         record_types[type]->name, (long long)head->version, id_text(id).text,
                         (long long)version);
    if (!folded->order)
        folded->order = make_placed(orders, event);
    order_evolve(folded->order, type, event);
    remember(orders, type, event);
    // What closes it has a place, and each event has a trace of its own.
    if (order_is_closed(folded->order) || spans_are_on())
        put_away(orders, offset);
    return true;
}

// ---- transactions ------------------------------------------------------------------------------

void orders_located(struct orders *orders, const int64_t *offsets, size_t count) {
    closed_orders_locate(orders->closed, offsets, count);
}

void orders_commit(struct orders *orders) {
    put_away(orders, -1);
    soft_table_commit(orders->open);
    closed_orders_commit(orders->closed);
    command_memory_commit(orders->commands);
}

void orders_undo(struct orders *orders) {
    // Deadlines popped meanwhile may run again.
    soft_table_undo(orders->open, watch, orders);
    closed_orders_undo(orders->closed);
    command_memory_undo(orders->commands);
}

// ---- deadlines passing -------------------------------------------------------------------------

static bool is_parked(const struct orders *orders, const struct id *id) {
    char key[ID_TEXT_LEN];
    if (!orders->parked || parked_count(orders->parked) == 0)
        return false;
    id_format(id, key);
    return parked_has(orders->parked, key, sizeof(key));
}

// Deadlines of orders that may not be parked any more run again.
static void run_again(struct orders *orders) {
    if (!orders->parked || orders->freed_seen == parked_freed(orders->parked))
        return;
    orders->freed_seen = parked_freed(orders->parked);
    const struct timer *top;
    while ((top = timers_top(&orders->put_off))) {
        timers_push(&orders->timers, top->deadline_us, &top->key);
        timers_pop(&orders->put_off);
    }
}

const struct timer *orders_next_deadline(struct orders *orders) {
    if (!orders->watching) {
        orders->watching = true;
        soft_table_each(orders->open, watch, orders);
    }
    run_again(orders);
    const struct timer *top;
    while ((top = timers_top(&orders->timers))) {
        bool is_running = runs(orders, top);
        if (is_running && !is_parked(orders, &top->key))
            return top;
        if (is_running)
            timers_push(&orders->put_off, top->deadline_us, &top->key);
        timers_pop(&orders->timers);
    }
    return NULL;
}
