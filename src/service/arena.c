// SPDX-License-Identifier: Apache-2.0
//
// Blocks double in size up to 1 MiB; a larger request gets a block of its own size.
#include "service/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { ARENA_BLOCK_FIRST = 16 * 1024, ARENA_BLOCK_LARGEST = 1024 * 1024, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(ARENA_ALIGN) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t bytes_max) {
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_done(struct arena *arena) {
    for (struct arena_block *block = arena->first; block;) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){.bytes_max = arena->bytes_max};
}

static struct arena_block *block_new(struct arena *arena, size_t size) {
    size_t want = ARENA_BLOCK_FIRST;
    if (arena->current && arena->current->size < ARENA_BLOCK_LARGEST)
        want = arena->current->size * 2;
    else if (arena->current)
        want = ARENA_BLOCK_LARGEST;
    if (want < size)
        want = size;
    if (arena->bytes_max && arena->bytes_held + want > arena->bytes_max)
        want = size;
    if (arena->bytes_max && arena->bytes_held + want > arena->bytes_max)
        return NULL;
    struct arena_block *block = malloc(sizeof(*block) + want);
    if (!block)
        return NULL;
    block->size = want;
    block->used = 0;
    arena->bytes_held += want;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

    while (arena->current) {
        struct arena_block *block = arena->current;
        if (block->size - block->used >= size) {
            void *at = block->bytes + block->used;
            block->used += size;
            return at;
        }
        if (!block->next)
            break;
        arena->current = block->next;
        arena->current->used = 0;
    }

    struct arena_block *block = block_new(arena, size);
    if (!block)
        return NULL;
    block->next = NULL;
    if (arena->current)
        arena->current->next = block;
    else
        arena->first = block;
    arena->current = block;
    block->used = size;
    return block->bytes;
}

void arena_reset(struct arena *arena) {
    arena->current = arena->first;
    if (arena->current)
        arena->current->used = 0;
}
