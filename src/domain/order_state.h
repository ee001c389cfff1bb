// SPDX-License-Identifier: Apache-2.0
//
// The folded order as one block without pointers, so that memcpy saves, restores and moves it:
//
//   open:    | struct order | struct order_open | items by SKU | lines | text |
//   closed:  | struct order |
//
// Text is the shop, the payment method, the customer and the SKUs, addressed by offsets from the
// block's start. There are no undefined bytes, and no order but one in which things can lie: two
// blocks of the same order are equal by memcmp, whether they were folded or restored. Inner to the
// order's own files.
#ifndef ORDERLOG_DOMAIN_ORDER_STATE_H
#define ORDERLOG_DOMAIN_ORDER_STATE_H

#include "domain/order.h"

// enum order_life comes from the schema of snapshots. OPEN: stock and money are being gathered.
// From COMPLETED on it is terminal.

enum order_item_state {
    ORDER_ITEM_PENDING,
    ORDER_ITEM_RESERVED,
    ORDER_ITEM_UNKNOWN_SKU,
    ORDER_ITEM_OUT_OF_STOCK,
};

enum order_case {
    ORDER_CASE_PAYMENT_UNRESOLVED = 1 << CASE_REASON_PAYMENT_UNRESOLVED,
    ORDER_CASE_CAPTURE_FAILED = 1 << CASE_REASON_CAPTURE_FAILED,
    ORDER_CASE_CARRIER_CONTRADICTION = 1 << CASE_REASON_CARRIER_CONTRADICTION,
};

// One distinct SKU; quantities of repeated lines summed. Sorted by SKU bytes.
struct order_item {
    int64_t available; // as inventory saw it when it refused
    uint32_t quantity; // at most 1,000 lines of 1,000,000
    uint32_t sku_at;   // offset in the block
    uint16_t sku_len;
    uint8_t state; // enum order_item_state
    uint8_t unused[5];
};

// One line as ordered.
struct order_bought {
    int64_t unit_price_minor;
    int64_t price_version; // 0 if it has none
    uint32_t quantity;
    uint16_t item; // of its SKU
    uint8_t has_price_version;
    uint8_t unused;
};

// What a recalled order has too.
struct order {
    uint32_t size; // of the whole block
    uint32_t shop_at;
    uint16_t shop_len;
    uint8_t life;        // enum order_life
    uint8_t reservation; // enum reservation_status
    uint8_t payment;     // enum payment_status
    uint8_t shipment;    // enum shipment_status
    uint8_t cases;       // enum order_case
    uint8_t recalled;    // 1: closed, without struct order_open and what follows
    int64_t version;
    uint32_t shop_print; // of what is recalled: these tell shops and customers apart without names
    uint32_t customer_print;
    struct id order_id;
    struct id place_command_id; // correlation id of everything that happens to the order
};

// What only an order that may still change needs.
struct order_open {
    int64_t reservation_deadline_us; // INT64_MAX: not running
    int64_t payment_deadline_us;     // likewise
    int64_t discount_minor;
    int64_t shipping_minor;
    int64_t tax_minor;
    int64_t total_minor;
    int64_t authorised_minor;
    int64_t captured_minor;
    uint32_t items_at;
    uint32_t items_count;
    uint32_t items_pending;
    uint32_t items_refused;
    uint32_t lines_count;
    uint32_t text_at;
    uint32_t text_len;
    uint32_t method_at;
    uint32_t customer_at;
    int32_t attempt; // look-ups of the payment in its present step
    uint16_t method_len;
    uint16_t customer_len;
    char currency[4]; // terminated
};

_Static_assert(sizeof(struct order_item) == 24, "no padding");
_Static_assert(sizeof(struct order) == ORDER_RECALLED_SIZE, "no padding");
_Static_assert(sizeof(struct order_bought) == 24, "no padding");
_Static_assert(sizeof(struct order_open) == 112, "no padding");

// Asserts that the order is not a recalled one.
struct order_open *order_opened(struct order *order);
const struct order_open *order_opened_const(const struct order *order);

struct order_item *order_items(struct order *order);
const struct order_item *order_items_const(const struct order *order);
struct order_bought *order_lines(struct order *order);
const struct order_bought *order_lines_const(const struct order *order);

size_t order_aligned(size_t size); // of a block

// Lays the texts out behind items and lines, of which order_open holds the counts: shop, payment
// method and customer first, then every item's SKU in turn, from the position that is handed on;
// then the block's size.
uint32_t order_texts_begin(struct order *order, struct view shop, struct view method,
                           struct view customer);
void order_sku_put(struct order *order, struct order_item *item, struct view sku, uint32_t *at);
void order_texts_end(struct order *order, uint32_t at);

// Counts the items that wait and those that were refused, once all have their state.
void order_items_count(struct order *order);

// Fills in the lines, once the SKUs are there. False: a line has a SKU that no item has.
bool order_lines_put(struct order *order, const struct order_line *lines);

// What the order's closing event will carry, but for the ids of payment and shipment. lines has
// room for as many as were ordered; texts are borrowed from the order.
void order_folded(const struct order *order, struct order_line *lines, struct folded_order *ret);

// NULL if the order has no such SKU.
struct order_item *order_item_find(struct order *order, struct view sku);

// FNV-1a, folded to 32 bits: who is told apart by it may be told the wrong reason of a refusal,
// never let in.
uint32_t order_print(struct view text);

static inline struct view order_text(const struct order *order, uint32_t at, uint32_t len) {
    return (struct view){.ptr = (const char *)order + at, .len = len};
}

static inline bool order_is_terminal(const struct order *order) {
    return order->life >= ORDER_LIFE_COMPLETED;
}

// The status that the four machines amount to when open cases are left aside.
enum order_status order_stage(const struct order *order);

// What no input may break: aborts the process on our own bugs.
void order_assert_sound(const struct order *order);

// The same, asked of what comes from outside.
bool order_is_sound(const struct order *order);

#endif
