// SPDX-License-Identifier: Apache-2.0
//
// The keys of one partition that are parked: what could not be decided, and every later input of
// its key, in the order of the input. It is the fold of the partition's dead letters, kept whole in
// memory so that a retry needs no reading, and bounded: a full set takes no more input (one record
// may still be added whole).
//
// What changed since the last commit can be undone. One thread.
#ifndef ORDERLOG_STREAM_PARKED_H
#define ORDERLOG_STREAM_PARKED_H

#include "event/message.h"
#include "service/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PARKED_ALONE = -1,    // index of a record that is no group
    PARKED_DEADLINE = -2, // index of a deadline; its offset is the next one that was to be read
};

// Where an input stands.
struct parked_at {
    int64_t offset;
    int32_t index;
};

struct parked_letter {
    struct parked_at at;
    struct view key;            // of the record, ptr NULL if none; owned by the set, as value is
    struct view value;          // ptr NULL: a deadline, or too large to be copied
    struct trace_context trace; // as it came; what a retry of it leads to goes on in it
    uint64_t serial;            // never 0, never used again
    // A call for it is under way, on behalf of a retry: its ordinal and id.
    bool called;
    uint64_t retry;
    struct id retry_id;
};

static inline bool parked_at_is_before(struct parked_at a, struct parked_at b) {
    return a.offset < b.offset || (a.offset == b.offset && a.index < b.index);
}

struct parked;

struct parked *parked_new(size_t letters_max, size_t bytes_max); // asserts memory
void parked_free(struct parked *parked);

size_t parked_count(const struct parked *parked); // letters
size_t parked_keys(const struct parked *parked);
size_t parked_bytes(const struct parked *parked);
bool parked_is_full(const struct parked *parked);

// Grows whenever a key is parked no more: deadlines put off because of it may run again.
uint64_t parked_freed(const struct parked *parked);

// True when anything of the key is parked, or called again without an outcome.
bool parked_has(const struct parked *parked, const void *key, size_t key_len);

// True when an input of the key at this place has to wait: something before it waits.
bool parked_holds(const struct parked *parked, const void *key, size_t key_len,
                  struct parked_at at);

// Adds a copy of place, key, value and trace; one that is known stays as it is.
void parked_add(struct parked *parked, const void *key, size_t key_len,
                const struct parked_letter *letter);

// The first letter of the key that waits, and is not called; NULL if there is none.
struct parked_letter *parked_first(const struct parked *parked, const void *key, size_t key_len);

// The last letter of all keys; NULL if there is none.
const struct parked_letter *parked_last(const struct parked *parked);

// NULL: no such letter.
struct parked_letter *parked_find(const struct parked *parked, const void *key, size_t key_len,
                                  struct parked_at at);

// A call is made for the letter, on behalf of this retry.
void parked_call(struct parked *parked, const void *key, size_t key_len,
                 struct parked_letter *letter, uint64_t retry, const struct id *retry_id);

// A called letter and its key (borrowed until it is settled), by serial; NULL if it is not called.
struct parked_letter *parked_called(const struct parked *parked, uint64_t serial,
                                    struct view *ret_key);

// True while letters are called on behalf of this retry.
bool parked_is_calling(const struct parked *parked, uint64_t retry);

// The letter waits no more. It stays readable until the next commit or undo.
void parked_settle(struct parked *parked, const void *key, size_t key_len,
                   struct parked_letter *letter);

// What changed since the last commit becomes final, or is put back; no letter is called after undo.
void parked_commit(struct parked *parked);
void parked_undo(struct parked *parked);

#endif
