// SPDX-License-Identifier: Apache-2.0
//
// To add a topic: one row here, a folder of the same name in schemas/.
#include "stream/topics.h"

#include <assert.h>
#include <string.h>

#define ORDER_KEY "order id (UUID text)"
#define SKU_KEY "shop, '/', SKU"
#define CUSTOMER_KEY "shop, '/', customer"

const struct topic topics[TOPIC_COUNT] = {
    [TOPIC_ORDERS_INBOX] = {"orders.inbox", "inbox", TOPIC_INBOX, PARTITIONS_ORDERS, ORDER_KEY,
                            "Commands from people; answers of the other domains."},
    [TOPIC_ORDERS_EVENTS] = {"orders.events", NULL, TOPIC_EVENTS, PARTITIONS_ORDERS, ORDER_KEY,
                             "Facts about orders, for everybody."},
    [TOPIC_ORDERS_STATE] = {"orders.state", "state", TOPIC_STATE, PARTITIONS_ORDERS, ORDER_KEY,
                            "Snapshots of orders, for fast take-over."},
    [TOPIC_ORDERS_DEADLETTERS] = {"orders.deadletters", "deadletters", TOPIC_DEADLETTERS,
                                  PARTITIONS_ORDERS, ORDER_KEY, "What could not be handled."},
    [TOPIC_INVENTORY_INBOX] = {"inventory.inbox", "inbox", TOPIC_INBOX, PARTITIONS_INVENTORY,
                               SKU_KEY, "Commands about SKUs; reservation requests of orders."},
    [TOPIC_INVENTORY_EVENTS] = {"inventory.events", NULL, TOPIC_EVENTS, PARTITIONS_INVENTORY,
                                SKU_KEY, "Facts about products and stock, for everybody."},
    [TOPIC_INVENTORY_STATE] = {"inventory.state", "state", TOPIC_STATE, PARTITIONS_INVENTORY,
                               SKU_KEY, "Snapshots of SKUs, for fast take-over."},
    [TOPIC_INVENTORY_DEADLETTERS] = {"inventory.deadletters", "deadletters", TOPIC_DEADLETTERS,
                                     PARTITIONS_INVENTORY, SKU_KEY, "What could not be handled."},
    [TOPIC_PAYMENTS_INBOX] = {"payments.inbox", "inbox", TOPIC_INBOX, PARTITIONS_OTHER, ORDER_KEY,
                              "Requests to the payment provider."},
    [TOPIC_PAYMENTS_EVENTS] = {"payments.events", NULL, TOPIC_EVENTS, PARTITIONS_OTHER, ORDER_KEY,
                               "What the payment provider did."},
    [TOPIC_PAYMENTS_DEADLETTERS] = {"payments.deadletters", "deadletters", TOPIC_DEADLETTERS,
                                    PARTITIONS_OTHER, ORDER_KEY, "What could not be handled."},
    [TOPIC_SHIPPING_INBOX] = {"shipping.inbox", "inbox", TOPIC_INBOX, PARTITIONS_OTHER, ORDER_KEY,
                              "Requests to the carrier."},
    [TOPIC_SHIPPING_EVENTS] = {"shipping.events", NULL, TOPIC_EVENTS, PARTITIONS_OTHER, ORDER_KEY,
                               "What the carrier did."},
    [TOPIC_SHIPPING_DEADLETTERS] = {"shipping.deadletters", "deadletters", TOPIC_DEADLETTERS,
                                    PARTITIONS_OTHER, ORDER_KEY, "What could not be handled."},
    [TOPIC_PRODUCTS] = {"products", NULL, TOPIC_TABLE, PARTITIONS_INVENTORY, SKU_KEY,
                        "The latest product of every SKU; gateways keep it in memory."},
    [TOPIC_ACCESS_KEYS] = {"access.keys", NULL, TOPIC_TABLE, PARTITIONS_OTHER, "access key id",
                           "API keys, their secrets hashed."},
    [TOPIC_CUSTOMERS] = {"customers", NULL, TOPIC_TABLE, PARTITIONS_OTHER, CUSTOMER_KEY,
                         "The latest of every customer, what is personal sealed."},
    [TOPIC_CUSTOMERS_KEYS] = {"customers.keys", NULL, TOPIC_KEYS, PARTITIONS_OTHER,
                              CUSTOMER_KEY ", '/', key id; partition of the first two",
                              "Keys that personal data is sealed with; erasure tombstones them."},
};

const struct domain_topics domains[DOMAIN_COUNT] = {
    [DOMAIN_ORDER] = {"order", TOPIC_ORDERS_INBOX, TOPIC_ORDERS_EVENTS, TOPIC_ORDERS_DEADLETTERS,
                      TOPIC_ORDERS_STATE},
    [DOMAIN_INVENTORY] = {"inventory", TOPIC_INVENTORY_INBOX, TOPIC_INVENTORY_EVENTS,
                          TOPIC_INVENTORY_DEADLETTERS, TOPIC_INVENTORY_STATE},
    [DOMAIN_PAYMENT] = {"payment", TOPIC_PAYMENTS_INBOX, TOPIC_PAYMENTS_EVENTS,
                        TOPIC_PAYMENTS_DEADLETTERS, TOPIC_COUNT},
    [DOMAIN_SHIPPING] = {"shipping", TOPIC_SHIPPING_INBOX, TOPIC_SHIPPING_EVENTS,
                         TOPIC_SHIPPING_DEADLETTERS, TOPIC_COUNT},
};

bool topic_allows(const struct topic *topic, const char *record_dir) {
    return strcmp(topic->name, record_dir) == 0 ||
           (topic->class_dir && strcmp(topic->class_dir, record_dir) == 0);
}

bool topic_concerns(enum topic_id topic, enum domain domain) {
    const struct domain_topics *own = &domains[domain];
    if (topics[topic].kind == TOPIC_INBOX)
        return topic == own->inbox || topic == TOPIC_ORDERS_INBOX || domain == DOMAIN_ORDER;
    return topic == own->events || topic == own->deadletters || topic == own->state ||
           (topic == TOPIC_PRODUCTS && domain == DOMAIN_INVENTORY);
}

void topics_for_schemas(struct schema_topic ret[TOPIC_COUNT]) {
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        ret[i] = (struct schema_topic){.name = topics[i].name,
                                       .dirs = {topics[i].name, topics[i].class_dir}};
}

// MurmurHash2 with Kafka's seed, as org.apache.kafka.common.utils.Utils.murmur2.
static uint32_t murmur2(const uint8_t *bytes, size_t len) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28cU ^ (uint32_t)len;
    while (len >= 4) {
        uint32_t k = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                     (uint32_t)bytes[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
        bytes += 4;
        len -= 4;
    }
    switch (len) {
    case 3:
        h ^= (uint32_t)bytes[2] << 16;
        __attribute__((fallthrough));
    case 2:
        h ^= (uint32_t)bytes[1] << 8;
        __attribute__((fallthrough));
    case 1:
        h ^= bytes[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

int32_t topic_partition_of(const void *key, size_t key_len, int32_t partitions) {
    assert(partitions > 0);
    return (int32_t)(murmur2(key, key_len) & 0x7fffffff) % partitions;
}

size_t topic_sku_key(const char *shop, size_t shop_len, const char *sku, size_t sku_len,
                     char *out) {
    assert(shop_len + 1 + sku_len <= TOPIC_KEY_MAX);
    memcpy(out, shop, shop_len);
    out[shop_len] = '/';
    memcpy(out + shop_len + 1, sku, sku_len);
    return shop_len + 1 + sku_len;
}
