// SPDX-License-Identifier: Apache-2.0
//
// Numbers distinct byte strings 0, 1, 2 … in the order they are first seen: the index into an array
// of whatever is kept per SKU or order. Open addressing; the bytes are kept in one growing block.
#ifndef ORDERLOG_CLI_INTERN_H
#define ORDERLOG_CLI_INTERN_H

#include <stddef.h>
#include <stdint.h>

enum { INTERN_NONE = UINT32_MAX };

struct intern_entry {
    uint64_t hash;
    size_t offset;
    uint32_t len;
};

struct intern {
    struct intern_entry *entries; // owned
    uint32_t count;
    uint32_t entries_capacity;
    uint32_t *slots; // owned: entry number + 1, 0 = free
    uint32_t slots_count;
    char *bytes; // owned
    size_t bytes_len;
    size_t bytes_capacity;
};

// All zero is a valid empty table.
void intern_done(struct intern *intern);

// The number of the string, new or known; INTERN_NONE when memory is out.
uint32_t intern_add(struct intern *intern, const void *bytes, size_t len);

// The number of the string, INTERN_NONE if unknown.
uint32_t intern_find(const struct intern *intern, const void *bytes, size_t len);

// The bytes, followed by a NUL. Valid until the next intern_add().
const char *intern_bytes(const struct intern *intern, uint32_t number, size_t *ret_len);

#endif
