// SPDX-License-Identifier: Apache-2.0
//
// Makes a read model anew from offset 0 beside the live one, compares, and swaps, while projectors
// and reads go on. The next generation lives in the schema rebuild_NAME until then.
//
//   tables by NAME/table*.sql ─▶ the log up to where the live one is, again and again, until little
//   is left ─▶ lock the live one's offsets: it stands still ─▶ the rest ─▶ offsets equal? ─▶
//   digests (NAME/digest.sql) equal, or a difference accepted? ─▶ swap, offsets get the next
//   generation
//
// The live one stands still for as long as comparing takes; its projectors wait, or try again.
// Reads wait for the swap, milliseconds. One process at a time rebuilds a read model.
#ifndef ORDERLOG_STORE_REBUILD_H
#define ORDERLOG_STORE_REBUILD_H

#include <stdbool.h>
#include <stdio.h>

#include "event/schema_ids.h"
#include "service/config.h"
#include "service/error.h"
#include "store/projection_files.h"

struct rebuild_options {
    const struct config *config;
    const struct schema_ids *ids; // with the topic's schemas
    const struct projection_file *files;
    size_t files_count;
    const char *name;
    bool accept; // swap although the generations differ
    FILE *report;
};

enum rebuild_result {
    REBUILD_SWAPPED,
    REBUILD_DIFFERS, // nothing was changed; the report says what differs
    REBUILD_FAILED,  // nothing was changed; err says why
};

enum rebuild_result rebuild_read_model(const struct rebuild_options *options, struct error *err);

#endif
