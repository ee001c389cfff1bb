// SPDX-License-Identifier: Apache-2.0
//
// 128-bit identifiers, written as UUIDs (RFC 9562, version 8: our own hash) in lower case.
// Ids that are chosen from outside input (order id, command id) come from SHA-256; ids derived
// inside (event ids) come from XXH3-128 over their cause, so that a replay makes the same ids.
#ifndef ORDERLOG_EVENT_ID_H
#define ORDERLOG_EVENT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct id {
    uint8_t bytes[16];
};

enum { ID_TEXT_LEN = 36 };

static inline bool id_equal(const struct id *a, const struct id *b) {
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool id_is_nil(const struct id *id) {
    static const struct id nil;
    return id_equal(id, &nil);
}

// Writes 36 characters, no terminator.
void id_format(const struct id *id, char text[ID_TEXT_LEN]);

// A terminated copy for logs and messages.
struct id_text {
    char text[ID_TEXT_LEN + 1];
};
struct id_text id_text(const struct id *id);

// Accepts exactly 36 characters 8-4-4-4-12, either case. False leaves ret_id alone.
bool id_parse(const char *text, size_t len, struct id *ret_id);

// The id of the index-th thing caused by cause: XXH3-128, not for adversarial input.
struct id id_derive(const struct id *cause, uint64_t index);

// SHA-256 over the length-prefixed parts, cut to 122 bits: for input chosen by others.
struct id_part {
    const void *bytes;
    size_t len;
};
struct id id_hash(const struct id_part *parts, size_t parts_count);

#endif
