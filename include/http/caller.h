// SPDX-License-Identifier: Apache-2.0
//
// Who asks, and what is theirs. A caller belongs to one shop; a customer's token is bound to one
// customer of it besides. What is not theirs is not there: 404, an empty list, an outcome
// UNKNOWN_ORDER, as if it did not exist.
#ifndef ORDERLOG_HTTP_CALLER_H
#define ORDERLOG_HTTP_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { HTTP_SHOP_MAX = 65, HTTP_KEY_ID_MAX = 65, HTTP_CUSTOMER_MAX = 65 }; // with the NUL

struct http_caller {
    char shop_id[HTTP_SHOP_MAX];
    char key_id[HTTP_KEY_ID_MAX]; // of the API key, or "jwt:" and a hash of whose token it is
    char customer_id[HTTP_CUSTOMER_MAX]; // "": everything of the shop is theirs
    int scopes;                          // enum http_scope
    int64_t until_s;                     // of a token: when its time is over; 0: an API key
    uint64_t issue;                      // of a token: which keys of the issuer it is good by
};

static inline bool http_caller_is_customer(const struct http_caller *caller) {
    return caller->customer_id[0] != '\0';
}

// Is what belongs to this customer of this shop within the caller's reach? The one rule; where
// PostgreSQL or a decider judges, it is given shop and customer and judges by the same.
static inline bool http_caller_owns(const struct http_caller *caller, const char *shop_id,
                                    const char *customer_id) {
    return strcmp(caller->shop_id, shop_id) == 0 &&
           (!http_caller_is_customer(caller) || strcmp(caller->customer_id, customer_id) == 0);
}

#endif
