// SPDX-License-Identifier: Apache-2.0
//
// Defaults as they stand in a schema, encoded once. A default of a union is of the first branch
// that it fits.
#include "resolution_plan.h"

#include <stdlib.h>
#include <string.h>

#include "event/codec_inline.h"

enum { DEFAULT_BYTES_MAX = 1 << 16, DEPTH_MAX = 32 };

struct sink {
    uint8_t bytes[DEFAULT_BYTES_MAX];
    size_t len;
};

static bool put(struct sink *sink, const void *bytes, size_t len) {
    if (len > sizeof(sink->bytes) - sink->len)
        return false;
    if (len > 0)
        memcpy(sink->bytes + sink->len, bytes, len);
    sink->len += len;
    return true;
}

static bool put_number(struct sink *sink, int64_t value) {
    uint8_t bytes[10];
    return put(sink, bytes, (size_t)(codec_put_long(bytes, value) - bytes));
}

static bool put_value(struct sink *sink, const struct avro_node *node, const json_t *value,
                      int depth);

// "\u00ff" stands for the byte 0xff.
static bool put_bytes(struct sink *sink, const json_t *value) {
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    uint8_t *bytes = malloc(len + 1);
    size_t count = 0;
    bool good = bytes != NULL;
    for (size_t i = 0; good && i < len; count++) {
        unsigned char lead = (unsigned char)text[i++];
        if (lead >= 0x80 && i < len)
            lead = (unsigned char)((lead & 0x1f) << 6 | ((unsigned char)text[i++] & 0x3f));
        good = (unsigned char)text[i - 1] < 0x80 || (unsigned char)text[i - 2] <= 0xc3;
        bytes[count] = lead;
    }
    good = good && put_number(sink, (int64_t)count) && put(sink, bytes, count);
    free(bytes);
    return good;
}

static bool put_symbol(struct sink *sink, const struct avro_node *node, const json_t *value) {
    for (size_t i = 0; json_is_string(value) && i < node->count; i++)
        if (strcmp(node->names[i], json_string_value(value)) == 0)
            return put_number(sink, (int64_t)i);
    return false;
}

static bool put_items(struct sink *sink, const struct avro_node *node, const json_t *value,
                      int depth) {
    size_t count = json_array_size(value);
    if (!json_is_array(value) || (count > 0 && !put_number(sink, (int64_t)count)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!put_value(sink, node->children[0], json_array_get(value, i), depth))
            return false;
    return put_number(sink, 0);
}

static bool put_fields(struct sink *sink, const struct avro_node *node, const json_t *value,
                       int depth) {
    if (!json_is_object(value))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        const json_t *field = json_object_get(value, node->names[i]);
        if (!field)
            field = json_object_get(node->fields[i], "default");
        if (!field || !put_value(sink, node->children[i], field, depth))
            return false;
    }
    return true;
}

static bool put_branch(struct sink *sink, const struct avro_node *node, const json_t *value,
                       int depth) {
    size_t before = sink->len;
    for (size_t i = 0; i < node->count; i++) {
        if (put_number(sink, (int64_t)i) && put_value(sink, node->children[i], value, depth))
            return true;
        sink->len = before;
    }
    return false;
}

static bool put_value(struct sink *sink, const struct avro_node *node, const json_t *value,
                      int depth) {
    if (depth == DEPTH_MAX)
        return false;
    json_int_t number = json_integer_value(value);
    switch (node->kind) {
    case AVRO_NULL:
        return json_is_null(value);
    case AVRO_BOOLEAN:
        return json_is_boolean(value) && put(sink, &(uint8_t){json_is_true(value)}, 1);
    case AVRO_INT:
        return json_is_integer(value) && number >= INT32_MIN && number <= INT32_MAX &&
               put_number(sink, number);
    case AVRO_LONG:
        return json_is_integer(value) && put_number(sink, number);
    case AVRO_STRING:
        return json_is_string(value) && put_number(sink, (int64_t)json_string_length(value)) &&
               put(sink, json_string_value(value), json_string_length(value));
    case AVRO_BYTES:
        return json_is_string(value) && put_bytes(sink, value);
    case AVRO_ENUM:
        return put_symbol(sink, node, value);
    case AVRO_ARRAY:
        return put_items(sink, node, value, depth + 1);
    case AVRO_RECORD:
        return put_fields(sink, node, value, depth + 1);
    case AVRO_UNION:
        return put_branch(sink, node, value, depth + 1);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
    case AVRO_FIXED:
    case AVRO_MAP:
        break; // none of our schemas has them
    }
    return false;
}

bool plan_default_encode(const struct avro_node *node, const json_t *value,
                         struct plan_default *ret) {
    struct sink *sink = malloc(sizeof(*sink));
    if (!sink)
        return false;
    sink->len = 0;
    bool good = put_value(sink, node, value, 0);
    ret->len = sink->len;
    ret->bytes = good ? malloc(sink->len + 1) : NULL;
    if (ret->bytes)
        memcpy(ret->bytes, sink->bytes, sink->len);
    free(sink);
    return ret->bytes != NULL;
}
