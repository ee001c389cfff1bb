// SPDX-License-Identifier: Apache-2.0
//
// Soft state: a map from key bytes to a block of memory, where everything changed since the last
// commit can be undone. A fold of the log lives here; when a transaction aborts, the fold goes back
// with it.
//
// A block is replaced, never changed: the table keeps what it was, once per entry and transaction.
// One thread.
#ifndef ORDERLOG_STREAM_SOFT_TABLE_H
#define ORDERLOG_STREAM_SOFT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soft_table;

struct soft_table *soft_table_new(void); // asserts memory
void soft_table_free(struct soft_table *table);

// NULL if there is none. Valid until the key is put, removed or undone.
const void *soft_table_get(const struct soft_table *table, const void *key, size_t key_len,
                           size_t *ret_size);

// The key of this print will be asked for: what is not in the processor's caches is brought there
// meanwhile, one step further by each call, some other keys later. Of use where tables are larger
// than caches.
enum soft_step { SOFT_SLOT, SOFT_ENTRY, SOFT_BLOCK };
uint64_t soft_table_print(const void *key, size_t key_len);
void soft_table_expect(const struct soft_table *table, uint64_t print, enum soft_step step);

// A block of this size for the caller to fill, 16-byte aligned, whatever there was before. Asserts
// memory.
void *soft_table_put(struct soft_table *table, const void *key, size_t key_len, size_t size);

// The same for what is folded from a log, which nobody undoes: what there was before is not kept,
// unless the open transaction has changed it otherwise.
void *soft_table_put_for_good(struct soft_table *table, const void *key, size_t key_len,
                              size_t size);

void soft_table_remove(struct soft_table *table, const void *key, size_t key_len);

// What changed since the last commit becomes final.
void soft_table_commit(struct soft_table *table);

// What changed since the last commit is put back. visit (may be NULL) is called for each key whose
// former block is back in the table, after all are.
void soft_table_undo(struct soft_table *table,
                     void (*visit)(void *opaque, const void *key, size_t key_len, const void *block,
                                   size_t size),
                     void *opaque);

// ---- snapshots ----
// Every entry that is put or removed is noted until it is taken; what is taken in a
// transaction that is undone is noted again.

struct soft_change {
    const void *key;
    size_t key_len;
    const void *block; // NULL: removed
    size_t size;
};

// How many are noted, at most.
size_t soft_table_changed(const struct soft_table *table);

// The pass that begins now takes everything noted so far.
void soft_table_begin_pass(struct soft_table *table);

// The next one of the pass, with what it is now; false: none is left, or the pass was undone. What
// came and went without ever being taken is left out. Until the commit or undo nothing may change.
bool soft_table_take_changed(struct soft_table *table, struct soft_change *ret);

// There are snapshots of just what is in the table now. Between transactions.
void soft_table_all_stored(struct soft_table *table);

void soft_table_remove_all(struct soft_table *table);

// ---- looking ----

size_t soft_table_count(const struct soft_table *table);
size_t soft_table_bytes(const struct soft_table *table); // blocks, keys and index

// Calls visit for every entry, in no order; the table must not change meanwhile.
void soft_table_each(const struct soft_table *table,
                     void (*visit)(void *opaque, const void *key, size_t key_len, const void *block,
                                   size_t size),
                     void *opaque);

#endif
