// SPDX-License-Identifier: Apache-2.0
//
// The text kept with every committed offset of an inbox partition: enough to prove, at take-over,
// that the offset belongs to the events that are in the log.
//
//   v1 at=1234 seq=17 events=4711 new=3 by=9f2c01aa answered=3f
//
// at: the committed offset itself, so that a tool that moves the offset and keeps the text is found
// out. seq: number of this transaction, counted per partition. events: the same-numbered events
// partition was known to be written up to here before the transaction; new: how many events the
// transaction added. So exactly `new` committed events lie at or after `events`: more means that
// the offset was set back, fewer that events were lost. by: which process committed. answered:
// window.h.
#ifndef ORDERLOG_STREAM_OFFSET_METADATA_H
#define ORDERLOG_STREAM_OFFSET_METADATA_H

#include "stream/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OFFSET_METADATA_MAX = 128 + WINDOW_TEXT_MAX };

struct offset_metadata {
    int64_t at;
    uint64_t seq;
    int64_t events;
    int64_t events_new;
    uint32_t by;          // 0: setup
    const char *answered; // into the parsed text; not terminated there
    size_t answered_len;
};

// text is not terminated by the broker's count: len bytes. False: not ours.
bool offset_metadata_parse(const char *text, size_t len, struct offset_metadata *ret);

void offset_metadata_format(const struct offset_metadata *metadata, char text[OFFSET_METADATA_MAX]);

#endif
