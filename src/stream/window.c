// SPDX-License-Identifier: Apache-2.0
//
// Six bits per character, from the first ordinal up to the highest answered one.
#include "stream/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

void window_init(struct window *window) {
    *window = (struct window){
        .records = calloc(WINDOW_RECORDS_MAX, sizeof(*window->records)),
        .answered = calloc(WINDOW_MESSAGES_MAX / 8, 1),
    };
    assert(window->records && window->answered);
}

void window_done(struct window *window) {
    free(window->records);
    free(window->answered);
    *window = (struct window){0};
}

bool window_is_answered(const struct window *window, uint32_t ordinal) {
    assert(ordinal < WINDOW_MESSAGES_MAX);
    return window->answered[ordinal / 8] >> (ordinal % 8) & 1;
}

void window_answer(struct window *window, uint32_t ordinal) {
    assert(ordinal < window->messages_count && !window_is_answered(window, ordinal));
    window->answered[ordinal / 8] |= (uint8_t)(1U << (ordinal % 8));
    if (ordinal >= window->answered_top)
        window->answered_top = ordinal + 1;
}

bool window_load(struct window *window, const char *text, size_t len) {
    memset(window->answered, 0, WINDOW_MESSAGES_MAX / 8);
    window->records_count = window->messages_count = window->answered_top = 0;
    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        unsigned bits = (unsigned)(digit - digits);
        for (uint32_t bit = 0; bit < 6; bit++) {
            uint32_t ordinal = (uint32_t)i * 6 + bit;
            if (!(bits >> bit & 1))
                continue;
            if (ordinal >= WINDOW_MESSAGES_MAX)
                return false;
            window->answered[ordinal / 8] |= (uint8_t)(1U << (ordinal % 8));
            window->answered_top = ordinal + 1;
        }
    }
    return true;
}

bool window_has_room(const struct window *window, uint32_t messages_max) {
    return window->records_count < WINDOW_RECORDS_MAX &&
           window->messages_count + messages_max <= WINDOW_MESSAGES_MAX;
}

uint32_t window_add(struct window *window, int64_t offset, uint32_t count) {
    assert(window_has_room(window, count));
    uint32_t first = window->messages_count;
    window->records[window->records_count++] =
        (struct window_record){.offset = offset, .first = first, .count = count};
    window->messages_count += count;
    return first;
}

static bool record_answered(const struct window *window, const struct window_record *record) {
    for (uint32_t i = 0; i < record->count; i++)
        if (!window_is_answered(window, record->first + i))
            return false;
    return true;
}

int64_t window_advance(struct window *window, int64_t next_offset, uint32_t *ret_dropped) {
    uint32_t records = 0;
    while (records < window->records_count && record_answered(window, &window->records[records]))
        records++;
    uint32_t left = window->records_count - records;
    uint32_t dropped = left ? window->records[records].first : window->messages_count;
    if (dropped) {
        memmove(window->records, window->records + records, left * sizeof(*window->records));
        window->records_count = left;
        for (uint32_t i = 0; i < left; i++)
            window->records[i].first -= dropped;
        uint32_t top = window->answered_top > dropped ? window->answered_top - dropped : 0;
        // Bits move down by any number: rare enough, and short enough, to go one by one.
        for (uint32_t to = 0; to < window->answered_top; to++) {
            bool set = to < top && window_is_answered(window, to + dropped);
            uint8_t mask = (uint8_t)(1U << (to % 8));
            if (set)
                window->answered[to / 8] |= mask;
            else
                window->answered[to / 8] &= (uint8_t)~mask;
        }
        window->messages_count -= dropped;
        window->answered_top = top;
    } else {
        window->records_count = left;
        memmove(window->records, window->records + records, left * sizeof(*window->records));
    }
    *ret_dropped = dropped;
    return left ? window->records[0].offset : next_offset;
}

void window_text(const struct window *window, char text[WINDOW_TEXT_MAX]) {
    size_t len = 0;
    for (uint32_t at = 0; at < window->answered_top; at += 6) {
        unsigned bits = 0;
        for (uint32_t bit = 0; bit < 6 && at + bit < window->answered_top; bit++)
            bits |= (unsigned)window_is_answered(window, at + bit) << bit;
        text[len++] = digits[bits];
    }
    text[len] = '\0';
}
