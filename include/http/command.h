// SPDX-License-Identifier: Apache-2.0
//
// From a request's JSON to a command as it goes into an inbox: checked, priced, named, encoded.
// Nothing here waits or writes; a refusal is a problem that names the fields.
//
// Ids. The key id names what the caller asked for: shop, kind of command, aggregate and idempotency
// key; a retry has the same. The command id adds the content as the caller gave it, before prices
// are filled in: same content, same id, and the deciders emit nothing new; other content under the
// same key is refused by them. An order's id is the key id of the command that places it.
// Of a customer's token the customer is part of the key id.
#ifndef ORDERLOG_HTTP_COMMAND_H
#define ORDERLOG_HTTP_COMMAND_H

#include "event/schema_ids.h"
#include "http/body.h"
#include "http/catalogue.h"
#include "http/openapi_limits.h"
#include "http/server.h"
#include "privacy/customer_keys.h"
#include "stream/topics.h"

enum {
    COMMAND_KEY_MAX = 255, // bytes of an idempotency key
    COMMAND_LINES_MAX = OPENAPI_ORDER_LINES_ITEMS_MAX,
    COMMAND_BYTES_MAX = 900 * 1024, // encoded; brokers take 1 MiB
    COMMAND_RECORD_KEY_MAX = CUSTOMER_KEY_NAME_MAX,
};

// Where prices come from. find: false when there is no such product.
struct command_prices {
    bool (*find)(void *state, const char *shop, size_t shop_len, const char *sku, size_t sku_len,
                 struct catalogue_price *ret);
    void *state;
    bool fresh; // too old to be used otherwise
};

struct command_context {
    const struct http_caller *caller;
    const struct schema_ids *ids;
    const struct command_prices *prices; // for orders
    const struct customer_keys_view *people; // for what is personal
    const char *idempotency_key;         // from command_key_parse() or command_line_key()
    bool key_in_body;                    // the latter
    int64_t now_us;
    int64_t expected_version; // of the order; 0: any
    // Set when a command could be made but for the customer's key, which is to be made first: then
    // the command is not made, though the problem says nothing. Holds the customer's id.
    struct command_wants_key *wants_key;
};

struct command_wants_key {
    bool wanted;
    char customer_id[TOPIC_NAME_MAX + 1];
};

struct command {
    enum topic_id topic;
    enum record_id type;
    struct id command_id;
    struct id order_id; // nil: about a SKU or a customer
    char key[COMMAND_RECORD_KEY_MAX];
    size_t key_len;
    size_t route_len; // so much of the key chooses the partition; 0: all
    uint8_t *bytes;   // owned; the message in wire format; NULL: a tombstone
    size_t length;
};

void command_done(struct command *command);

// The Idempotency-Key header, quoted or bare, or a key made up when there is none (header NULL).
bool command_key_parse(const char *header, char ret_key[COMMAND_KEY_MAX + 1],
                       struct problem *problem);

// The If-Match header of a command about an order: one version in quotes, as ETag tells it; 0 for a
// star and where there is none (NULL).
bool command_version_parse(const char *header, int64_t *ret, struct problem *problem);

bool command_place_order(const struct command_context *context, const struct jsonin *root,
                         struct command *ret, struct problem *problem);

// The key of a line of a batch, which is in its body.
bool command_line_key(const struct jsonin *root, char ret_key[COMMAND_KEY_MAX + 1],
                      struct problem *problem);

// type: RECORD_CANCEL_ORDER, RECORD_DISPATCH_ORDER or RECORD_DELIVER_ORDER. root may be NULL: no
// body. order_id is the text of the path.
bool command_about_order(const struct command_context *context, enum record_id type,
                         const char *order_id, const struct jsonin *root, struct command *ret,
                         struct problem *problem);

// type: RECORD_SET_PRODUCT, RECORD_RECEIVE_STOCK or RECORD_ADJUST_STOCK.
bool command_about_sku(const struct command_context *context, enum record_id type, const char *sku,
                       const struct jsonin *root, struct command *ret, struct problem *problem);

// Name, e-mail and addresses of a customer, sealed: a record of the topic customers.
bool command_customer(const struct command_context *context, const char *customer_id,
                      const struct jsonin *root, struct command *ret, struct problem *problem);

// The same record, with everything personal gone.
bool command_erase_customer(const struct command_context *context, const char *customer_id,
                            struct command *ret, struct problem *problem);

#endif
