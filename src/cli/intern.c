// SPDX-License-Identifier: Apache-2.0
#include "cli/intern.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void intern_done(struct intern *intern) {
    free(intern->entries);
    free(intern->slots);
    free(intern->bytes);
    *intern = (struct intern){0};
}

// The slot that holds the string, or the free one where it belongs.
static uint32_t find_slot(const struct intern *intern, uint64_t hash, const void *bytes,
                          size_t len) {
    const uint32_t mask = intern->slots_count - 1;
    uint32_t slot = (uint32_t)hash & mask;
    while (intern->slots[slot] != 0) {
        const struct intern_entry *entry = &intern->entries[intern->slots[slot] - 1];
        if (entry->hash == hash && entry->len == len &&
            memcmp(intern->bytes + entry->offset, bytes, len) == 0)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow_slots(struct intern *intern) {
    const uint32_t slots_count = intern->slots_count ? intern->slots_count * 2 : 1024;
    uint32_t *slots = calloc(slots_count, sizeof(*slots));
    if (!slots)
        return false;
    for (uint32_t i = 0; i < intern->count; i++) {
        uint32_t slot = (uint32_t)intern->entries[i].hash & (slots_count - 1);
        while (slots[slot] != 0)
            slot = (slot + 1) & (slots_count - 1);
        slots[slot] = i + 1;
    }
    free(intern->slots);
    intern->slots = slots;
    intern->slots_count = slots_count;
    return true;
}

static bool grow_entries(struct intern *intern) {
    const uint32_t capacity = intern->entries_capacity ? intern->entries_capacity * 2 : 512;
    void *entries = realloc(intern->entries, capacity * sizeof(*intern->entries));
    if (!entries)
        return false;
    intern->entries = entries;
    intern->entries_capacity = capacity;
    return true;
}

static bool reserve_bytes(struct intern *intern, size_t len) {
    if (intern->bytes_len + len <= intern->bytes_capacity)
        return true;
    size_t capacity = intern->bytes_capacity ? intern->bytes_capacity * 2 : 1 << 14;
    while (capacity < intern->bytes_len + len)
        capacity *= 2;
    char *bytes = realloc(intern->bytes, capacity);
    if (!bytes)
        return false;
    intern->bytes = bytes;
    intern->bytes_capacity = capacity;
    return true;
}

uint32_t intern_add(struct intern *intern, const void *bytes, size_t len) {
    if ((uint64_t)intern->count * 2 >= intern->slots_count && !grow_slots(intern))
        return INTERN_NONE;
    const uint64_t hash = XXH3_64bits(bytes, len);
    const uint32_t slot = find_slot(intern, hash, bytes, len);
    if (intern->slots[slot] != 0)
        return intern->slots[slot] - 1;

    if (intern->count == intern->entries_capacity && !grow_entries(intern))
        return INTERN_NONE;
    if (!reserve_bytes(intern, len + 1))
        return INTERN_NONE;
    intern->entries[intern->count] =
        (struct intern_entry){.hash = hash, .offset = intern->bytes_len, .len = (uint32_t)len};
    memcpy(intern->bytes + intern->bytes_len, bytes, len);
    intern->bytes[intern->bytes_len + len] = '\0';
    intern->bytes_len += len + 1;
    intern->slots[slot] = ++intern->count;
    return intern->count - 1;
}

uint32_t intern_find(const struct intern *intern, const void *bytes, size_t len) {
    if (intern->slots_count == 0)
        return INTERN_NONE;
    const uint32_t slot = find_slot(intern, XXH3_64bits(bytes, len), bytes, len);
    return intern->slots[slot] ? intern->slots[slot] - 1 : INTERN_NONE;
}

const char *intern_bytes(const struct intern *intern, uint32_t number, size_t *ret_len) {
    assert(number < intern->count);
    if (ret_len)
        *ret_len = intern->entries[number].len;
    return intern->bytes + intern->entries[number].offset;
}
