// SPDX-License-Identifier: Apache-2.0
//
// The records of a record batch, format 2, read where they lie. The bytes are a broker's, and
// nothing is believed of them: whatever does not fit makes the batch a broken one. One thread.
#ifndef ORDERLOG_WIRE_RECORDS_H
#define ORDERLOG_WIRE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"
#include "wire/wire_batch.h"
#include "wire/wire_get.h"
#include "wire/wire_unpack.h"

struct wire_batch_head {
    int64_t first_offset; // of the batch as it was written; what is gone by compaction counts
    int64_t last_offset;
    int64_t producer_id;
    int32_t count;
    int compression;
    bool is_transactional;
    bool is_control; // its records are the ends of transactions
    uint32_t checksum;
    struct wire_view checked; // what the checksum is of
    struct wire_view records; // borrowed, as they were sent
};

// The next batch of a partition's bytes, which are gone through by its end. False: there is no
// whole one any more, or, with reader->broken, it is none of this format.
bool wire_batch_head_read(struct wire_reader *reader, struct wire_batch_head *ret);

// Whether its bytes are those that were written. False: DISP_RETRY.
bool wire_batch_is_sound(const struct wire_batch_head *head, struct error *err);

struct wire_read_record {
    int64_t offset;
    struct wire_record record; // views of the batch's bytes
};

struct wire_records {
    struct wire_read_record *items; // owned
    size_t count;
    size_t capacity;
    struct wire_room room; // what they point into
};

void wire_records_done(struct wire_records *records);

// All records of a sound batch, in the order of their offsets, whatever its bytes are used for
// next. False: DISP_RETRY, saying what is wrong with it.
bool wire_records_read(const struct wire_batch_head *head, struct wire_unpacker *unpacker,
                       struct wire_records *ret, struct error *err);

// True when its batch ends an aborted transaction. Of a control batch's record.
bool wire_record_is_abort(const struct wire_record *record);

// The header of that name that stands last; ptr is NULL where there is none.
struct wire_view wire_header_find(const struct wire_headers *headers, const char *name);

#endif
