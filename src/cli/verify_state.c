// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of soft state against the events (I11): for every partition that has them, the rows of
// D.state and the events after their position must give what all events give. Both are folded with
// the processors' own code; whether that code is right, the other checks tell.
#include "cli/verify.h"
#include "process/roles.h"
#include "service/strmap.h"
#include "stream/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { COMMIT_EVERY = 1024, ROW_NAME_MAX = 160 };

struct states {
    struct verify *verify;
    const struct role *role;
    struct arena arena; // one record
    int32_t partition;
    void *restored;        // from snapshots and later events
    void *folded;          // from all events
    int64_t events_offset; // the position's; -1: no snapshots that count
    bool outdated;         // there are rows of an older format: none of them counts
};

// ---- reading -----------------------------------------------------------------------------------

static bool take_row(struct states *states, const struct log_record *record) {
    struct snapshot_row row = {.key = record->key, .key_len = record->key_len};
    struct message message = {.type = RECORD_COUNT};
    struct error err;
    arena_reset(&states->arena);
    if (!record->key ||
        (record->value && !message_decode(states->verify->ids, record->value, record->value_len,
                                          &states->arena, &message, &err)))
        return false;
    row.type = message.type;
    row.body = message.body;
    if (row.type != RECORD_SNAPSHOT_POSITION) {
        if (states->role->restore(states->role->context, states->restored, &row, &err))
            return true;
        states->outdated |= err.what == DISP_ABORT;
        return err.what == DISP_ABORT;
    }
    const struct snapshot_position *position = row.body;
    states->events_offset = position->format == SNAPSHOT_FORMAT ? position->events_offset : -1;
    if (states->events_offset >= 0)
        states->outdated = false; // as at a take-over: see restore.c
    return true;
}

// What does not decode or follow is named by the checks of events.
static void fold(struct states *states, int64_t offset, const struct message *message) {
    struct error err;
    const struct role *role = states->role;
    (void)role->fold(role->context, states->folded, message->type, message->body, offset, &err);
    if (offset >= states->events_offset)
        (void)role->fold(role->context, states->restored, message->type, message->body, offset,
                         &err);
    if (offset % COMMIT_EVERY != 0)
        return;
    role->commit(role->context, states->folded);
    role->commit(role->context, states->restored);
}

static bool read_rows(struct states *states, enum topic_id topic, struct error *err) {
    struct verify *verify = states->verify;
    struct log_reader *reader = log_reader_open(verify->config, topic, states->partition, err);
    if (!reader)
        return false;
    struct log_record record;
    enum log_reader_result result;
    while ((result = log_reader_next(reader, 1000, &record, err)) == LOG_READER_RECORD) {
        verify->records[topic]++;
        verify->foreign[topic] += !take_row(states, &record);
    }
    log_reader_close(reader);
    return result == LOG_READER_END;
}

static bool read_events(struct states *states, enum topic_id topic, struct error *err) {
    struct log_reader *reader =
        log_reader_open(states->verify->config, topic, states->partition, err);
    if (!reader)
        return false;
    struct log_record record;
    enum log_reader_result result;
    while ((result = log_reader_next(reader, 1000, &record, err)) == LOG_READER_RECORD) {
        struct message message;
        struct error why;
        arena_reset(&states->arena);
        if (message_decode(states->verify->ids, record.value, record.value_len, &states->arena,
                           &message, &why))
            fold(states, record.offset, &message);
    }
    log_reader_close(reader);
    return result == LOG_READER_END;
}

// ---- comparing ---------------------------------------------------------------------------------

struct digests {
    struct strmap by_key; // uint64_t each
    struct arena arena;   // one row
};

static uint64_t digest_of(struct digests *digests, const struct snapshot_row *row) {
    const struct record_type *type = record_types[row->type];
    size_t size = type->size_max(row->body);
    arena_reset(&digests->arena);
    uint8_t *bytes = arena_alloc(&digests->arena, size);
    const uint8_t *end = bytes ? type->encode(bytes, bytes + size, row->body) : NULL;
    return end ? XXH3_64bits_withSeed(bytes, (size_t)(end - bytes), (uint64_t)row->type) : 0;
}

