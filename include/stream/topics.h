// SPDX-License-Identifier: Apache-2.0
//
// The one table of topics: from it setup creates them, the schema registry subjects are derived,
// compose describes them and the docs are made. A domain is one role with four topics.
#ifndef ORDERLOG_STREAM_TOPICS_H
#define ORDERLOG_STREAM_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/schema_ids.h"

enum domain { DOMAIN_ORDER, DOMAIN_INVENTORY, DOMAIN_PAYMENT, DOMAIN_SHIPPING, DOMAIN_COUNT };

// TOPIC_KEYS: a table whose overwritten records are gone from the brokers' disks within
// customers.erasure.ms.
enum topic_kind {
    TOPIC_INBOX,
    TOPIC_EVENTS,
    TOPIC_STATE,
    TOPIC_DEADLETTERS,
    TOPIC_TABLE,
    TOPIC_KEYS,
};

enum partitions_class { PARTITIONS_ORDERS, PARTITIONS_INVENTORY, PARTITIONS_OTHER };

enum topic_id {
    TOPIC_ORDERS_INBOX,
    TOPIC_ORDERS_EVENTS,
    TOPIC_ORDERS_STATE,
    TOPIC_ORDERS_DEADLETTERS,
    TOPIC_INVENTORY_INBOX,
    TOPIC_INVENTORY_EVENTS,
    TOPIC_INVENTORY_STATE,
    TOPIC_INVENTORY_DEADLETTERS,
    TOPIC_PAYMENTS_INBOX,
    TOPIC_PAYMENTS_EVENTS,
    TOPIC_PAYMENTS_DEADLETTERS,
    TOPIC_SHIPPING_INBOX,
    TOPIC_SHIPPING_EVENTS,
    TOPIC_SHIPPING_DEADLETTERS,
    TOPIC_PRODUCTS,
    TOPIC_ACCESS_KEYS,
    TOPIC_CUSTOMERS,
    TOPIC_CUSTOMERS_KEYS,
    TOPIC_COUNT,
};

// A segment of a TOPIC_KEYS is closed after this part of customers.erasure.ms; the rest is for the
// cleaner.
enum { TOPIC_ERASURE_PARTS = 2 };

struct topic {
    const char *name; // "orders.inbox"
    const char
        *class_dir; // schemas/ folder shared by its kind ("inbox", "deadletters", "state"), or NULL
    enum topic_kind kind;
    enum partitions_class partitions;
    const char *key;   // what the key is, for docs
    const char *about; // one sentence
};

extern const struct topic topics[TOPIC_COUNT];

struct domain_topics {
    const char *name; // "order": the role
    enum topic_id inbox;
    enum topic_id events;
    enum topic_id deadletters;
    enum topic_id state; // TOPIC_COUNT: its processors hold none
};

extern const struct domain_topics domains[DOMAIN_COUNT];

// True when a record of schemas/<dir>/ may be written to the topic.
bool topic_allows(const struct topic *topic, const char *record_dir);

// True when processors of the domain read or write the topic: their own ones, and the inboxes of
// those they ask or answer.
bool topic_concerns(enum topic_id topic, enum domain domain);

// The table as the schema registry client wants it: indices are enum topic_id.
void topics_for_schemas(struct schema_topic ret[TOPIC_COUNT]);

// Kafka's default partitioner for keyed records (murmur2, as the Java client).
int32_t topic_partition_of(const void *key, size_t key_len, int32_t partitions);

// The key of a SKU or a customer: shop, '/', its name. Returns its length; out must hold
// TOPIC_KEY_MAX bytes. A shop's name has 64 bytes at most, others 64 characters of up to 4 bytes.
enum {
    TOPIC_SHOP_MAX = 64,
    TOPIC_NAME_MAX = 256,
    TOPIC_KEY_MAX = TOPIC_SHOP_MAX + 1 + TOPIC_NAME_MAX
};
size_t topic_sku_key(const char *shop, size_t shop_len, const char *sku, size_t sku_len, char *out);

#endif
