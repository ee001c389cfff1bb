// SPDX-License-Identifier: Apache-2.0
//
// Checks that know where they are.
#include "http/body.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum problem_type problem_of(enum jsonin_fault fault) {
    switch (fault) {
    case JSONIN_BAD_UTF8:
        return PROBLEM_INVALID_UTF8;
    case JSONIN_DUPLICATE:
        return PROBLEM_DUPLICATE_KEY;
    case JSONIN_TOO_DEEP:
        return PROBLEM_TOO_DEEP;
    case JSONIN_NO_MEMORY:
        return PROBLEM_UNAVAILABLE;
    case JSONIN_MALFORMED:
        return PROBLEM_MALFORMED_JSON;
    }
    return PROBLEM_INTERNAL;
}

bool body_parse(struct arena *arena, const char *text, size_t length, const struct jsonin **ret,
                struct problem *problem) {
    struct jsonin_error error;
    *ret = jsonin_read(arena, text, length, &error);
    return *ret || problem_set(problem, problem_of(error.fault), "line %d, column %d: %s",
                               error.line, error.column, error.why);
}

static const char *type_name(const struct jsonin *value) {
    switch (value->kind) {
    case JSONIN_OBJECT:
        return "an object";
    case JSONIN_ARRAY:
        return "an array";
    case JSONIN_STRING:
        return "a string";
    case JSONIN_INTEGER:
        return "a whole number";
    case JSONIN_REAL:
        return "a number with a fraction or exponent";
    case JSONIN_TRUE:
    case JSONIN_FALSE:
        return "true or false";
    case JSONIN_NULL:
        return "null";
    }
    return "something else";
}

// A name that is too long is cut: it is there to be read by people.
static void join(const struct body_part *part, const char *name, char field[PROBLEM_FIELD_MAX]) {
    const char *point = name[0] ? "." : "";
    int length;
    if (!part->list)
        length = snprintf(field, PROBLEM_FIELD_MAX, "%s", name);
    else if (part->index == BODY_NO_INDEX)
        length = snprintf(field, PROBLEM_FIELD_MAX, "%s%s%s", part->list, point, name);
    else
        length =
            snprintf(field, PROBLEM_FIELD_MAX, "%s[%zu]%s%s", part->list, part->index, point, name);
    if (length < 0)
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
                       const struct jsonin *value) {
    body_part_refuse(part, name, PROBLEM_WRONG_TYPE, "is to be %s, not %s", wanted,
                     type_name(value));
    return false;
}

// The field, or NULL after having said that it is missing. An explicit null counts as absent.
static const struct jsonin *find(const struct body_part *part, const char *name, bool required) {
    const struct jsonin *value = jsonin_member(part->object, name);
    if (value && value->kind != JSONIN_NULL)
        return value;
    if (required)
        body_part_refuse(part, name, PROBLEM_MISSING_FIELD, "is missing");
    return NULL;
}

bool body_part_root(struct body_part *part, const struct jsonin *root, struct problem *problem) {
    *part = (struct body_part){.object = root, .problem = problem};
    return root->kind == JSONIN_OBJECT || wrong_type(part, "", "an object", root);
}

void body_part_allow(const struct body_part *part, const char *const *names) {
    for (const struct jsonin *member = part->object->first; member; member = member->next) {
        const char *const *name = names;
        while (*name && (**name != *member->name || strcmp(*name, member->name) != 0))
            name++;
        if (!*name)
            body_part_refuse(part, member->name, PROBLEM_UNKNOWN_FIELD,
                             "is not a field of this request");
    }
}

bool body_part_has(const struct body_part *part, const char *name) {
    const struct jsonin *value = jsonin_member(part->object, name);
    return value && value->kind != JSONIN_NULL;
}

static bool has_control(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return true;
    }
    return false;
}

size_t body_characters(const char *text, size_t bytes) {
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

bool body_part_string(const struct body_part *part, const char *name, bool required,
                      size_t length_min, size_t length_max, enum problem_type type,
                      const char **ret_value, size_t *ret_bytes) {
    const struct jsonin *value = find(part, name, required);
    if (!value)
        return false;
    if (value->kind != JSONIN_STRING)
        return wrong_type(part, name, "a string", value);
    const char *text = value->text;
    size_t length = body_characters(text, value->length);
    if (length < length_min || length > length_max) {
        body_part_refuse(part, name, type, "is to have from %zu to %zu characters, not %zu",
                         length_min, length_max, length);
        return false;
    }
    if (has_control(text, value->length)) {
        body_part_refuse(part, name, type, "has a control character");
        return false;
    }
    *ret_value = text;
    *ret_bytes = value->length;
    return true;
}

bool body_part_int(const struct body_part *part, const char *name, bool required, int64_t min,
                   int64_t max, enum problem_type type, int64_t *ret_value) {
    const struct jsonin *value = find(part, name, required);
    if (!value)
        return false;
    if (value->kind != JSONIN_INTEGER)
        return wrong_type(part, name, "a whole number", value);
    int64_t number = value->integer;
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
    const struct jsonin *value = find(part, name, required);
    if (!value)
        return false;
    if (value->kind != JSONIN_TRUE && value->kind != JSONIN_FALSE)
        return wrong_type(part, name, "true or false", value);
    *ret_value = value->kind == JSONIN_TRUE;
    return true;
}

bool body_part_array(const struct body_part *part, const char *name, bool required,
                     const struct jsonin **ret_array) {
    const struct jsonin *value = find(part, name, required);
    if (!value)
        return false;
    if (value->kind != JSONIN_ARRAY)
        return wrong_type(part, name, "an array", value);
    *ret_array = value;
    return true;
}

bool body_part_item(const struct body_part *root, const char *name, const struct jsonin *item,
                    size_t index, struct body_part *ret_item) {
    assert(!root->list);
    *ret_item =
        (struct body_part){.object = item, .problem = root->problem, .list = name, .index = index};
    return item->kind == JSONIN_OBJECT || wrong_type(ret_item, "", "an object", item);
}

bool body_part_object(const struct body_part *root, const char *name, bool required,
                      struct body_part *ret_object) {
    assert(!root->list);
    const struct jsonin *value = find(root, name, required);
    if (!value)
        return false;
    *ret_object = (struct body_part){
        .object = value, .problem = root->problem, .list = name, .index = BODY_NO_INDEX};
    return value->kind == JSONIN_OBJECT || wrong_type(ret_object, "", "an object", value);
}
