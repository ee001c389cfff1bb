// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_OTHER,
    KIND_ORDER_EVENT,
    KIND_ORDER_COMMAND,
    KIND_CONVERSATION, // requests and answers that name an order
    KIND_STOCK_EVENT,
    KIND_STOCK_COMMAND,
    KIND_EXECUTOR_EVENT,
};

static uint8_t kinds[RECORD_COUNT];

static uint8_t kind_of(enum record_id type) {
    const char *dir = record_dirs[type];
    switch ((int)type) {
    case RECORD_REQUEST_STOCK:
    case RECORD_REQUEST_PAYMENT:
    case RECORD_REQUEST_SHIPMENT:
    case RECORD_STOCK_ANSWERED:
    case RECORD_PAYMENT_ANSWERED:
    case RECORD_SHIPMENT_ANSWERED:
        return KIND_CONVERSATION;
    }
    if (strcmp(dir, "orders.events") == 0)
        return KIND_ORDER_EVENT;
    if (strcmp(dir, "orders.inbox") == 0)
        return KIND_ORDER_COMMAND;
    if (strcmp(dir, "inventory.events") == 0)
        return KIND_STOCK_EVENT;
    if (strcmp(dir, "inventory.inbox") == 0)
        return KIND_STOCK_COMMAND;
    if (strcmp(dir, "payments.events") == 0 || strcmp(dir, "shipping.events") == 0)
        return KIND_EXECUTOR_EVENT;
    return KIND_OTHER;
}

void log_begin(struct world *world) {
    for (int type = kinds[RECORD_ORDER_PLACED] ? RECORD_COUNT : 0; type < RECORD_COUNT; type++)
        kinds[type] = kind_of((enum record_id)type);
    for (int role = 0; role < ROLES; role++) {
        for (int p = 0; p < PARTITIONS_MAX; p++)
            world->inbox[role][p].count = world->events[role][p].count = 0;
    }
}

// ---- names -------------------------------------------------------------------------------------

struct id log_indexed_id(const struct id *cause, uint64_t what, uint32_t index) {
    struct id id = id_derive(cause, what);
    id.bytes[0] = (uint8_t)index;
    id.bytes[1] = (uint8_t)(index >> 8);
    return id;
}

static int index_in(const struct id *id) {
    return id->bytes[0] | id->bytes[1] << 8;
}

int log_order_index(const struct id *order_id) {
    return index_in(order_id) % ORDERS_MAX;
}

int log_key_index(const struct id *key_id) {
    return index_in(key_id) % KEYS_MAX;
}

int log_sku_index(struct view sku) {
    return (sku.ptr[1] - '0') % SKUS_MAX;
}

static void stock_event_names(enum record_id type, const void *body, int16_t *ret_order,
                              int16_t *ret_sku) {
    *ret_sku = (int16_t)log_sku_index(((const struct stock_head *)body)->sku);
    if (type == RECORD_STOCK_RESERVED)
        *ret_order = (int16_t)log_order_index(&((const struct stock_reserved *)body)->order_id);
    if (type == RECORD_STOCK_RELEASED)
        *ret_order = (int16_t)log_order_index(&((const struct stock_released *)body)->order_id);
    if (type == RECORD_STOCK_SOLD)
        *ret_order = (int16_t)log_order_index(&((const struct stock_sold *)body)->order_id);
}

static void conversation_names(enum record_id type, const void *body, int16_t *ret_order,
                               int16_t *ret_sku) {
    if (type == RECORD_REQUEST_STOCK) {
        const struct request_stock *request = body;
        *ret_order = (int16_t)log_order_index(&request->order_id);
        *ret_sku = (int16_t)log_sku_index(request->sku);
        return;
    }
    // The others have the order in the same place.
    *ret_order = (int16_t)log_order_index(&((const struct stock_answered *)body)->order_id);
    if (type == RECORD_STOCK_ANSWERED)
        *ret_sku = (int16_t)log_sku_index(((const struct stock_answered *)body)->sku);
}