static bool note(void *opaque, const struct snapshot_row *row, struct error *err) {
    struct digests *digests = opaque;
    uint64_t *digest = strmap_put(&digests->by_key, row->key, row->key_len);
    if (!digest)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    *digest = digest_of(digests, row);
    return true;
}

struct comparison {
    struct states *states;
    struct digests digests; // of what is restored; those that were compared are gone
};

static void violation(struct states *states, const struct snapshot_row *row, const char *what) {
    const int len = (int)(row->key_len < ROW_NAME_MAX ? row->key_len : ROW_NAME_MAX);
    verify_violation(states->verify->report, CHECK_STATE_ROWS, "%s[%d]: %.*s %s",
                     topics[domains[states->role->domain].state].name, states->partition, len,
                     (const char *)row->key, what);
}

static bool compare(void *opaque, const struct snapshot_row *row, struct error *err) {
    (void)err;
    struct comparison *comparison = opaque;
    struct digests *digests = &comparison->digests;
    comparison->states->verify->report->checked[CHECK_STATE_ROWS]++;
    const uint64_t *digest = strmap_find(&digests->by_key, row->key, row->key_len);
    if (!digest)
        violation(comparison->states, row, "is not in the snapshots");
    else if (*digest != digest_of(digests, row))
        violation(comparison->states, row, "differs from what the events say");
    (void)strmap_remove(&digests->by_key, row->key, row->key_len);
    return true;
}

// What was not compared is in the snapshots alone.
static bool left_over(void *opaque, const struct snapshot_row *row, struct error *err) {
    (void)err;
    struct comparison *comparison = opaque;
    if (strmap_find(&comparison->digests.by_key, row->key, row->key_len))
        violation(comparison->states, row, "is in the snapshots, but does not follow from events");
    return true;
}

static bool compare_rows(struct states *states, struct error *err) {
    const struct role *role = states->role;
    role->commit(role->context, states->folded);
    role->commit(role->context, states->restored);
    struct comparison comparison = {.states = states};
    strmap_init(&comparison.digests.by_key, sizeof(uint64_t));
    arena_init(&comparison.digests.arena, 0);
    const struct snapshot_sink noting = {.put = note, .opaque = &comparison.digests};
    const struct snapshot_sink comparing = {.put = compare, .opaque = &comparison};
    const struct snapshot_sink leaving = {.put = left_over, .opaque = &comparison};
    const bool good = role->rows(role->context, states->restored, &noting, err) &&
                      role->rows(role->context, states->folded, &comparing, err) &&
                      role->rows(role->context, states->restored, &leaving, err);
    strmap_done(&comparison.digests.by_key);
    arena_done(&comparison.digests.arena);
    return good;
}

// ---- all partitions ----------------------------------------------------------------------------

static bool verify_partition(struct states *states, struct error *err) {
    const struct role *role = states->role;
    const struct domain_topics *domain = &domains[role->domain];
    states->events_offset = -1;
    states->outdated = false;
    states->restored = role->partition_new(role->context, states->partition);
    states->folded = role->partition_new(role->context, states->partition);
    bool good = read_rows(states, domain->state, err);
    if (good && states->events_offset >= 0 && !states->outdated) {
        role->restored(role->context, states->restored, true);
        good = read_events(states, domain->events, err) && compare_rows(states, err);
    }
    role->partition_free(role->context, states->restored);
    role->partition_free(role->context, states->folded);
    return good;
}

static bool verify_role(struct verify *verify, const struct role *role, struct error *err) {
    struct log_reader *reader =
        log_reader_open(verify->config, domains[role->domain].state, LOG_READER_ALL, err);
    if (!reader)
        return false;
    const int32_t partitions = log_reader_partitions(reader);
    log_reader_close(reader);
    struct states states = {.verify = verify, .role = role};
    arena_init(&states.arena, 0);
    bool good = true;
    for (states.partition = 0; good && states.partition < partitions; states.partition++)
        good = verify_partition(&states, err);
    arena_done(&states.arena);
    return good;
}

bool verify_state(struct verify *verify, struct error *err) {
    struct role *order = order_role_new(verify->config, err);
    struct role *inventory = inventory_role_new(verify->config, err);
    const bool good = order && inventory && verify_role(verify, order, err) &&
                      verify_role(verify, inventory, err);
    order_role_free(order);
    inventory_role_free(inventory);
    return good;
}
