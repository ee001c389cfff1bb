// SPDX-License-Identifier: Apache-2.0
#include "stream/partition.h"

#include <assert.h>
#include <string.h>

void partition_init(struct partition *partition, int32_t id, bool executor) {
    *partition = (struct partition){.id = id};
    if (executor)
        window_init(&partition->window);
}

void partition_drop(struct partition *partition, const struct role *role) {
    if (partition->state)
        role->partition_free(role->context, partition->state);
    partition->state = NULL;
    parked_free(partition->parked);
    partition->parked = NULL;
    partition->restored = false;
    partition->touched = false;
    partition->generation++;
}

void partition_done(struct partition *partition, const struct role *role) {
    partition_drop(partition, role);
    window_done(&partition->window);
}

bool partition_set_committed(struct partition *partition, int64_t offset, const char *metadata,
                             size_t metadata_len) {
    struct offset_metadata parsed;
    if (!offset_metadata_parse(metadata, metadata_len, &parsed) ||
        parsed.answered_len >= sizeof(partition->committed_answered))
        return false;
    if (parsed.answered_len)
        memcpy(partition->committed_answered, parsed.answered, parsed.answered_len);
    parsed.answered = partition->committed_answered;
    if (partition->window.answered &&
        !window_load(&partition->window, parsed.answered, parsed.answered_len))
        return false;
    partition->committed = parsed;
    partition->committed_offset = offset;
    partition_rewind(partition);
    return true;
}

void partition_rewind(struct partition *partition) {
    partition->generation++;
    partition->touched = false;
    partition->pass.running = false; // the soft state was undone, and its rows are due again
    partition->next_offset = partition->committed_offset;
    partition->window_base = 0;
    if (partition->parked)
        parked_undo(partition->parked);
    if (partition->window.answered) {
        bool loaded = window_load(&partition->window, partition->committed.answered,
                                  partition->committed.answered_len);
        assert(loaded && "what was committed was written by window_text");
    }
}

void partition_stage(struct partition *partition, int64_t events_new, uint32_t by) {
    partition->staged_offset = partition->next_offset;
    partition->staged = (struct offset_metadata){
        .seq = partition->committed.seq + 1,
        .events = partition->committed.events,
        .events_new = partition->committed.events_new + events_new,
        .by = by,
        .answered = partition->staged_answered,
    };
    if (partition->window.answered) {
        uint32_t dropped;
        partition->staged_offset =
            window_advance(&partition->window, partition->next_offset, &dropped);
        partition->window_base += dropped;
        window_text(&partition->window, partition->staged_answered);
        partition->staged.answered_len = strlen(partition->staged_answered);
    }
    partition->staged.at = partition->staged_offset;
}

void partition_commit_staged(struct partition *partition, int64_t events_next) {
    partition->committed_offset = partition->staged_offset;
    partition->committed = partition->staged;
    parked_commit(partition->parked);
    if (partition->staged.answered_len)
        memcpy(partition->committed_answered, partition->staged_answered,
               partition->staged.answered_len);
    partition->committed.answered = partition->committed_answered;
    // What is known to be written need not be counted any more: the next one counts from here.
    if (events_next > partition->committed.events) {
        partition->committed.events = events_next;
        partition->committed.events_new = 0;
    }
    partition->touched = false;
}
