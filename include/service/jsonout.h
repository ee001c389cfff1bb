// SPDX-License-Identifier: Apache-2.0
//
// JSON out: a growing buffer with escaping. Nothing else in the program writes JSON by hand.
//
//   struct jsonout out;
//   jsonout_init(&out);
//   jsonout_object_begin(&out, NULL);
//   jsonout_string(&out, "order_id", id);
//   jsonout_object_end(&out);
//   char *body = jsonout_take(&out, &length);
#ifndef ORDERLOG_SERVICE_JSONOUT_H
#define ORDERLOG_SERVICE_JSONOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jsonout {
    char *bytes; // owned
    size_t length;
    size_t size;
    bool failed; // memory was out: everything after is ignored
    bool comma;
};

void jsonout_init(struct jsonout *out);
void jsonout_done(struct jsonout *out);

// Empty again, with the memory it has.
void jsonout_reset(struct jsonout *out);

// Hands the bytes over (free() them) and leaves out empty; NULL when memory was out.
char *jsonout_take(struct jsonout *out, size_t *ret_length);

// name NULL: an item of an array, or the root.
void jsonout_object_begin(struct jsonout *out, const char *name);
void jsonout_object_end(struct jsonout *out);
void jsonout_array_begin(struct jsonout *out, const char *name);
void jsonout_array_end(struct jsonout *out);
void jsonout_string(struct jsonout *out, const char *name, const char *value); // NULL → null
void jsonout_string_n(struct jsonout *out, const char *name, const char *value, size_t length);
void jsonout_int(struct jsonout *out, const char *name, int64_t value);
void jsonout_bool(struct jsonout *out, const char *name, bool value);
void jsonout_null(struct jsonout *out, const char *name);
void jsonout_raw(struct jsonout *out, const char *name, const char *json, size_t length);
void jsonout_newline(struct jsonout *out); // between the lines of NDJSON

#endif