void log_names(enum record_id type, const void *body, int16_t *ret_order, int16_t *ret_sku) {
    *ret_order = *ret_sku = NOBODY;
    switch (kinds[type]) {
    case KIND_ORDER_EVENT:
    case KIND_EXECUTOR_EVENT: // begin alike: event, shop, order
        *ret_order = (int16_t)log_order_index(&((const struct order_head *)body)->order_id);
        return;
    case KIND_ORDER_COMMAND:
        *ret_order = (int16_t)log_order_index(&((const struct cancel_order *)body)->order_id);
        return;
    case KIND_CONVERSATION:
        conversation_names(type, body, ret_order, ret_sku);
        return;
    case KIND_STOCK_EVENT:
        stock_event_names(type, body, ret_order, ret_sku);
        return;
    case KIND_STOCK_COMMAND:
        *ret_sku = (int16_t)log_sku_index(((const struct receive_stock *)body)->sku);
        return;
    }
}

enum role log_role_of(enum record_id message) {
    switch ((int)message) {
    case RECORD_REQUEST_STOCK:
        return ROLE_INVENTORY;
    case RECORD_REQUEST_PAYMENT:
        return ROLE_PAYMENT;
    case RECORD_REQUEST_SHIPMENT:
        return ROLE_SHIPPING;
    }
    return ROLE_ORDER;
}

uint8_t log_partition_of(const struct world *world, enum role role, int order, int sku) {
    uint32_t key = (uint32_t)(role == ROLE_INVENTORY ? sku : order);
    return (uint8_t)(key % world->partitions_count);
}

// ---- writing and reading -----------------------------------------------------------------------

uint32_t log_append(struct world *world, struct topic *topic, enum record_id type, const void *body,
                    struct txn *txn, bool copy) {
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity ? 2 * topic->capacity : 256;
        topic->records = realloc(topic->records, topic->capacity * sizeof(*topic->records));
        if (!topic->records)
            abort();
    }
    struct record *record = &topic->records[topic->count];
    *record = (struct record){
        .body = body,
        .txn = txn,
        .serial = world->serial++,
        .at_us = world->now_us,
        .type = type,
        .copy = copy,
    };
    log_names(type, body, &record->order, &record->sku);
    uint64_t half;
    memcpy(&half, (const uint8_t *)body + 8, sizeof(half));
    world->outcome->digest = (world->outcome->digest ^ half) * UINT64_C(0x100000001b3);
    return topic->count++;
}

struct record *log_read(struct topic *topic, uint32_t *position) {
    for (; *position < topic->count; (*position)++) {
        struct record *record = &topic->records[*position];
        if (!record->txn || record->txn->state == TXN_COMMITTED)
            return record;
        if (record->txn->state == TXN_OPEN)
            return NULL;
    }
    return NULL;
}

// ---- the codec ---------------------------------------------------------------------------------

static const uint8_t *encoded(struct world *world, struct arena *arena, enum record_id type,
                              const void *body, size_t *ret_len) {
    size_t size = record_types[type]->size_max(body);
    uint8_t *bytes = arena_alloc(arena, size);
    uint8_t *end = bytes ? record_types[type]->encode(bytes, bytes + size, body) : NULL;
    if (!end)
        world_fail(world, NOBODY, NOBODY, "%s cannot be encoded", record_types[type]->name);
    *ret_len = (size_t)(end - bytes);
    return bytes;
}

const void *log_travelled(struct world *world, enum record_id type, const void *body) {
    if (!world->codec)
        return body;
    size_t len;
    const uint8_t *bytes = encoded(world, &world->arena, type, body, &len);
    void *decoded = world_alloc(world, record_types[type]->struct_size);
    struct error err;
    if (!record_types[type]->decode(bytes, bytes + len, &world->arena, decoded, &err))
        world_fail(world, NOBODY, NOBODY, "%s cannot be decoded: %s", record_types[type]->name,
                   err.msg);
    return decoded;
}

bool log_same_bytes(struct world *world, enum record_id type, const void *a, const void *b) {
    size_t a_len, b_len;
    const uint8_t *a_bytes = encoded(world, &world->scratch, type, a, &a_len);
    const uint8_t *b_bytes = encoded(world, &world->scratch, type, b, &b_len);
    return a_len == b_len && memcmp(a_bytes, b_bytes, a_len) == 0;
}
