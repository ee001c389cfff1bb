// SPDX-License-Identifier: Apache-2.0
#include "stream/address.h"

#include <string.h>

// Every event begins like this ...
struct event_start {
    struct id event_id;
    struct view shop_id;
    union {
        struct id order_id;
        struct view sku;
    };
};
// ... every message between domains like this ...
struct message_start {
    struct id message_id;
    struct id causation_id;
    struct id correlation_id;
    struct view shop_id;
    union {
        struct id order_id;
        struct view sku;
    };
};
// ... and every command like this.
struct command_start {
    struct id command_id;
    struct id key_id;
    struct view shop_id;
    union {
        struct id order_id;
        struct view sku;
    };
};

#define SAME(a, b, field)                                                                          \
    _Static_assert(offsetof(struct a, field) == offsetof(struct b, field) &&                       \
                       offsetof(struct a, shop_id) == offsetof(struct b, shop_id),                 \
                   #b)
SAME(event_start, order_placed, order_id);
SAME(event_start, order_command_refused, order_id);
SAME(event_start, stock_sold, sku);
SAME(event_start, stock_command_refused, sku);
SAME(event_start, payment_captured, order_id);
SAME(event_start, shipment_booked, order_id);
SAME(message_start, request_stock, sku);
SAME(message_start, stock_answered, order_id);
SAME(message_start, payment_answered, order_id);
SAME(message_start, shipment_answered, order_id);
SAME(message_start, request_payment, order_id);
SAME(message_start, request_shipment, order_id);
SAME(command_start, place_order, order_id);
SAME(command_start, cancel_order, order_id);
SAME(command_start, dispatch_order, order_id);
SAME(command_start, deliver_order, order_id);
SAME(command_start, set_product, sku);
SAME(command_start, receive_stock, sku);
SAME(command_start, adjust_stock, sku);

static bool is_command(enum record_id type) {
    switch ((int)type) {
    case RECORD_PLACE_ORDER:
    case RECORD_CANCEL_ORDER:
    case RECORD_DISPATCH_ORDER:
    case RECORD_DELIVER_ORDER:
    case RECORD_SET_PRODUCT:
    case RECORD_RECEIVE_STOCK:
    case RECORD_ADJUST_STOCK:
        return true;
    default:
        return false;
    }
}

static bool name_good(struct view name, uint32_t length_max) {
    if (name.len == 0 || name.len > length_max)
        return false;
    for (uint32_t i = 0; i < name.len; i++)
        if ((uint8_t)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/')
            return false;
    return true;
}

static bool address_make(const struct view *shop, const struct view *sku, const struct id *order_id,
                         bool by_sku, struct address *ret, struct error *err) {
    bool shop_good = name_good(*shop, TOPIC_SHOP_MAX);
    if (!shop_good || (by_sku && !name_good(*sku, TOPIC_NAME_MAX)))
        return error_set(
            err, DISP_POISON, 0, "%s must have 1 to %d bytes, without '/' and control characters",
            shop_good ? "sku" : "shop_id", shop_good ? TOPIC_NAME_MAX : TOPIC_SHOP_MAX);
    *ret = (struct address){.shop = *shop, .order_id = by_sku ? NULL : order_id};
    if (by_sku)
        ret->sku = *sku;
    return true;
}

bool address_of_message(enum record_id type, const void *body, struct address *ret,
                        struct error *err) {
    bool by_sku = strcmp(record_dirs[type], topics[TOPIC_INVENTORY_INBOX].name) == 0;
    if (is_command(type)) {
        const struct command_start *start = body;
        return address_make(&start->shop_id, &start->sku, &start->order_id, by_sku, ret, err);
    }
    const struct message_start *start = body;
    return address_make(&start->shop_id, &start->sku, &start->order_id, by_sku, ret, err);
}

bool address_of_event(enum record_id type, const void *body, struct address *ret,
                      struct error *err) {
    bool by_sku = strcmp(record_dirs[type], topics[TOPIC_INVENTORY_EVENTS].name) == 0;
    const struct event_start *start = body;
    return address_make(&start->shop_id, &start->sku, &start->order_id, by_sku, ret, err);
}

size_t address_key(const struct address *address, char key[TOPIC_KEY_MAX]) {
    if (!address->order_id)
        return topic_sku_key(address->shop.ptr, address->shop.len, address->sku.ptr,
                             address->sku.len, key);
    id_format(address->order_id, key);
    return ID_TEXT_LEN;
}

const struct id *address_event_id(const void *event) {
    return &((const struct event_start *)event)->event_id;
}
