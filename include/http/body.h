// SPDX-License-Identifier: Apache-2.0
//
// Strict JSON in, with errors that name the field: duplicate keys refused, nesting bounded before
// jansson sees it, no NUL, no trailing bytes. A struct body_part is an object of the body and the
// name it goes by; its checks add to the problem and go on, so that a caller learns everything that
// is wrong at once (up to PROBLEM_ERRORS_MAX).
#ifndef ORDERLOG_HTTP_BODY_H
#define ORDERLOG_HTTP_BODY_H

#include "http/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BODY_DEPTH_MAX = 16 };

// *ret is owned by the caller (json_decref). False: the problem is set.
bool body_parse(const char *text, size_t length, json_t **ret, struct problem *problem);

// An object in the body and the name it goes by: "" for the root, "lines[3]" within.
struct body_part {
    const json_t *object; // borrowed
    struct problem *problem;
    char path[PROBLEM_FIELD_MAX];
};

// The root must be an object: false otherwise.
bool body_part_root(struct body_part *part, const json_t *root, struct problem *problem);

// Every key of the object must be one of the NULL-terminated names.
void body_part_allow(const struct body_part *part, const char *const *names);

bool body_part_has(const struct body_part *part, const char *name); // present and not null

// The checks return true when the field is there and valid, and only then set ret_value. Absent is
// an error only when required. type is the problem of a value out of range (PROBLEM_INVALID_VALUE,
// PROBLEM_INVALID_QUANTITY, …). Lengths are in bytes of UTF-8. Control characters are refused.
bool body_part_string(const struct body_part *part, const char *name, bool required,
                      size_t bytes_min, size_t bytes_max, enum problem_type type,
                      const char **ret_value, size_t *ret_length);
bool body_part_int(const struct body_part *part, const char *name, bool required, int64_t min,
                   int64_t max, enum problem_type type, int64_t *ret_value);
bool body_part_bool(const struct body_part *part, const char *name, bool required, bool *ret_value);
bool body_part_array(const struct body_part *part, const char *name, bool required,
                     const json_t **ret_array);

// Steps into item `index` of the array field `name`; it must be an object: false otherwise.
bool body_part_item(const struct body_part *part, const char *name, const json_t *array,
                    size_t index, struct body_part *ret_item);

// Adds an error about the field: path and name are joined.
void body_part_refuse(const struct body_part *part, const char *name, enum problem_type type,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
