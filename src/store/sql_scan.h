// SPDX-License-Identifier: Apache-2.0
//
// Just enough of SQL's lexical rules to find the words and the statements of a file: comments,
// strings, quoted names and dollar quotes are stepped over.
#ifndef ORDERLOG_STORE_SQL_SCAN_H
#define ORDERLOG_STORE_SQL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct sql_scan {
    const char *at;
    const char *end;
};

enum sql_token_kind { SQL_END, SQL_WORD, SQL_SYMBOL };

struct sql_token {
    enum sql_token_kind kind;
    const char *text; // borrowed from the input
    size_t length;    // 1 for symbols
};

// The next word (unquoted name or keyword) or symbol; comments, literals and quoted names are
// skipped. False at the end.
bool sql_scan_next(struct sql_scan *scan, struct sql_token *ret);

// Words are compared without case.
bool sql_token_is(const struct sql_token *token, const char *word);

// The next statement: what stands before the next ';' that is not inside anything. False when
// nothing but comments and space is left.
bool sql_scan_statement(struct sql_scan *scan, const char **ret_text, size_t *ret_length);

#endif
