// SPDX-License-Identifier: Apache-2.0
//
// A table by key and a heap by time. A key that was used anew after its window has an outdated
// entry in the heap: the table's time says so.
#include "command_memory.h"

#include "stream/soft_table.h"
#include "stream/timers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FORGET_MAX = 8192 }; // per commit: more than one transaction adds

// Of snapshots: '/command/' and the key id as text.
static const char key_prefix[] = "/command/";
enum { PREFIX_LEN = sizeof(key_prefix) - 1, KEY_LEN = PREFIX_LEN + ID_TEXT_LEN };

struct entry {
    struct id command_id;
    int64_t at_us;
};

struct command_memory {
    struct soft_table *table; // key id -> struct entry
    struct timers oldest;
    int64_t newest_us;
    int64_t newest_committed_us;
    int64_t window_us;
    size_t commands_max;
};

struct command_memory *command_memory_new(int64_t window_us, size_t commands_max) {
    struct command_memory *memory = calloc(1, sizeof(*memory));
    assert(memory);
    memory->table = soft_table_new();
    memory->newest_us = memory->newest_committed_us = INT64_MIN;
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

static void forget(struct command_memory *memory, size_t max) {
    soft_table_commit(memory->table);
    memory->newest_committed_us = memory->newest_us;
    const struct timer *oldest;
    for (size_t i = 0; i < max && (oldest = timers_top(&memory->oldest)) && is_over(memory, oldest);
         i++) {
        struct timer over = *oldest;
        timers_pop(&memory->oldest);
        const struct entry *entry =
            soft_table_get(memory->table, &over.key, sizeof(over.key), NULL);
        if (entry && entry->at_us == over.deadline_us)
            soft_table_remove(memory->table, &over.key, sizeof(over.key));
    }
    soft_table_commit(memory->table);
}

void command_memory_commit(struct command_memory *memory) {
    forget(memory, FORGET_MAX);
}

void command_memory_undo(struct command_memory *memory) {
    soft_table_undo(memory->table, NULL, NULL);
    memory->newest_us = memory->newest_committed_us;
}

size_t command_memory_count(const struct command_memory *memory) {
    return soft_table_count(memory->table);
}

// ---- snapshots ---------------------------------------------------------------------------------

bool command_memory_is_key(const void *key, size_t key_len) {
    return key_len == KEY_LEN && memcmp(key, key_prefix, PREFIX_LEN) == 0;
}

bool command_memory_restore(struct command_memory *memory, const struct snapshot_row *row,
                            struct error *err) {
    struct id key_id;
    if (!id_parse((const char *)row->key + PREFIX_LEN, ID_TEXT_LEN, &key_id) ||
        (row->body && row->type != RECORD_COMMAND_SNAPSHOT))
        return error_set(err, DISP_POISON, 0, "no snapshot of a command");
    if (!row->body) {
        soft_table_remove(memory->table, &key_id, sizeof(key_id));
        return true;
    }
    const struct command_snapshot *snapshot = row->body;
    const struct remembered_command remembered = {
        .key_id = key_id, .command_id = snapshot->command_id, .at_us = snapshot->occurred_at};
    command_memory_put(memory, &remembered);
    return true;
}

void command_memory_restored(struct command_memory *memory, bool usable) {
    soft_table_commit(memory->table);
    soft_table_all_stored(memory->table);
    if (!usable) {
        soft_table_remove_all(memory->table);
        timers_done(&memory->oldest);
        memory->newest_us = INT64_MIN;
    }
    forget(memory, SIZE_MAX);
}

size_t command_memory_changed(const struct command_memory *memory) {
    return soft_table_changed(memory->table);
}

void command_memory_begin_pass(struct command_memory *memory) {
    soft_table_begin_pass(memory->table);
}

static bool put_row(const struct snapshot_sink *sink, const struct id *key_id,
                    const struct entry *entry, struct error *err) {
    char key[KEY_LEN];
    memcpy(key, key_prefix, PREFIX_LEN);
    id_format(key_id, key + PREFIX_LEN);
    if (!entry)
        return snapshot_put(sink, key, sizeof(key), RECORD_COUNT, NULL, err);
    const struct command_snapshot snapshot = {
        .key_id = *key_id, .command_id = entry->command_id, .occurred_at = entry->at_us};
    return snapshot_put(sink, key, sizeof(key), RECORD_COMMAND_SNAPSHOT, &snapshot, err);
}

bool command_memory_take(struct command_memory *memory, size_t *max,
                         const struct snapshot_sink *sink, struct error *err) {
    struct soft_change change;
    for (; *max > 0 && soft_table_take_changed(memory->table, &change); (*max)--)
        if (!put_row(sink, change.key, change.block, err))
            return false;
    return true;
}

struct rows {
    const struct snapshot_sink *sink;
    struct error *err;
    bool good;
};

static void visit(void *opaque, const void *key, size_t key_len, const void *block, size_t size) {
    (void)key_len;
    (void)size;
    struct rows *rows = opaque;
    rows->good = rows->good && put_row(rows->sink, key, block, rows->err);
}

bool command_memory_rows(const struct command_memory *memory, const struct snapshot_sink *sink,
                         struct error *err) {
    struct rows rows = {.sink = sink, .err = err, .good = true};
    soft_table_each(memory->table, visit, &rows);
    return rows.good;
}
