// SPDX-License-Identifier: Apache-2.0
//
// Open addressing with linear probing over pointers to entries. An entry is one allocation (key
// and bookkeeping) plus one for its block, so that a block may change its size while the entry
// stays. Removed entries stay in the index as tombstones until the next growth; an entry removed
// in a transaction keeps its block in the undo log until the commit.
//
// Changed entries queue up, each once, to be taken for a snapshot. Removed ones stay until then if
// there is a snapshot of them. An undo puts the queue's both ends back to where they were.
#include "stream/soft_table.h"

#include "service/pages.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct entry {
    uint64_t hash;
    uint64_t changed_in; // transaction number of the last saved copy
    void *block;         // owned; NULL = no such key
    uint32_t size;
    uint16_t key_len;
    bool queued; // in the queue of changes
    bool stored; // there may be a snapshot of it
    uint8_t key[];
};

struct saved {
    struct entry *entry;
    void *block; // owned; NULL = the key did not exist
    uint32_t size;
};

// [taken, head) was taken in this transaction, [tail_committed, tail) has come in it.
struct queue {
    struct entry **entries; // owned
    size_t taken;
    size_t head;
    size_t tail;
    size_t tail_committed;
    size_t pass_end;
    size_t capacity;
};

struct soft_table {
    struct entry **slots;
    size_t slots_count; // power of two
    size_t used;        // slots taken, by living or dead entries
    size_t living;
    size_t bytes;
    uint64_t transaction;
    struct saved *saved;
    size_t saved_count;
    size_t saved_capacity;
    struct queue changes;
};

enum { SLOTS_FIRST = 1024 };

static void *must(void *memory) {
    assert(memory && "out of memory for soft state");
    return memory;
}

struct soft_table *soft_table_new(void) {
    struct soft_table *table = must(calloc(1, sizeof(*table)));
    table->slots = must(pages_zeroed(SLOTS_FIRST, sizeof(struct entry *)));
    table->slots_count = SLOTS_FIRST;
    table->transaction = 1;
    return table;
}

void soft_table_free(struct soft_table *table) {
    if (!table)
        return;
    for (size_t i = 0; i < table->saved_count; i++)
        free(table->saved[i].block);
    free(table->saved);
    free(table->changes.entries);
    for (size_t i = 0; i < table->slots_count; i++)
        if (table->slots[i]) {
            free(table->slots[i]->block);
            free(table->slots[i]);
        }
    free(table->slots);
    free(table);
}

