// SPDX-License-Identifier: Apache-2.0
//
// Strict JSON in, with errors that name the field; quick JSON out.
//
// In: jansson with duplicate keys refused, nesting bounded before it parses, no NUL, no trailing
// bytes. A json_walk is where in the body we are; its checks add to the problem and go on, so that
// a caller learns everything that is wrong at once (up to PROBLEM_ERRORS_MAX).
//
// Out: a growing buffer with escaping; nothing else in the program writes JSON by hand.
#ifndef ORDERLOG_HTTP_JSON_H
#define ORDERLOG_HTTP_JSON_H

#include "http/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 16 };

// *ret is owned by the caller (json_decref). False: the problem is set.
bool json_body_parse(const char *text, size_t length, json_t **ret, struct problem *problem);

// An object in the body and the name it goes by: "" for the root, "lines[3]" within.
struct json_walk {
    const json_t *object; // borrowed
    struct problem *problem;
    char path[PROBLEM_FIELD_MAX];
};

// The root must be an object: false otherwise.
bool json_walk_root(struct json_walk *walk, const json_t *root, struct problem *problem);

// Every key of the object must be one of the NULL-terminated names.
void json_walk_allow(const struct json_walk *walk, const char *const *names);

bool json_walk_has(const struct json_walk *walk, const char *name); // present and not null

// The checks return true when the field is there and valid, and only then set ret_value. Absent is
// an error only when required. type is the problem of a value out of range (PROBLEM_INVALID_VALUE,
// PROBLEM_INVALID_QUANTITY, …). Lengths are in bytes of UTF-8. Control characters are refused.
bool json_walk_string(const struct json_walk *walk, const char *name, bool required,
                      size_t bytes_min, size_t bytes_max, enum problem_type type,
                      const char **ret_value, size_t *ret_length);
bool json_walk_int(const struct json_walk *walk, const char *name, bool required, int64_t min,
                   int64_t max, enum problem_type type, int64_t *ret_value);
bool json_walk_bool(const struct json_walk *walk, const char *name, bool required, bool *ret_value);
bool json_walk_array(const struct json_walk *walk, const char *name, bool required,
                     const json_t **ret_array);

// Steps into item `index` of the array field `name`; it must be an object: false otherwise.
bool json_walk_item(const struct json_walk *walk, const char *name, const json_t *array,
                    size_t index, struct json_walk *ret_item);

// Adds an error about the field: path and name are joined.
void json_walk_refuse(const struct json_walk *walk, const char *name, enum problem_type type,
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

// --- out -------------------------------------------------------------------------------------

struct json_out {
    char *bytes; // owned
    size_t length;
    size_t size;
    bool failed; // memory was out: everything after is ignored
    bool comma;
};

void json_out_init(struct json_out *out);
void json_out_done(struct json_out *out);

// Hands the bytes over (free() them) and leaves out empty; NULL when memory was out.
char *json_out_take(struct json_out *out, size_t *ret_length);

// name NULL: an item of an array, or the root.
void json_out_object_begin(struct json_out *out, const char *name);
void json_out_object_end(struct json_out *out);
void json_out_array_begin(struct json_out *out, const char *name);
void json_out_array_end(struct json_out *out);
void json_out_string(struct json_out *out, const char *name, const char *value); // NULL → null
void json_out_string_n(struct json_out *out, const char *name, const char *value, size_t length);
void json_out_int(struct json_out *out, const char *name, int64_t value);
void json_out_bool(struct json_out *out, const char *name, bool value);
void json_out_null(struct json_out *out, const char *name);
void json_out_raw(struct json_out *out, const char *name, const char *json, size_t length);
void json_out_newline(struct json_out *out); // between the lines of NDJSON

#endif
