// SPDX-License-Identifier: Apache-2.0
//
// JSON as it comes in (RFC 8259), read strictly: no duplicate keys, no bad UTF-8, no lone
// surrogates, no NUL, nothing behind the value; nesting and members of one object are bounded. Text
// is unescaped where it stands in a copy of the input, so that a value costs no allocation but its
// node in the arena.
#ifndef ORDERLOG_HTTP_JSONIN_H
#define ORDERLOG_HTTP_JSONIN_H

#include "service/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSONIN_DEPTH_MAX = 16, JSONIN_MEMBERS_MAX = 64 };

enum jsonin_kind {
    JSONIN_NULL,
    JSONIN_FALSE,
    JSONIN_TRUE,
    JSONIN_INTEGER, // fits int64_t
    JSONIN_REAL,    // with a fraction other than 0 or an exponent; nobody wants its value
    JSONIN_STRING,
    JSONIN_ARRAY,
    JSONIN_OBJECT,
};

struct jsonin {
    enum jsonin_kind kind;
    uint32_t length; // of the text, or of the list
    union {
        int64_t integer;
        const char *text;           // terminated; holds no NUL
        const struct jsonin *first; // of the items or members
    };
    const struct jsonin *next; // in its list
    const char *name;          // of a member, terminated
    uint32_t name_length;
};

enum jsonin_fault {
    JSONIN_MALFORMED,
    JSONIN_DUPLICATE,
    JSONIN_BAD_UTF8,
    JSONIN_TOO_DEEP,
    JSONIN_NO_MEMORY,
};

struct jsonin_error {
    enum jsonin_fault fault;
    const char *why;
    int line; // from 1
    int column;
};

// Everything lives in the arena. NULL: *ret_error says why.
const struct jsonin *jsonin_read(struct arena *arena, const char *text, size_t length,
                                 struct jsonin_error *ret_error);

// The member; NULL when there is none.
const struct jsonin *jsonin_member(const struct jsonin *object, const char *name);

#endif
