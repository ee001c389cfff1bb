// SPDX-License-Identifier: Apache-2.0
//
// A hash map from byte strings to values of one fixed size. Keys are copied; the hash is seeded per
// process, so that nobody can choose keys that collide. No lock inside: the owner brings one.
#ifndef ORDERLOG_SERVICE_STRMAP_H
#define ORDERLOG_SERVICE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strmap_entry;

struct strmap {
    struct strmap_entry **slots; // owned; a power of two, at most three quarters full
    size_t slots_count;
    size_t count;
    size_t value_size;
};

void strmap_init(struct strmap *map, size_t value_size);
void strmap_done(struct strmap *map);

// The value, or NULL. Valid until the key is removed.
void *strmap_find(const struct strmap *map, const void *key, size_t key_len);

// The value, zeroed when the key is new. NULL when memory is out.
void *strmap_put(struct strmap *map, const void *key, size_t key_len);

// False when there was no such key.
bool strmap_remove(struct strmap *map, const void *key, size_t key_len);

#endif
