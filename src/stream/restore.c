// SPDX-License-Identifier: Apache-2.0
#include "restore.h"

#include "event/message.h"
#include "log_span.h"
#include "service/log.h"
#include "service/spans.h"
#include "stream/snapshot.h"
#include "stream/trace_headers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum takeover_result restore_bounds(const struct takeover *takeover, struct restore *restore,
                                    struct error *err) {
    if (!takeover->role->restore)
        return TAKEOVER_DONE;
    return log_span_bounds(takeover, domains[takeover->role->domain].state, restore->partition->id,
                           &restore->state_low, &restore->state_end, err);
}

static bool is_position(const struct snapshot_row *row) {
    return row->key_len == strlen(SNAPSHOT_POSITION_KEY) &&
           memcmp(row->key, SNAPSHOT_POSITION_KEY, row->key_len) == 0;
}

static bool take_row(const struct takeover *takeover, struct restore *restore,
                     const struct snapshot_row *row, struct error *err) {
    if (!is_position(row))
        return takeover->role->restore(takeover->role->context, restore->partition->state, row,
                                       err);
    if (row->type != RECORD_SNAPSHOT_POSITION)
        return error_set(err, DISP_POISON, 0, "no position of snapshots");
    restore->position = *(const struct snapshot_position *)row->body;
    // Whoever begins without usable rows writes them all before the next position: what lies before
    // this one and is older has been replaced, and only waits to be compacted away.
    if (restore->position.format == SNAPSHOT_FORMAT)
        restore->outdated = false;
    return true;
}

// What is no row of ours cannot have been written by a worker: it is named and skipped.
static void load(void *context, struct log_span *span, const struct log_span_record *record) {
    const struct takeover *takeover = context;
    struct restore *restore = span->opaque;
    const struct wire_record *read = &record->read->record;
    struct error err;
    bool good = read->key != NULL || error_set(&err, DISP_POISON, 0, "no key");
    good = good && (!read->value || log_span_is_message(record, &err));
    struct snapshot_row row = {.key = read->key, .key_len = read->key_len};
    row.type = record->message.type;
    row.body = record->message.body;
    if (spans_are_on())
        trace_of_headers(&read->headers, &row.trace);
    if (good && take_row(takeover, restore, &row, &err)) {
        restore->rows++;
        return;
    }
    if (err.what == DISP_ABORT) {
        restore->outdated = true;
        return;
    }
    LOG(ERROR, "foreign record among our snapshots, skipped",
        F_STR("topic", topics[domains[takeover->role->domain].state].name),
        F_INT("partition", span->partition), F_INT("offset", record->read->offset), F_ERR(&err));
}

// A position beyond the events' end belongs to another log; one before their begin leaves a hole.
static void judge(const struct takeover *takeover, struct restore *restore) {
    int64_t offset = restore->position.events_offset;
    restore->usable = !restore->outdated && restore->position.format == SNAPSHOT_FORMAT &&
                      offset >= restore->events_low && offset <= restore->events_end;
    restore->events_from = restore->usable ? offset : restore->events_low;
    if (!restore->usable && (restore->rows > 0 || restore->outdated))
        LOG(WARN, "snapshots cannot be used, all events are folded",
            F_STR("topic", topics[domains[takeover->role->domain].state].name),
            F_INT("partition", restore->partition->id), F_UINT("rows", restore->rows),
            F_INT("position", offset), F_INT("format", restore->position.format));
    takeover->role->restored(takeover->role->context, restore->partition->state, restore->usable);
}

enum takeover_result restore_run(const struct takeover *takeover, struct restore *restores,
                                 size_t count, struct error *err) {
    for (size_t i = 0; i < count; i++) {
        restores[i].position.events_offset = -1;
        restores[i].events_from = restores[i].events_low;
    }
    if (!takeover->role->restore)
        return TAKEOVER_DONE;
    struct log_span *spans = calloc(count + 1, sizeof(*spans));
    assert(spans);
    for (size_t i = 0; i < count; i++)
        spans[i] = (struct log_span){.partition = restores[i].partition->id,
                                     .from = restores[i].state_low,
                                     .end = restores[i].state_end,
                                     .state = restores[i].partition->state,
                                     .opaque = &restores[i]};
    enum takeover_result result = log_span_read(takeover, domains[takeover->role->domain].state,
                                                spans, count, load, (void *)takeover, err);
    free(spans);
    for (size_t i = 0; result == TAKEOVER_DONE && i < count; i++)
        judge(takeover, &restores[i]);
    return result;
}
