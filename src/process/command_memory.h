// SPDX-License-Identifier: Apache-2.0
//
// The commands that had their outcome in one partition, by key: a fold of its events like all soft
// state. Bounded twice: by the window and by a number, above which the oldest are forgotten. Both
// are judged by the times of the events and by nothing else, so that every fold of the same events
// forgets the same. One thread.
#ifndef ORDERLOG_PROCESS_COMMAND_MEMORY_H
#define ORDERLOG_PROCESS_COMMAND_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "domain/remembered.h"
#include "stream/snapshot.h"

struct command_memory;

struct command_memory *command_memory_new(int64_t window_us, size_t commands_max);
void command_memory_free(struct command_memory *memory); // NULL is fine

// A copy of what is remembered of the key; all zero: nothing.
struct remembered_command command_memory_get(const struct command_memory *memory,
                                             const struct id *key_id);

// Keeps what the copy became; nothing if it did not change, or holds nothing.
void command_memory_put(struct command_memory *memory, const struct remembered_command *remembered);

// What changed since the last commit is final, or put back. Committing forgets what is over.
void command_memory_commit(struct command_memory *memory);
void command_memory_undo(struct command_memory *memory);

// Snapshots: see stream/role.h. take writes what changed and is of the pass, at most *max rows,
// which it reduces.
bool command_memory_is_key(const void *key, size_t key_len);
bool command_memory_restore(struct command_memory *memory, const struct snapshot_row *row,
                            struct error *err);
void command_memory_restored(struct command_memory *memory, bool usable);
size_t command_memory_changed(const struct command_memory *memory);
void command_memory_begin_pass(struct command_memory *memory);
bool command_memory_take(struct command_memory *memory, size_t *max,
                         const struct snapshot_sink *sink, struct error *err);
bool command_memory_rows(const struct command_memory *memory, const struct snapshot_sink *sink,
                         struct error *err);

size_t command_memory_count(const struct command_memory *memory);

#endif
