// SPDX-License-Identifier: Apache-2.0
//
// Walks a record by its description. Not for hot paths.
#include "event/event_json.h"

#include <stdlib.h>

#include "service/clock.h"

// Years 1000 to 9999: what the format has places for. Other times are shown as numbers.
#define TIME_MIN_US INT64_C(-30610224000000000)
#define TIME_MAX_US INT64_C(253402300799999999)

static json_t *time_json(int64_t us) {
    if (us < TIME_MIN_US || us > TIME_MAX_US)
        return json_integer(us);
    char text[CLOCK_TEXT_SIZE];
    clock_format_us(us, text);
    return json_string(text);
}

static json_t *base64_json(const struct view *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t text_len = ((size_t)bytes->len + 2) / 3 * 4;
    char *text = malloc(text_len + 1);
    if (!text)
        return NULL;
    char *at = text;
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t left = bytes->len - i;
        uint32_t group = (uint32_t)(uint8_t)bytes->ptr[i] << 16;
        if (left > 1)
            group |= (uint32_t)(uint8_t)bytes->ptr[i + 1] << 8;
        if (left > 2)
            group |= (uint8_t)bytes->ptr[i + 2];
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[group & 63] : '=';
    }
    json_t *json = json_stringn(text, text_len);
    free(text);
    return json;
}

static size_t item_size(const struct field_type *field) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return sizeof(bool);
    case FIELD_INT:
        return sizeof(int32_t);
    case FIELD_LONG:
    case FIELD_TIME:
        return sizeof(int64_t);
    case FIELD_STRING:
    case FIELD_BYTES:
        return sizeof(struct view);
    case FIELD_UUID:
        return sizeof(struct id);
    case FIELD_ENUM:
        return sizeof(int);
    case FIELD_RECORD:
        return field->record->struct_size;
    }
    abort();
}

static json_t *value_json(const struct field_type *field, const void *value) {
    switch (field->kind) {
    case FIELD_BOOLEAN:
        return json_boolean(*(const bool *)value);
    case FIELD_INT:
        return json_integer(*(const int32_t *)value);
    case FIELD_LONG:
        return json_integer(*(const int64_t *)value);
    case FIELD_TIME:
        return time_json(*(const int64_t *)value);
    case FIELD_STRING: {
        const struct view *view = value;
        return json_stringn(view->ptr ? view->ptr : "", view->len);
    }
    case FIELD_BYTES:
        return base64_json(value);
    case FIELD_UUID:
        return json_stringn(id_text(value).text, ID_TEXT_LEN);
    case FIELD_ENUM: {
        unsigned symbol = *(const unsigned *)value;
        return symbol < field->symbols_count ? json_string(field->symbols[symbol])
                                             : json_integer(symbol);
    }
    case FIELD_RECORD:
        return event_json(field->record, value);
    }
    abort();
}

static json_t *items_json(const struct field_type *field, const char *record) {
    const char *items = *(const char *const *)(record + field->offset);
    uint32_t count = *(const uint32_t *)(record + field->aux_offset);
    json_t *array = json_array();
    for (uint32_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, value_json(field, items + i * item_size(field))) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static bool is_null(const struct field_type *field, const char *record) {
    if (!field->is_nullable)
        return false;
    if (field->kind == FIELD_STRING || field->kind == FIELD_BYTES)
        return ((const struct view *)(record + field->offset))->ptr == NULL;
    return !*(const bool *)(record + field->aux_offset);
}

json_t *event_json(const struct record_type *type, const void *record) {
    json_t *object = json_object();
    for (size_t i = 0; object && i < type->fields_count; i++) {
        const struct field_type *field = &type->fields[i];
        const char *base = record;
        json_t *value = field->is_array        ? items_json(field, base)
                        : is_null(field, base) ? json_null()
                                               : value_json(field, base + field->offset);
        if (json_object_set_new(object, field->name, value) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
