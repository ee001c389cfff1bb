// SPDX-License-Identifier: Apache-2.0
#include "sql_scan.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void skip_line(struct sql_scan *scan) {
    while (scan->at < scan->end && *scan->at != '\n')
        scan->at++;
}

// Comments nest in SQL.
static void skip_block_comment(struct sql_scan *scan) {
    int depth = 0;
    do {
        if (scan->end - scan->at >= 2 && scan->at[0] == '/' && scan->at[1] == '*') {
            depth++;
            scan->at += 2;
        } else if (scan->end - scan->at >= 2 && scan->at[0] == '*' && scan->at[1] == '/') {
            depth--;
            scan->at += 2;
        } else {
            scan->at++;
        }
    } while (depth > 0 && scan->at < scan->end);
}

// A doubled quote is the end of one part and the beginning of the next, which comes to the same.
static void skip_quoted(struct sql_scan *scan, bool backslash_escapes) {
    char quote = *scan->at++;
    while (scan->at < scan->end && *scan->at != quote) {
        if (backslash_escapes && *scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
        scan->at++;
    }
    if (scan->at < scan->end)
        scan->at++;
}

// $tag$ … $tag$; false when this is not the beginning of one (such as the parameter $1).
static bool skip_dollar_quoted(struct sql_scan *scan) {
    const char *tag_end = scan->at + 1;
    if (tag_end < scan->end && isdigit((unsigned char)*tag_end))
        return false;
    while (tag_end < scan->end && *tag_end != '$' && is_word(*tag_end))
        tag_end++;
    if (tag_end == scan->end || *tag_end != '$')
        return false;
    size_t tag_len = (size_t)(tag_end + 1 - scan->at);
    const char *close = memmem(tag_end + 1, (size_t)(scan->end - tag_end - 1), scan->at, tag_len);
    scan->at = close ? close + tag_len : scan->end;
    return true;
}

bool sql_scan_next(struct sql_scan *scan, struct sql_token *ret) {
    while (scan->at < scan->end) {
        char c = *scan->at;
        char next = scan->at + 1 < scan->end ? scan->at[1] : '\0';
        if (isspace((unsigned char)c)) {
            scan->at++;
        } else if (c == '-' && next == '-') {
            skip_line(scan);
        } else if (c == '/' && next == '*') {
            skip_block_comment(scan);
        } else if (c == '\'' || c == '"') {
            skip_quoted(scan, false);
        } else if ((c == 'e' || c == 'E') && next == '\'') {
            scan->at++;
            skip_quoted(scan, true);
        } else if (c == '$' && skip_dollar_quoted(scan)) {
            continue;
        } else {
            const char *begin = scan->at++;
            bool word = is_word(c);
            while (word && scan->at < scan->end && is_word(*scan->at))
                scan->at++;
            *ret = (struct sql_token){.kind = word ? SQL_WORD : SQL_SYMBOL,
                                      .text = begin,
                                      .length = (size_t)(scan->at - begin)};
            return true;
        }
    }
    return false;
}

bool sql_token_is(const struct sql_token *token, const char *word) {
    return token->length == strlen(word) && strncasecmp(token->text, word, token->length) == 0;
}

bool sql_scan_statement(struct sql_scan *scan, const char **ret_text, size_t *ret_length) {
    struct sql_token token;
    const char *begin = NULL;
    const char *end = NULL;
    while (sql_scan_next(scan, &token)) {
        if (token.kind == SQL_SYMBOL && *token.text == ';') {
            if (begin)
                break;
            continue;
        }
        if (!begin)
            begin = token.text;
        end = scan->at;
    }
    if (!begin)
        return false;
    // What follows the last word, such as a closing literal, belongs to the statement too.
    if (scan->at > end)
        end = scan->at[-1] == ';' ? scan->at - 1 : scan->at;
    *ret_text = begin;
    *ret_length = (size_t)(end - begin);
    return true;
}
