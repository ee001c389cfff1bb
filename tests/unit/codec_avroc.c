// SPDX-License-Identifier: Apache-2.0
//
// By field index, since the description and the schema have the same order.
#include "codec_avroc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec_cases.h"

static void fill(const struct record_type *type, const void *record, avro_value_t *value);

static void must(int code) {
    assert(code == 0);
}

static void set_text(avro_value_t *value, const char *text, size_t len) {
    char *copy = malloc(len + 1); // avro-c wants a terminated string, and counts the terminator
    assert(copy);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    must(avro_value_set_string_len(value, copy, len + 1));
    free(copy);
}

static void set_value(const struct field_type *field, const void *from, avro_value_t *value) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        must(avro_value_set_boolean(value, *(const bool *)from));
        return;
    case FIELD_INT:
        must(avro_value_set_int(value, *(const int32_t *)from));
        return;
    case FIELD_LONG:
    case FIELD_TIME:
        must(avro_value_set_long(value, *(const int64_t *)from));
        return;
    case FIELD_STRING: {
        const struct view *view = from;
        set_text(value, view->ptr, view->len);
        return;
    }
    case FIELD_BYTES: {
        const struct view *view = from;
        must(avro_value_set_bytes(value, (void *)(uintptr_t)view->ptr, view->len));
        return;
    }
    case FIELD_UUID:
        set_text(value, id_text(from).text, ID_TEXT_LEN);
        return;
    case FIELD_ENUM:
        must(avro_value_set_enum(value, *(const int *)from));
        return;
    case FIELD_RECORD:
        fill(field->record, from, value);
        return;
    }
}

static void fill(const struct record_type *type, const void *record, avro_value_t *value) {
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct field_type *field = &type->fields[i];
        const char *from = (const char *)record + field->offset;
        avro_value_t child, branch;
        must(avro_value_get_by_index(value, i, &child, NULL));
        if (field->is_array) {
            uint32_t count = *(const uint32_t *)((const char *)record + field->aux_offset);
            const char *items = *(const char *const *)from;
            for (uint32_t j = 0; j < count; j++) {
                must(avro_value_append(&child, &branch, NULL));
                set_value(field, items + j * codec_value_size(field), &branch);
            }
        } else if (field->is_nullable) {
            bool is_null = codec_field_is_null(field, record);
            must(avro_value_set_branch(&child, !is_null, &branch));
            if (is_null)
                must(avro_value_set_null(&branch));
            else
                set_value(field, from, &branch);
        } else {
            set_value(field, from, &child);
        }
    }
}

void codec_avroc_set(const struct record_type *type, const void *record, avro_value_t *value) {
    must(avro_value_reset(value));
    fill(type, record, value);
}
