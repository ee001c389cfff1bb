// SPDX-License-Identifier: Apache-2.0
//
// Ids are hashes already: eight of their bytes choose the place.
#include "ledger_book.h"

#include "service/pages.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 1024 };

static struct ledger_row *place(const struct ledger_book *book, const struct id *id) {
    uint64_t hash;
    memcpy(&hash, id->bytes + 8, sizeof(hash));
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    for (size_t at = hash >> 20;; at++) {
        struct ledger_row *row = &book->rows[at & (book->capacity - 1)];
        if (id_is_nil(&row->id) || id_equal(&row->id, id))
            return row;
    }
}

static bool grow(struct ledger_book *book) {
    struct ledger_book larger = {
        .capacity = book->capacity ? 2 * book->capacity : CAPACITY_FIRST,
        .count = book->count,
    };
    larger.rows = pages_zeroed(larger.capacity, sizeof(*larger.rows));
    if (!larger.rows)
        return false;
    for (size_t i = 0; i < book->capacity; i++)
        if (!id_is_nil(&book->rows[i].id))
            *place(&larger, &book->rows[i].id) = book->rows[i];
    free(book->rows);
    *book = larger;
    return true;
}

struct ledger_facts ledger_book_find(const struct ledger_book *book, const struct id *id) {
    if (book->capacity == 0 || id_is_nil(id))
        return (struct ledger_facts){0};
    return place(book, id)->facts;
}

bool ledger_book_add(struct ledger_book *book, const struct ledger_entry *entry) {
    const struct id *id = &entry->effect_id;
    if (id_is_nil(id))
        return true;
    if (2 * (book->count + 1) > book->capacity && !grow(book))
        return false;
    struct ledger_row *row = place(book, id);
    if (id_is_nil(&row->id)) {
        row->id = *id;
        row->facts.amount_minor = entry->amount_minor;
        book->count++;
    }
    row->facts.happened |= ledger_bit(entry->action, entry->result);
    row->facts.last_us = entry->at_us;
    return true;
}

void ledger_book_done(struct ledger_book *book) {
    free(book->rows);
    *book = (struct ledger_book){0};
}