static struct entry **slot_of(const struct soft_table *table, uint64_t hash, const void *key,
                              size_t key_len) {
    size_t mask = table->slots_count - 1;
    size_t at = hash & mask;
    while (table->slots[at]) {
        struct entry *entry = table->slots[at];
        if (entry->hash == hash && entry->key_len == key_len &&
            memcmp(entry->key, key, key_len) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &table->slots[at];
}

static struct entry *find(const struct soft_table *table, const void *key, size_t key_len) {
    struct entry *entry = *slot_of(table, XXH3_64bits(key, key_len), key, key_len);
    return entry && entry->block ? entry : NULL;
}

// ---- the queue of changes ----------------------------------------------------------------------

static void change(struct soft_table *table, struct entry *entry) {
    struct queue *changes = &table->changes;
    assert(changes->head == changes->taken && "nothing changes after a take");
    if (entry->queued)
        return;
    if (changes->tail == changes->capacity) {
        changes->capacity = changes->capacity ? changes->capacity * 2 : 256;
        changes->entries =
            must(realloc(changes->entries, changes->capacity * sizeof(struct entry *)));
    }
    changes->entries[changes->tail++] = entry;
    entry->queued = true;
}

// What was taken is dropped for good, once there is enough of it.
static void changes_commit(struct queue *changes) {
    changes->taken = changes->head;
    if (changes->taken >= 1024 && changes->taken * 2 >= changes->tail) {
        size_t gone = changes->taken;
        memmove(changes->entries, changes->entries + gone,
                (changes->tail - gone) * sizeof(struct entry *));
        changes->taken = changes->head = 0;
        changes->tail -= gone;
        changes->pass_end -= changes->pass_end < gone ? changes->pass_end : gone;
    }
    changes->tail_committed = changes->tail;
}

static void changes_undo(struct queue *changes) {
    while (changes->tail > changes->tail_committed) {
        struct entry *entry = changes->entries[--changes->tail];
        entry->queued = false;
        entry->stored |= changes->tail < changes->head; // taken too, and is stored as before
    }
    if (changes->head > changes->tail)
        changes->head = changes->tail;
    while (changes->head > changes->taken) {
        struct entry *entry = changes->entries[--changes->head];
        entry->queued = entry->stored = true;
    }
    changes->pass_end = changes->head;
}

// Leaves out what was taken for good, and what came and went between two snapshots: nobody needs to
// hear of it.
static void changes_compact(struct soft_table *table) {
    struct queue *changes = &table->changes;
    size_t kept = 0;
    size_t pass_end = changes->pass_end, tail_committed = changes->tail_committed;
    for (size_t i = 0; i < changes->tail; i++) {
        struct entry *entry = changes->entries[i];
        bool taken = i < changes->taken;
        bool gone =
            !taken && !entry->block && !entry->stored && entry->changed_in != table->transaction;
        if (gone)
            entry->queued = false;
        if (!taken && !gone) {
            changes->entries[kept++] = entry;
            continue;
        }
        pass_end -= i < changes->pass_end;
        tail_committed -= i < changes->tail_committed;
    }
    changes->taken = changes->head = 0;
    changes->tail = kept;
    changes->pass_end = pass_end;
    changes->tail_committed = tail_committed;
}

// May what was removed leave the index? Not while an undo or the queue may come back to it.
static bool is_gone(const struct soft_table *table, const struct entry *entry) {
    return !entry->block && !entry->queued && entry->changed_in != table->transaction;
}

// Entries lie anywhere: whoever walks along the slots asks for them early.
static struct entry *walk(const struct soft_table *table, size_t at) {
    enum { ENTRY_AHEAD = 16, BLOCK_AHEAD = 8 };
    if (at + ENTRY_AHEAD < table->slots_count) {
        const struct entry *next = table->slots[at + BLOCK_AHEAD];
        __builtin_prefetch(table->slots[at + ENTRY_AHEAD]);
        if (next)
            __builtin_prefetch(next->block);
    }
    return table->slots[at];
}

// For a key that is not there.
static struct entry **free_slot(const struct soft_table *table, uint64_t hash) {
    size_t mask = table->slots_count - 1;
    size_t at = hash & mask;
    while (table->slots[at])
        at = (at + 1) & mask;
    return &table->slots[at];
}

// Rebuilds the index for what is still needed and half as much again, dropping the dead that no
// undo needs.
static void grow(struct soft_table *table) {
    changes_compact(table);
    size_t kept = 1;
    for (size_t i = 0; i < table->slots_count; i++) {
        const struct entry *entry = walk(table, i);
        kept += entry && !is_gone(table, entry);
    }
    size_t count = SLOTS_FIRST;
    while (count < kept * 3)
        count *= 2;
    struct soft_table old = *table;
    table->slots = must(pages_zeroed(count, sizeof(struct entry *)));
    table->slots_count = count;
    table->used = 0;
    for (size_t i = 0; i < old.slots_count; i++) {
        struct entry *entry = walk(&old, i);
        if (!entry)
            continue;
        if (is_gone(table, entry)) {
            table->bytes -= sizeof(*entry) + entry->key_len;
            free(entry);
            continue;
        }
        *free_slot(table, entry->hash) = entry;
        table->used++;
    }
    free(old.slots);
}

// Moves the entry's block into the log, once per transaction; what has come after that one is given
// up. The entry is left without a block.
static void save(struct soft_table *table, struct entry *entry) {
    change(table, entry);
    if (entry->block) {
        table->bytes -= entry->size;
        table->living--;
    }
    if (entry->changed_in == table->transaction) {
        free(entry->block);
        entry->block = NULL;
        return;
    }
    if (table->saved_count == table->saved_capacity) {
        table->saved_capacity = table->saved_capacity ? table->saved_capacity * 2 : 256;
        table->saved = must(realloc(table->saved, table->saved_capacity * sizeof(*table->saved)));
    }
    table->saved[table->saved_count++] =
        (struct saved){.entry = entry, .block = entry->block, .size = entry->size};
    entry->block = NULL;
    entry->changed_in = table->transaction;
}

uint64_t soft_table_print(const void *key, size_t key_len) {
    return XXH3_64bits(key, key_len);
}

void soft_table_expect(const struct soft_table *table, uint64_t print, enum soft_step step) {
    size_t at = print & (table->slots_count - 1);
    if (step == SOFT_SLOT) {
        __builtin_prefetch(&table->slots[at]);
        return;
    }
    const struct entry *entry = table->slots[at]; // or a neighbour of what will be asked for
    if (entry)
        __builtin_prefetch(step == SOFT_ENTRY ? entry : entry->block);
}

const void *soft_table_get(const struct soft_table *table, const void *key, size_t key_len,
                           size_t *ret_size) {
    const struct entry *entry = find(table, key, key_len);
    if (entry && ret_size)
        *ret_size = entry->size;
    return entry ? entry->block : NULL;
}

// The key's, with or without a block.
static struct entry *make_entry(struct soft_table *table, const void *key, size_t key_len) {
    assert(key_len <= UINT16_MAX);
    if ((table->used + 1) * 2 > table->slots_count)
        grow(table);
    uint64_t hash = XXH3_64bits(key, key_len);
    struct entry **slot = slot_of(table, hash, key, key_len);
    struct entry *entry = *slot;
    if (!entry) {
        entry = must(malloc(sizeof(*entry) + key_len));
        *entry = (struct entry){.hash = hash, .key_len = (uint16_t)key_len};
        memcpy(entry->key, key, key_len);
        *slot = entry;
        table->used++;
        table->bytes += sizeof(*entry) + key_len;
    }
    return entry;
}

static void *take_block(struct soft_table *table, struct entry *entry, void *block, size_t size) {
    assert(size > 0 && size <= UINT32_MAX);
    entry->block = must(block);
    entry->size = (uint32_t)size;
    table->bytes += size;
    table->living++;
    return block;
}

void *soft_table_put(struct soft_table *table, const void *key, size_t key_len, size_t size) {
    struct entry *entry = make_entry(table, key, key_len);
    save(table, entry);
    return take_block(table, entry, malloc(size), size);
}

void *soft_table_put_for_good(struct soft_table *table, const void *key, size_t key_len,
                              size_t size) {
    struct entry *entry = make_entry(table, key, key_len);
    if (entry->changed_in == table->transaction) {
        save(table, entry);
        return take_block(table, entry, malloc(size), size);
    }
    change(table, entry);
    if (entry->block) {
        table->bytes -= entry->size;
        table->living--;
    }
    return take_block(table, entry, realloc(entry->block, size), size);
}

void soft_table_remove(struct soft_table *table, const void *key, size_t key_len) {
    struct entry *entry = find(table, key, key_len);
    if (entry)
        save(table, entry);
}

void soft_table_commit(struct soft_table *table) {
    for (size_t i = 0; i < table->saved_count; i++)
        free(table->saved[i].block);
    table->saved_count = 0;
    table->transaction++;
    changes_commit(&table->changes);
}

void soft_table_undo(struct soft_table *table,
                     void (*visit)(void *opaque, const void *key, size_t key_len, const void *block,
                                   size_t size),
                     void *opaque) {
    for (size_t i = 0; i < table->saved_count; i++) {
        struct saved *saved = &table->saved[i];
        struct entry *entry = saved->entry;
        if (entry->block) {
            free(entry->block);
            table->bytes -= entry->size;
            table->living--;
        }
        entry->block = saved->block;
        entry->size = saved->size;
        if (entry->block) {
            table->bytes += entry->size;
            table->living++;
        }
    }
    changes_undo(&table->changes);
    table->transaction++;
    if (visit)
        for (size_t i = 0; i < table->saved_count; i++) {
            struct entry *entry = table->saved[i].entry;
            if (entry->block)
                visit(opaque, entry->key, entry->key_len, entry->block, entry->size);
        }
    table->saved_count = 0;
}

size_t soft_table_count(const struct soft_table *table) {
    return table->living;
}

size_t soft_table_bytes(const struct soft_table *table) {
    return table->bytes + table->slots_count * sizeof(struct entry *);
}

void soft_table_each(const struct soft_table *table,
                     void (*visit)(void *opaque, const void *key, size_t key_len, const void *block,
                                   size_t size),
                     void *opaque) {
    for (size_t i = 0; i < table->slots_count; i++) {
        const struct entry *entry = walk(table, i);
        if (entry && entry->block)
            visit(opaque, entry->key, entry->key_len, entry->block, entry->size);
    }
}

// ---- snapshots ---------------------------------------------------------------------------------

size_t soft_table_changed(const struct soft_table *table) {
    return table->changes.tail - table->changes.head;
}

void soft_table_begin_pass(struct soft_table *table) {
    table->changes.pass_end = table->changes.tail;
}

bool soft_table_take_changed(struct soft_table *table, struct soft_change *ret) {
    struct queue *changes = &table->changes;
    while (changes->head < changes->pass_end) {
        struct entry *entry = changes->entries[changes->head++];
        entry->queued = false;
        if (!entry->block && !entry->stored)
            continue;
        entry->stored = entry->block != NULL;
        *ret = (struct soft_change){.key = entry->key,
                                    .key_len = entry->key_len,
                                    .block = entry->block,
                                    .size = entry->size};
        return true;
    }
    return false;
}

void soft_table_all_stored(struct soft_table *table) {
    assert(table->saved_count == 0 && "only between transactions");
    for (size_t i = 0; i < table->slots_count; i++) {
        struct entry *entry = walk(table, i);
        if (!entry)
            continue;
        entry->stored = entry->block != NULL;
        entry->queued = false;
    }
    table->changes =
        (struct queue){.entries = table->changes.entries, .capacity = table->changes.capacity};
}

void soft_table_remove_all(struct soft_table *table) {
    for (size_t i = 0; i < table->slots_count; i++) {
        struct entry *entry = table->slots[i];
        if (entry && entry->block)
            soft_table_remove(table, entry->key, entry->key_len);
    }
}
