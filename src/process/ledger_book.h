// SPDX-License-Identifier: Apache-2.0
//
// The ledger in memory: id -> facts, open addressing, never shrinking. Inner to the ledger.
#ifndef ORDERLOG_PROCESS_LEDGER_BOOK_H
#define ORDERLOG_PROCESS_LEDGER_BOOK_H

#include "process/ledger.h"

struct ledger_row {
    struct id id; // nil: free
    struct ledger_facts facts;
};

struct ledger_book {
    struct ledger_row *rows; // owned
    size_t capacity;         // a power of two, or 0
    size_t count;
};

// All zero if absent.
struct ledger_facts ledger_book_find(const struct ledger_book *book, const struct id *id);

// Adds one fact; false when memory is out.
bool ledger_book_add(struct ledger_book *book, const struct ledger_entry *entry);

void ledger_book_done(struct ledger_book *book);

#endif
