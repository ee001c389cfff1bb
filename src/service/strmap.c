// SPDX-License-Identifier: Apache-2.0
//
// Open addressing with linear probing. Removal shifts the entries behind it back, so that there are
// no tombstones and a look-up ends at the first empty slot.
#include "service/strmap.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

enum { SLOTS_FIRST = 64 };

struct strmap_entry {
    uint64_t hash;
    size_t key_len;
    size_t key_at; // offset behind the value
    alignas(max_align_t) uint8_t bytes[];
};

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void draw_seed(void) {
    // Without random numbers the map still works, only predictably.
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t hash_of(const void *key, size_t key_len) {
    (void)pthread_once(&seed_once, draw_seed);
    return XXH3_64bits_withSeed(key, key_len, seed);
}

void strmap_init(struct strmap *map, size_t value_size) {
    *map = (struct strmap){.value_size = value_size};
}

void strmap_done(struct strmap *map) {
    for (size_t i = 0; i < map->slots_count; i++)
        free(map->slots[i]);
    free(map->slots);
    strmap_init(map, map->value_size);
}

// The slot that holds the key, or the empty one where it would go.
static size_t slot_of(const struct strmap *map, uint64_t hash, const void *key, size_t key_len) {
    size_t mask = map->slots_count - 1;
    size_t at = hash & mask;
    for (;; at = (at + 1) & mask) {
        const struct strmap_entry *entry = map->slots[at];
        if (!entry || (entry->hash == hash && entry->key_len == key_len &&
                       memcmp(entry->bytes + entry->key_at, key, key_len) == 0))
            return at;
    }
}

void *strmap_find(const struct strmap *map, const void *key, size_t key_len) {
    if (map->count == 0)
        return NULL;
    struct strmap_entry *entry = map->slots[slot_of(map, hash_of(key, key_len), key, key_len)];
    return entry ? entry->bytes : NULL;
}

static bool grow(struct strmap *map) {
    size_t count = map->slots_count ? map->slots_count * 2 : SLOTS_FIRST;
    struct strmap_entry **slots = calloc(count, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < map->slots_count; i++) {
        struct strmap_entry *entry = map->slots[i];
        if (!entry)
            continue;
        size_t at = entry->hash & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = entry;
    }
    free(map->slots);
    map->slots = slots;
    map->slots_count = count;
    return true;
}

void *strmap_put(struct strmap *map, const void *key, size_t key_len) {
    if ((map->count + 1) * 4 > map->slots_count * 3 && !grow(map))
        return NULL;
    uint64_t hash = hash_of(key, key_len);
    size_t at = slot_of(map, hash, key, key_len);
    if (map->slots[at])
        return map->slots[at]->bytes;
    struct strmap_entry *entry = calloc(1, sizeof(*entry) + map->value_size + key_len);
    if (!entry)
        return NULL;
    entry->hash = hash;
    entry->key_len = key_len;
    entry->key_at = map->value_size;
    if (key_len > 0)
        memcpy(entry->bytes + entry->key_at, key, key_len);
    map->slots[at] = entry;
    map->count++;
    return entry->bytes;
}

bool strmap_remove(struct strmap *map, const void *key, size_t key_len) {
    if (map->count == 0)
        return false;
    size_t mask = map->slots_count - 1;
    size_t hole = slot_of(map, hash_of(key, key_len), key, key_len);
    if (!map->slots[hole])
        return false;
    free(map->slots[hole]);
    map->slots[hole] = NULL;
    map->count--;
    for (size_t at = (hole + 1) & mask; map->slots[at]; at = (at + 1) & mask) {
        size_t home = map->slots[at]->hash & mask;
        // It may move into the hole unless its home lies after the hole on the way to it.
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        map->slots[hole] = map->slots[at];
        map->slots[at] = NULL;
        hole = at;
    }
    return true;
}
