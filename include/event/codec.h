// SPDX-License-Identifier: Apache-2.0
//
// Avro binary encoding (specification 1.11) of exactly the records in schemas/: the runtime that
// the generated encoders and decoders call, and the description of each record by which generic
// code (projector, JSON printer, random tests) walks it.
//
// Values in C: string and bytes are views into the message; "uuid" strings are struct id;
// long and timestamp-micros are int64_t; int is int32_t; enums are C enums; arrays are a pointer
// into the arena plus NAME_count. A nullable field ["null", T] is NULL-pointer for string/bytes
// and has_NAME beside the value for every other T.
#ifndef ORDERLOG_EVENT_CODEC_H
#define ORDERLOG_EVENT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/id.h"
#include "service/arena.h"
#include "service/error.h"

struct view {
    const char *ptr; // borrowed; NULL = Avro null where the field is nullable
    uint32_t len;
};

enum {
    CODEC_ARRAY_ITEMS_MAX = 1 << 20,  // per array, whatever the message claims
    CODEC_MESSAGE_BYTES_MAX = 8 << 20 // larger input is refused before it is looked at
};

enum field_kind {
    FIELD_BOOLEAN, // bool
    FIELD_INT,     // int32_t
    FIELD_LONG,    // int64_t
    FIELD_TIME,    // int64_t, timestamp-micros
    FIELD_STRING,  // struct view, UTF-8 checked
    FIELD_BYTES,   // struct view
    FIELD_UUID,    // struct id
    FIELD_ENUM,    // int-sized C enum, bounds-checked
    FIELD_RECORD,  // nested struct
};

struct record_type;

struct field_type {
    const char *name;
    enum field_kind kind; // of the item for an array
    bool is_array;
    bool is_nullable;
    size_t offset;     // of the value, or of the items' pointer
    size_t aux_offset; // of has_NAME (nullable, not view) or NAME_count (array); else 0
    const struct record_type *record; // FIELD_RECORD
    const char *const *symbols;       // FIELD_ENUM
    uint32_t symbols_count;
};

struct record_type {
    const char *name;      // "OrderPlaced"
    const char *full_name; // "orderlog.OrderPlaced"
    size_t struct_size;
    const struct field_type *fields;
    size_t fields_count;
    // NULL for nested records.
    //
    // Encode returns the end of what it wrote; NULL if [at, end) holds less than size_max, or if an
    // array has more items than a decoder accepts. It does not look at the text: who takes strings
    // from outside checks with codec_text_is_valid.
    uint8_t *(*encode)(uint8_t *at, const uint8_t *end, const void *record);
    // Decode consumes all of [at, end) or fails (DISP_POISON) naming the field. Views point into
    // the input, arrays live in the arena; a full arena is DISP_RETRY: reset it and try again, and
    // if it was empty, give up. After a failure the record's content is unspecified.
    bool (*decode)(const uint8_t *at, const uint8_t *end, struct arena *arena, void *ret_record,
                   struct error *err);
    // An upper bound of the encoded size of this value; SIZE_MAX if encode would refuse it.
    size_t (*size_max)(const void *record);
    const char *schema; // the .avsc, byte for byte; NULL for nested records
    size_t schema_len;
};

// Whether the bytes are UTF-8 as Avro strings must be.
bool codec_text_is_valid(const char *text, size_t len);

#endif
