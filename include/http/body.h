// SPDX-License-Identifier: Apache-2.0
//
// Bodies as JSON, with errors that name the field. A struct body_part is an object of the body and
// the name it goes by; its checks add to the problem and go on, so that a caller learns everything
// that is wrong at once (up to PROBLEM_ERRORS_MAX).
#ifndef ORDERLOG_HTTP_BODY_H
#define ORDERLOG_HTTP_BODY_H

#include "http/jsonin.h"
#include "http/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// *ret lives in the arena. False: the problem is set.
bool body_parse(struct arena *arena, const char *text, size_t length, const struct jsonin **ret,
                struct problem *problem);

// An object in the body and the name it goes by: "" for the root, "lines[3]" within, which is put
// together only when there is something to say about it.
struct body_part {
    const struct jsonin *object; // borrowed
    struct problem *problem;
    const char *list; // borrowed; NULL: the root
    size_t index;     // in the list; BODY_NO_INDEX: `list` is no list, but the field itself
};

#define BODY_NO_INDEX SIZE_MAX

// The root must be an object: false otherwise.
bool body_part_root(struct body_part *part, const struct jsonin *root, struct problem *problem);

// Every key of the object must be one of the NULL-terminated names.
void body_part_allow(const struct body_part *part, const char *const *names);

// Of valid UTF-8.
size_t body_characters(const char *text, size_t bytes);

bool body_part_has(const struct body_part *part, const char *name); // present and not null

// The checks return true when the field is there and valid, and only then set ret_value. Absent is
// an error only when required. type is the problem of a value out of range (PROBLEM_INVALID_VALUE,
// PROBLEM_INVALID_QUANTITY, …). Lengths are in characters. Control characters are refused.
bool body_part_string(const struct body_part *part, const char *name, bool required,
                      size_t length_min, size_t length_max, enum problem_type type,
                      const char **ret_value, size_t *ret_bytes);
bool body_part_int(const struct body_part *part, const char *name, bool required, int64_t min,
                   int64_t max, enum problem_type type, int64_t *ret_value);
bool body_part_bool(const struct body_part *part, const char *name, bool required, bool *ret_value);
bool body_part_array(const struct body_part *part, const char *name, bool required,
                     const struct jsonin **ret_array);

// Steps into an item of the root's array field `name`, the one at `index`; it must be an object:
// false otherwise.
bool body_part_item(const struct body_part *root, const char *name, const struct jsonin *item,
                    size_t index, struct body_part *ret_item);

// Steps into the root's field `name`. False: it is absent, or no object.
bool body_part_object(const struct body_part *root, const char *name, bool required,
                      struct body_part *ret_object);

// Adds an error about the field: path and name are joined.
void body_part_refuse(const struct body_part *part, const char *name, enum problem_type type,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
