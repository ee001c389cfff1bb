// SPDX-License-Identifier: Apache-2.0
//
// What a caller may do, as words in API keys and tokens: one table. A route names the scopes of
// which one suffices. To add a scope: add a row, and name it in a route.
#ifndef ORDERLOG_HTTP_SCOPE_H
#define ORDERLOG_HTTP_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

// SCOPE(id, word, customers, allows)
//   customers  1: a customer's token may carry it, for what is that customer's; others are taken
//              from such a token
#define HTTP_SCOPES(SCOPE)                                                                         \
    SCOPE(ORDERS_READ, "orders:read", 1, "read orders, their events and outcomes of commands")     \
    SCOPE(ORDERS_WRITE, "orders:write", 1, "place and cancel orders")                              \
    SCOPE(ORDERS_IMPORT, "orders:import", 0, "place orders with prices of one's own")              \
    SCOPE(CATALOG_WRITE, "catalog:write", 0, "create and change products")                         \
    SCOPE(INVENTORY_READ, "inventory:read", 0, "read products and stock")                          \
    SCOPE(INVENTORY_WRITE, "inventory:write", 0, "receive and adjust stock")                       \
    SCOPE(SHIPMENTS_WRITE, "shipments:write", 0, "dispatch orders, report them as delivered")      \
    SCOPE(CUSTOMERS_READ, "customers:read", 1, "read names, addresses and other personal data")    \
    SCOPE(CUSTOMERS_WRITE, "customers:write", 1, "change and erase personal data")                 \
    SCOPE(OPS, "ops", 0, "see how the system does: metrics, statistics")

#define SCOPE_BIT(id, ...) SCOPE_BIT_##id,
enum { HTTP_SCOPES(SCOPE_BIT) SCOPE_BITS };
#undef SCOPE_BIT

#define SCOPE_VALUE(id, ...) SCOPE_##id = 1 << SCOPE_BIT_##id,
enum http_scope {
    SCOPE_NONE = 0, // of a route: open to everybody
    HTTP_SCOPES(SCOPE_VALUE) SCOPE_ALL = (1 << SCOPE_BITS) - 1,
};
#undef SCOPE_VALUE

// What a customer's token may carry.
#define SCOPE_OF_CUSTOMERS(id, word, customers, allows) | ((customers) ? SCOPE_##id : 0)
enum { SCOPES_OF_CUSTOMERS = 0 HTTP_SCOPES(SCOPE_OF_CUSTOMERS) };
#undef SCOPE_OF_CUSTOMERS

enum { SCOPE_WORD_MAX = 16, SCOPES_TEXT_MAX = SCOPE_BITS * (SCOPE_WORD_MAX + 4) + 1 };

// "orders:read"; bit is from 0 to SCOPE_BITS - 1.
const char *scope_word(int bit);
const char *scope_allows(int bit);

// The scopes that a word stands for: one of the table, or "orders:*" for all that begin so. 0:
// none.
int scopes_of_word(const char *word, size_t length);

// The same in an API key, which also knows "all" and the sets "read", "write" and "import".
int scopes_of_key_word(const char *word, size_t length);
const char *const *scope_sets(void); // their names, ended by NULL

// "orders:read, orders:write" into text of SCOPES_TEXT_MAX bytes; separator has at most 4 bytes.
void scopes_format(int scopes, const char *separator, char *text);

#endif
