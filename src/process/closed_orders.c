// SPDX-License-Identifier: Apache-2.0
//
// Entries lie in chunks, in the order in which they came, and never move; open addressing over
// their numbers finds them. So undoing takes the last ones away again: under linear probing the
// slot that was filled last can simply be emptied. What changed queues up by number for the next
// snapshot, twice if it changed twice; undoing puts the queue's ends back.
#include "closed_orders.h"

#include "service/pages.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { CHUNK = 1024, SLOTS_FIRST = 1024 };

struct saved {
    uint32_t number;
    struct order_closed closed;
};

struct queue {
    uint32_t *numbers; // owned
    size_t taken;      // [taken, head) was taken in the open transaction
    size_t head;
    size_t tail;
    size_t tail_committed;
    size_t pass_end;
    size_t capacity;
};

struct closed_orders {
    struct order_closed **chunks; // owned, each of CHUNK entries
    size_t chunks_capacity;
    uint32_t count;
    uint32_t committed_count; // entries from here on are of the open transaction
    uint32_t *slots;          // number + 1; 0: free
    size_t slots_count;       // power of two
    struct saved *saved;      // committed entries that the open transaction changed
    size_t saved_count;
    size_t saved_capacity;
    struct queue changes;
};

static void *must(void *memory) {
    assert(memory && "out of memory for closed orders");
    return memory;
}

struct closed_orders *closed_orders_new(void) {
    struct closed_orders *orders = must(calloc(1, sizeof(*orders)));
    orders->slots = must(pages_zeroed(SLOTS_FIRST, sizeof(*orders->slots)));
    orders->slots_count = SLOTS_FIRST;
    return orders;
}

void closed_orders_free(struct closed_orders *orders) {
    if (!orders)
        return;
    for (size_t i = 0; i < orders->chunks_capacity; i++)
        free(orders->chunks[i]);
    free(orders->chunks);
    free(orders->slots);
    free(orders->saved);
    free(orders->changes.numbers);
    free(orders);
}

static struct order_closed *entry(const struct closed_orders *orders, uint32_t number) {
    return &orders->chunks[number / CHUNK][number % CHUNK];
}

static uint32_t *slot_of(const struct closed_orders *orders, const struct id *order_id) {
    size_t mask = orders->slots_count - 1;
    size_t at = XXH3_64bits(order_id, sizeof(*order_id)) & mask;
    while (orders->slots[at] &&
           !id_equal(&entry(orders, orders->slots[at] - 1)->order_id, order_id))
        at = (at + 1) & mask;
    return &orders->slots[at];
}

// In the order of their numbers, so that the last ones are still the last.
static void grow_slots(struct closed_orders *orders) {
    free(orders->slots);
    orders->slots_count *= 2;
    orders->slots = must(pages_zeroed(orders->slots_count, sizeof(*orders->slots)));
    for (uint32_t number = 0; number < orders->count; number++)
        *slot_of(orders, &entry(orders, number)->order_id) = number + 1;
}

static void grow_chunks(struct closed_orders *orders) {
    size_t capacity = orders->chunks_capacity ? 2 * orders->chunks_capacity : 16;
    orders->chunks = must(realloc(orders->chunks, capacity * sizeof(struct order_closed *)));
    for (size_t i = orders->chunks_capacity; i < capacity; i++)
        orders->chunks[i] = NULL;
    orders->chunks_capacity = capacity;
}

const struct order_closed *closed_orders_get(const struct closed_orders *orders,
                                             const struct id *order_id) {
    uint32_t slot = *slot_of(orders, order_id);
    return slot ? entry(orders, slot - 1) : NULL;
}

static void append(struct closed_orders *orders, const struct order_closed *closed) {
    if ((size_t)(orders->count + 1) * 4 > orders->slots_count * 3)
        grow_slots(orders);
    size_t chunk = orders->count / CHUNK;
    if (chunk == orders->chunks_capacity)
        grow_chunks(orders);
    if (!orders->chunks[chunk])
        orders->chunks[chunk] = must(malloc(CHUNK * sizeof(struct order_closed)));
    uint32_t *slot = slot_of(orders, &closed->order_id);
    uint32_t number = orders->count++;
    assert(orders->count < UINT32_MAX);
    *entry(orders, number) = *closed;
    *slot = number + 1;
}

