// SPDX-License-Identifier: Apache-2.0
//
// A table by key and a heap by time. A key that was used anew after its window has an outdated
// entry in the heap: the table's time says so.
#include "command_memory.h"

#include "stream/soft_table.h"
#include "stream/timers.h"

#include <assert.h>
#include <stdlib.h>

enum { FORGET_MAX = 8192 }; // per commit: more than one transaction adds

struct entry {
    struct id command_id;
    int64_t at_us;
};

struct command_memory {
    struct soft_table *table; // key id -> struct entry
    struct timers oldest;
    int64_t newest_us;
    int64_t window_us;
    size_t commands_max;
};

struct command_memory *command_memory_new(int64_t window_us, size_t commands_max) {
    struct command_memory *memory = calloc(1, sizeof(*memory));
    assert(memory);
    memory->table = soft_table_new();
    memory->newest_us = INT64_MIN;
    memory->window_us = window_us;
    memory->commands_max = commands_max;
    return memory;
}

void command_memory_free(struct command_memory *memory) {
    if (!memory)
        return;
    soft_table_free(memory->table);
    timers_done(&memory->oldest);
    free(memory);
}

struct remembered_command command_memory_get(const struct command_memory *memory,
                                             const struct id *key_id) {
    const struct entry *entry = soft_table_get(memory->table, key_id, sizeof(*key_id), NULL);
    if (!entry)
        return (struct remembered_command){0};
    return (struct remembered_command){
        .key_id = *key_id, .command_id = entry->command_id, .at_us = entry->at_us};
}

void command_memory_put(struct command_memory *memory,
                        const struct remembered_command *remembered) {
    if (id_is_nil(&remembered->key_id))
        return;
    const struct remembered_command known = command_memory_get(memory, &remembered->key_id);
    if (id_equal(&known.command_id, &remembered->command_id) && known.at_us == remembered->at_us)
        return;
    struct entry *entry = soft_table_put(memory->table, &remembered->key_id,
                                         sizeof(remembered->key_id), sizeof(*entry));
    *entry = (struct entry){.command_id = remembered->command_id, .at_us = remembered->at_us};
    timers_push(&memory->oldest, remembered->at_us, &remembered->key_id);
    if (remembered->at_us > memory->newest_us)
        memory->newest_us = remembered->at_us;
}

// Is the oldest one over?
static bool is_over(const struct command_memory *memory, const struct timer *oldest) {
    return soft_table_count(memory->table) > memory->commands_max ||
           memory->newest_us - oldest->deadline_us > memory->window_us;
}

void command_memory_commit(struct command_memory *memory) {
    soft_table_commit(memory->table);
    const struct timer *oldest;
    for (int i = 0;
         i < FORGET_MAX && (oldest = timers_top(&memory->oldest)) && is_over(memory, oldest); i++) {
        struct timer over = *oldest;
        timers_pop(&memory->oldest);
        const struct entry *entry =
            soft_table_get(memory->table, &over.key, sizeof(over.key), NULL);
        if (entry && entry->at_us == over.deadline_us)
            soft_table_remove(memory->table, &over.key, sizeof(over.key));
    }
    soft_table_commit(memory->table);
}

void command_memory_undo(struct command_memory *memory) {
    soft_table_undo(memory->table, NULL, NULL);
}

size_t command_memory_count(const struct command_memory *memory) {
    return soft_table_count(memory->table);
}
