// SPDX-License-Identifier: Apache-2.0
//
// An open order at rest, in a third of its size:
//
//   flags | deadlines that run | block size | what is fixed | counts | texts | items | lines
//
// Numbers are varints, and what follows from the rest is left out: the id, which is the key that it
// is kept under, sums over the items, where things lie.
#include "order_state.h"

#include <assert.h>
#include <string.h>

enum { RESERVATION_RUNS = 1, PAYMENT_RUNS = 2 };
_Static_assert((RESERVATION_RUNS | PAYMENT_RUNS) < ORDER_PACKED_FIRST_END, "the first byte");

enum { BLOCK_UNIT = 8, CURRENCY_LEN = 3, ITEM_STATE_BITS = 2 };
// What is fixed: the command that placed it, four machines, cases, currency.
enum { MACHINES_LEN = 2, FIXED_LEN = sizeof(struct id) + MACHINES_LEN + 1 + CURRENCY_LEN };

// ---- writing -----------------------------------------------------------------------------------

// A line has no text of its own: its numbers may need more than its place in the block.
enum { LINE_MORE_MAX = 8 };

size_t order_packed_max(const struct order *order) {
    return order->size + LINE_MORE_MAX * order_opened_const(order)->lines_count;
}

static inline uint8_t *put_count(uint8_t *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

// Small ones are short, whatever their sign.
static inline uint8_t *put_number(uint8_t *at, int64_t value) {
    return put_count(at, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len) {
    memcpy(at, bytes, len);
    return at + len;
}

static inline uint8_t *put_text(uint8_t *at, const struct order *order, uint32_t text_at,
                                uint32_t len) {
    at = put_count(at, len);
    return put_bytes(at, (const char *)order + text_at, len);
}

static uint8_t *put_deadlines(uint8_t *at, const struct order_open *open) {
    bool reservation = open->reservation_deadline_us != INT64_MAX;
    bool payment = open->payment_deadline_us != INT64_MAX;
    *at++ = (uint8_t)((reservation ? RESERVATION_RUNS : 0) | (payment ? PAYMENT_RUNS : 0));
    if (reservation)
        at = put_number(at, open->reservation_deadline_us);
    return payment ? put_number(at, open->payment_deadline_us) : at;
}

size_t order_pack(const struct order *order, uint8_t *ret) {
    const struct order_open *open = order_opened_const(order);
    uint8_t *at = put_deadlines(ret, open);
    at = put_count(at, order->size / BLOCK_UNIT);
    at = put_bytes(at, &order->place_command_id, sizeof(order->place_command_id));
    *at++ = (uint8_t)(order->life | order->reservation << 4);
    *at++ = (uint8_t)(order->payment | order->shipment << 4);
    *at++ = order->cases;
    at = put_bytes(at, open->currency, CURRENCY_LEN);
    at = put_number(at, order->version);
    at = put_number(at, open->discount_minor);
    at = put_number(at, open->shipping_minor);
    at = put_number(at, open->tax_minor);
    at = put_number(at, open->total_minor);
    at = put_number(at, open->authorised_minor);
    at = put_number(at, open->captured_minor);
    at = put_number(at, open->attempt);
    at = put_count(at, open->items_count);
    at = put_count(at, open->lines_count);
    at = put_text(at, order, order->shop_at, order->shop_len);
    at = put_text(at, order, open->method_at, open->method_len);
    at = put_text(at, order, open->customer_at, open->customer_len);

    const struct order_item *items = order_items_const(order);
    for (uint32_t i = 0; i < open->items_count; i++) {
        at = put_text(at, order, items[i].sku_at, items[i].sku_len);
        at = put_count(at, (uint64_t)items[i].quantity << ITEM_STATE_BITS | items[i].state);
        at = put_number(at, items[i].available);
    }
    const struct order_bought *lines = order_lines_const(order);
    for (uint32_t i = 0; i < open->lines_count; i++) {
        at = put_number(at, lines[i].unit_price_minor);
        at = put_count(at, (uint64_t)lines[i].quantity << 1 | lines[i].has_price_version);
        at = put_count(at, lines[i].item);
        if (lines[i].has_price_version)
            at = put_number(at, lines[i].price_version);
    }
    size_t len = (size_t)(at - ret);
    assert(len <= order_packed_max(order));
    return len;
}

// ---- reading -----------------------------------------------------------------------------------

// Our own bytes: what is wrong with them is our own bug.
struct reading {
    const uint8_t *at;
    const uint8_t *end;
};

static inline const uint8_t *get_bytes(struct reading *reading, size_t len) {
    const uint8_t *bytes = reading->at;
    assert((size_t)(reading->end - bytes) >= len && "a packed order is broken");
    reading->at += len;
    return bytes;
}

static inline uint64_t get_count(struct reading *reading) {
    uint64_t byte = *get_bytes(reading, 1);
    uint64_t value = byte & 0x7f;
    for (int shift = 7; byte >= 0x80; shift += 7) {
        byte = *get_bytes(reading, 1);
        value |= (byte & 0x7f) << shift;
    }
    return value;
}

static inline int64_t get_number(struct reading *reading) {
    uint64_t value = get_count(reading);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static inline struct view get_text(struct reading *reading) {
    uint32_t len = (uint32_t)get_count(reading);
    return (struct view){.ptr = (const char *)get_bytes(reading, len), .len = len};
}

struct deadlines {
    int64_t reservation_us;
    int64_t payment_us;
};

static struct deadlines get_deadlines(struct reading *reading) {
    uint8_t flags = *get_bytes(reading, 1);
    struct deadlines deadlines = {INT64_MAX, INT64_MAX};
    if (flags & RESERVATION_RUNS)
        deadlines.reservation_us = get_number(reading);
    if (flags & PAYMENT_RUNS)
        deadlines.payment_us = get_number(reading);
    return deadlines;
}

static size_t get_size(struct reading *reading) {
    return get_count(reading) * BLOCK_UNIT;
}

int64_t order_packed_deadline_us(const uint8_t *packed, size_t len) {
    struct reading reading = {.at = packed, .end = packed + len};
    struct deadlines deadlines = get_deadlines(&reading);
    return deadlines.reservation_us < deadlines.payment_us ? deadlines.reservation_us
                                                           : deadlines.payment_us;
}

int64_t order_packed_version(const uint8_t *packed, size_t len) {
    struct reading reading = {.at = packed, .end = packed + len};
    (void)get_deadlines(&reading);
    (void)get_size(&reading);
    (void)get_bytes(&reading, FIXED_LEN);
    return get_number(&reading);
}

size_t order_unpacked_size(const uint8_t *packed, size_t len) {
    struct reading reading = {.at = packed, .end = packed + len};
    (void)get_deadlines(&reading);
    return get_size(&reading);
}

static void get_items(struct reading *reading, struct order *order, uint32_t at) {
    struct order_open *open = order_opened(order);
    struct order_item *items = order_items(order);
    for (uint32_t i = 0; i < open->items_count; i++) {
        struct view sku = get_text(reading);
        uint64_t quantity = get_count(reading);
        items[i].quantity = (uint32_t)(quantity >> ITEM_STATE_BITS);
        items[i].state = quantity & ((1 << ITEM_STATE_BITS) - 1);
        items[i].available = get_number(reading);
        order_sku_put(order, &items[i], sku, &at);
    }
    order_texts_end(order, at);
    order_items_count(order);
}

static void get_lines(struct reading *reading, struct order *order) {
    struct order_bought *lines = order_lines(order);
    for (uint32_t i = 0; i < order_opened(order)->lines_count; i++) {
        lines[i].unit_price_minor = get_number(reading);
        uint64_t quantity = get_count(reading);
        lines[i].quantity = (uint32_t)(quantity >> 1);
        lines[i].has_price_version = quantity & 1;
        lines[i].item = (uint16_t)get_count(reading);
        if (lines[i].has_price_version)
            lines[i].price_version = get_number(reading);
    }
}

void order_unpack(const struct id *order_id, const uint8_t *packed, size_t len,
                  struct order *order) {
    struct reading reading = {.at = packed, .end = packed + len};
    struct deadlines deadlines = get_deadlines(&reading);
    size_t size = get_size(&reading);
    memset(order, 0, size);
    order->order_id = *order_id;
    memcpy(&order->place_command_id, get_bytes(&reading, sizeof(struct id)), sizeof(struct id));
    const uint8_t *machines = get_bytes(&reading, MACHINES_LEN);
    order->life = machines[0] & 15;
    order->reservation = machines[0] >> 4;
    order->payment = machines[1] & 15;
    order->shipment = machines[1] >> 4;
    order->cases = *get_bytes(&reading, 1);

    struct order_open *open = order_opened(order);
    open->reservation_deadline_us = deadlines.reservation_us;
    open->payment_deadline_us = deadlines.payment_us;
    memcpy(open->currency, get_bytes(&reading, CURRENCY_LEN), CURRENCY_LEN);
    order->version = get_number(&reading);
    open->discount_minor = get_number(&reading);
    open->shipping_minor = get_number(&reading);
    open->tax_minor = get_number(&reading);
    open->total_minor = get_number(&reading);
    open->authorised_minor = get_number(&reading);
    open->captured_minor = get_number(&reading);
    open->attempt = (int32_t)get_number(&reading);
    open->items_count = (uint32_t)get_count(&reading);
    open->lines_count = (uint32_t)get_count(&reading);
    struct view shop = get_text(&reading);
    struct view method = get_text(&reading);
    struct view customer = get_text(&reading);
    get_items(&reading, order, order_texts_begin(order, shop, method, customer));
    get_lines(&reading, order);
    assert(reading.at == reading.end && order->size == size && "a packed order is broken");
}
