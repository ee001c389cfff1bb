// SPDX-License-Identifier: Apache-2.0
//
// Whom a record is about, and so its Kafka key: an order (key: id as text), or a SKU of a shop
// (key: shop, '/', SKU). Read from the fields that all records of a kind begin with.
#ifndef ORDERLOG_STREAM_ADDRESS_H
#define ORDERLOG_STREAM_ADDRESS_H

#include "event/types.h"
#include "stream/topics.h"

struct address {
    struct view shop;          // borrowed from the record
    struct view sku;           // likewise; ptr NULL: the record is about an order
    const struct id *order_id; // likewise; NULL: the record is about a SKU
};

// Of a message in an inbox, or of an event. False (DISP_POISON) when shop or SKU are empty, too
// long or hold a '/' or control characters, so that no key could be made.
bool address_of_message(enum record_id type, const void *body, struct address *ret,
                        struct error *err);
bool address_of_event(enum record_id type, const void *body, struct address *ret,
                      struct error *err);

// Writes the key, returns its length.
size_t address_key(const struct address *address, char key[TOPIC_KEY_MAX]);

// The event's id, in the same place for all.
const struct id *address_event_id(const void *event);

#endif
