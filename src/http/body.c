// SPDX-License-Identifier: Apache-2.0
//
// jansson made strict, and checks that know where they are. The nesting is counted before jansson
// parses, because jansson builds (and later frees) by recursion.
#include "http/body.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Deepest nesting of brackets outside strings. The text need not be valid JSON.
static int nesting(const char *text, size_t length) {
    int depth = 0;
    int deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return deepest;
}

static enum problem_type problem_of(enum json_error_code code) {
    switch (code) {
    case json_error_invalid_utf8:
        return PROBLEM_INVALID_UTF8;
    case json_error_duplicate_key:
        return PROBLEM_DUPLICATE_KEY;
    case json_error_stack_overflow:
        return PROBLEM_TOO_DEEP;
    default:
        return PROBLEM_MALFORMED_JSON;
    }
}

bool body_parse(const char *text, size_t length, json_t **ret, struct problem *problem) {
    if (length == 0)
        return problem_set(problem, PROBLEM_MALFORMED_JSON, "the body is empty");
    if (nesting(text, length) > BODY_DEPTH_MAX)
        return problem_set(problem, PROBLEM_TOO_DEEP, "nesting is at most %d deep", BODY_DEPTH_MAX);
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return problem_set(problem, problem_of(json_error_code(&error)), "line %d, column %d: %s",
                           error.line, error.column, error.text);
    *ret = root;
    return true;
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static void join(const struct body_part *part, const char *name, char field[PROBLEM_FIELD_MAX]) {
    bool both = part->path[0] && name[0];
    // A name that is too long is cut: it is there to be read by people.
    if (snprintf(field, PROBLEM_FIELD_MAX, "%s%s%s", part->path, both ? "." : "", name) < 0)
        field[0] = '\0';
}

void body_part_refuse(const struct body_part *part, const char *name, enum problem_type type,
                      const char *fmt, ...) {
    char field[PROBLEM_FIELD_MAX];
    char detail[PROBLEM_DETAIL_MAX];
    join(part, name, field);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    (void)problem_add(part->problem, type, field, "%s", detail);
}

static bool wrong_type(const struct body_part *part, const char *name, const char *wanted,
                       const json_t *value) {
    body_part_refuse(part, name, PROBLEM_WRONG_TYPE, "is to be %s, not %s", wanted,
                     type_name(value));
    return false;
}

// The field, or NULL after having said that it is missing. An explicit null counts as absent.
static const json_t *find(const struct body_part *part, const char *name, bool required) {
    const json_t *value = json_object_get(part->object, name);
    if (value && !json_is_null(value))
        return value;
    if (required)
        body_part_refuse(part, name, PROBLEM_MISSING_FIELD, "is missing");
    return NULL;
}

bool body_part_root(struct body_part *part, const json_t *root, struct problem *problem) {
    *part = (struct body_part){.object = root, .problem = problem};
    return json_is_object(root) || wrong_type(part, "", "an object", root);
}

void body_part_allow(const struct body_part *part, const char *const *names) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)part->object, key, value) {
        const char *const *name = names;
        while (*name && strcmp(*name, key) != 0)
            name++;
        if (!*name)
            body_part_refuse(part, key, PROBLEM_UNKNOWN_FIELD, "is not a field of this request");
    }
}

bool body_part_has(const struct body_part *part, const char *name) {
    const json_t *value = json_object_get(part->object, name);
    return value && !json_is_null(value);
}

static bool has_control(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return true;
    }
    return false;
}

bool body_part_string(const struct body_part *part, const char *name, bool required,
                      size_t bytes_min, size_t bytes_max, enum problem_type type,
                      const char **ret_value, size_t *ret_length) {
    const json_t *value = find(part, name, required);
    if (!value)
        return false;
    if (!json_is_string(value))
        return wrong_type(part, name, "a string", value);
    size_t length = json_string_length(value);
    const char *text = json_string_value(value);
    if (length < bytes_min || length > bytes_max) {
        body_part_refuse(part, name, type, "is to have from %zu to %zu bytes, not %zu", bytes_min,
                         bytes_max, length);
        return false;
    }
    if (has_control(text, length)) {
        body_part_refuse(part, name, type, "has a control character");
        return false;
    }
    *ret_value = text;
    *ret_length = length;
    return true;
}

bool body_part_int(const struct body_part *part, const char *name, bool required, int64_t min,
                   int64_t max, enum problem_type type, int64_t *ret_value) {
    const json_t *value = find(part, name, required);
    if (!value)
        return false;
    if (!json_is_integer(value))
        return wrong_type(part, name, "a whole number", value);
    int64_t number = json_integer_value(value);
    if (number < min || number > max) {
        body_part_refuse(part, name, type, "is to be from %" PRId64 " to %" PRId64 ", not %" PRId64,
                         min, max, number);
        return false;
    }
    *ret_value = number;
    return true;
}

bool body_part_bool(const struct body_part *part, const char *name, bool required,
                    bool *ret_value) {
    const json_t *value = find(part, name, required);
    if (!value)
        return false;
    if (!json_is_boolean(value))
        return wrong_type(part, name, "true or false", value);
    *ret_value = json_is_true(value);
    return true;
}

bool body_part_array(const struct body_part *part, const char *name, bool required,
                     const json_t **ret_array) {
    const json_t *value = find(part, name, required);
    if (!value)
        return false;
    if (!json_is_array(value))
        return wrong_type(part, name, "an array", value);
    *ret_array = value;
    return true;
}

bool body_part_item(const struct body_part *part, const char *name, const json_t *array,
                    size_t index, struct body_part *ret_item) {
    const json_t *value = json_array_get(array, index);
    char item[PROBLEM_FIELD_MAX];
    (void)snprintf(item, sizeof(item), "%s[%zu]", name, index);
    if (!json_is_object(value))
        return wrong_type(part, item, "an object", value);
    *ret_item = (struct body_part){.object = value, .problem = part->problem};
    join(part, item, ret_item->path);
    return true;
}
