// SPDX-License-Identifier: Apache-2.0
//
// Input that was read but is not all answered yet, of one partition: calls to a provider finish in
// any order, while a committed offset can only say "everything before". So the committed offset is
// that of the first record with an unanswered message, and the offset's metadata carries one bit
// per message from there on: answered or not. After a crash the same records are read again and the
// answered ones are skipped.
//
// A message's ordinal counts from the first message of the window's first record; reading the same
// records again gives the same ordinals. One thread. Nothing is undone singly: on an abort the
// window is loaded again from the committed metadata.
#ifndef ORDERLOG_STREAM_WINDOW_H
#define ORDERLOG_STREAM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WINDOW_MESSAGES_MAX = 16384, // their bits fit the broker's 4096 bytes of metadata
    WINDOW_RECORDS_MAX = 16384,
    WINDOW_TEXT_MAX = WINDOW_MESSAGES_MAX / 6 + 8,
};

struct window_record {
    int64_t offset;
    uint32_t first; // ordinal of its first message
    uint32_t count;
};

struct window {
    struct window_record *records; // owned
    uint32_t records_count;
    uint32_t messages_count; // ordinals given out
    uint32_t answered_top;   // one above the highest answered ordinal
    uint8_t *answered;       // owned bitmap
};

void window_init(struct window *window); // asserts memory
void window_done(struct window *window);

// Empties it and takes the bits of a committed metadata text (NULL: none). False: not such a text.
bool window_load(struct window *window, const char *text, size_t len);

// True when a record of up to messages_max messages still fits.
bool window_has_room(const struct window *window, uint32_t messages_max);

// Adds the next record read; returns its first ordinal. Asserts room.
uint32_t window_add(struct window *window, int64_t offset, uint32_t count);

bool window_is_answered(const struct window *window, uint32_t ordinal);
void window_answer(struct window *window, uint32_t ordinal);

// Drops answered records from the front. Returns the offset to commit: the first record left, or
// next_offset if none is. Ordinals given out before are reduced by *ret_dropped.
int64_t window_advance(struct window *window, int64_t next_offset, uint32_t *ret_dropped);

// Writes the bits as text (terminated), empty if nothing beyond the front is answered.
void window_text(const struct window *window, char text[WINDOW_TEXT_MAX]);

#endif
