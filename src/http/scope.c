// SPDX-License-Identifier: Apache-2.0
#include "http/scope.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define SCOPE_ROW(id, word, customers, allows) [SCOPE_BIT_##id] = {word, allows},
static const struct {
    const char *word;
    const char *allows;
} rows[SCOPE_BITS] = {HTTP_SCOPES(SCOPE_ROW)};
#undef SCOPE_ROW

// What the three words of earlier keys allowed, and no more: personal data and the operator's view
// came later and must be granted.
static const char *const set_words[] = {"read", "write", "import", NULL};
static const int set_scopes[] = {
    SCOPE_ORDERS_READ | SCOPE_INVENTORY_READ,
    SCOPE_ORDERS_WRITE | SCOPE_CATALOG_WRITE | SCOPE_INVENTORY_WRITE | SCOPE_SHIPMENTS_WRITE,
    SCOPE_ORDERS_IMPORT,
};

const char *const *scope_sets(void) {
    return set_words;
}

const char *scope_word(int bit) {
    assert(bit >= 0 && bit < SCOPE_BITS);
    return rows[bit].word;
}

const char *scope_allows(int bit) {
    assert(bit >= 0 && bit < SCOPE_BITS);
    return rows[bit].allows;
}

static bool is_word(const char *known, const char *word, size_t length) {
    return strlen(known) == length && memcmp(known, word, length) == 0;
}

int scopes_of_word(const char *word, size_t length) {
    // "orders:*": all that begin with "orders:".
    bool is_group = length > 2 && memcmp(word + length - 2, ":*", 2) == 0;
    int scopes = 0;
    for (int bit = 0; bit < SCOPE_BITS; bit++) {
        bool begins = is_group && strncmp(rows[bit].word, word, length - 1) == 0;
        if (begins || is_word(rows[bit].word, word, length))
            scopes |= 1 << bit;
    }
    return scopes;
}

int scopes_of_key_word(const char *word, size_t length) {
    for (size_t i = 0; set_words[i]; i++) {
        if (is_word(set_words[i], word, length))
            return set_scopes[i];
    }
    return is_word("all", word, length) ? (int)SCOPE_ALL : scopes_of_word(word, length);
}

void scopes_format(int scopes, const char *separator, char *text) {
    size_t used = 0;
    text[0] = '\0';
    for (int bit = 0; bit < SCOPE_BITS; bit++) {
        if (scopes & 1 << bit)
            used += (size_t)snprintf(text + used, SCOPES_TEXT_MAX - used, "%s%s",
                                     used ? separator : "", rows[bit].word);
    }
    assert(used < SCOPES_TEXT_MAX);
}
