// SPDX-License-Identifier: Apache-2.0
//
// A bump allocator for everything that lives as long as one batch: decoded arrays, produced
// messages, rows. Reset is O(1) and keeps the memory, so a warm loop allocates nothing.
// One thread at a time.
#ifndef ORDERLOG_SERVICE_ARENA_H
#define ORDERLOG_SERVICE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *first;   // owned list, kept across resets
    struct arena_block *current; // block being filled
    size_t bytes_max;            // total bound; 0 = no bound
    size_t bytes_held;
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_done(struct arena *arena);

// Memory aligned to 16 bytes, not zeroed; NULL when bytes_max would be passed or memory is out.
void *arena_alloc(struct arena *arena, size_t size);

// Everything handed out before becomes invalid.
void arena_reset(struct arena *arena);

#endif