static void save(struct closed_orders *orders, uint32_t number) {
    if (number >= orders->committed_count)
        return;
    if (orders->saved_count == orders->saved_capacity) {
        orders->saved_capacity = orders->saved_capacity ? 2 * orders->saved_capacity : 16;
        orders->saved =
            must(realloc(orders->saved, orders->saved_capacity * sizeof(*orders->saved)));
    }
    orders->saved[orders->saved_count++] = (struct saved){number, *entry(orders, number)};
}

static void change(struct queue *changes, uint32_t number) {
    if (changes->tail == changes->capacity) {
        changes->capacity = changes->capacity ? 2 * changes->capacity : 256;
        changes->numbers =
            must(realloc(changes->numbers, changes->capacity * sizeof(*changes->numbers)));
    }
    changes->numbers[changes->tail++] = number;
}

void closed_orders_put(struct closed_orders *orders, const struct order_closed *closed) {
    uint32_t slot = *slot_of(orders, &closed->order_id);
    if (!slot) {
        append(orders, closed);
        change(&orders->changes, orders->count - 1);
        return;
    }
    save(orders, slot - 1);
    change(&orders->changes, slot - 1);
    *entry(orders, slot - 1) = *closed;
}

void closed_orders_locate(struct closed_orders *orders, const int64_t *offsets, size_t count) {
    for (uint32_t number = orders->committed_count; number < orders->count; number++) {
        struct order_closed *closed = entry(orders, number);
        assert(closed->closing_offset >= 0 && (size_t)closed->closing_offset < count);
        closed->closing_offset = offsets[closed->closing_offset];
    }
}

void closed_orders_commit(struct closed_orders *orders) {
    orders->committed_count = orders->count;
    orders->saved_count = 0;
    struct queue *changes = &orders->changes;
    changes->taken = changes->head;
    if (changes->taken >= CHUNK && changes->taken * 2 >= changes->tail) {
        size_t gone = changes->taken;
        memmove(changes->numbers, changes->numbers + gone,
                (changes->tail - gone) * sizeof(*changes->numbers));
        changes->taken = changes->head = 0;
        changes->tail -= gone;
        changes->pass_end -= changes->pass_end < gone ? changes->pass_end : gone;
    }
    changes->tail_committed = changes->tail;
}

void closed_orders_undo(struct closed_orders *orders) {
    while (orders->count > orders->committed_count) {
        *slot_of(orders, &entry(orders, orders->count - 1)->order_id) = 0;
        orders->count--;
    }
    while (orders->saved_count > 0) {
        const struct saved *saved = &orders->saved[--orders->saved_count];
        *entry(orders, saved->number) = saved->closed;
    }
    struct queue *changes = &orders->changes;
    changes->tail = changes->tail_committed;
    changes->head = changes->pass_end = changes->taken;
}

size_t closed_orders_changed(const struct closed_orders *orders) {
    return orders->changes.tail - orders->changes.head;
}

void closed_orders_begin_pass(struct closed_orders *orders) {
    orders->changes.pass_end = orders->changes.tail;
}

const struct order_closed *closed_orders_take_changed(struct closed_orders *orders) {
    struct queue *changes = &orders->changes;
    if (changes->head == changes->pass_end ||
        changes->numbers[changes->head] >= orders->committed_count)
        return NULL;
    return entry(orders, changes->numbers[changes->head++]);
}

bool closed_orders_all_taken(const struct closed_orders *orders) {
    return orders->changes.head == orders->changes.pass_end;
}

void closed_orders_all_stored(struct closed_orders *orders) {
    closed_orders_commit(orders);
    orders->changes =
        (struct queue){.numbers = orders->changes.numbers, .capacity = orders->changes.capacity};
}

const struct order_closed *closed_orders_at(const struct closed_orders *orders, size_t number) {
    return entry(orders, (uint32_t)number);
}

size_t closed_orders_count(const struct closed_orders *orders) {
    return orders->count;
}
