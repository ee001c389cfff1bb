// SPDX-License-Identifier: Apache-2.0
//
// Layout and fold of the order. Evolve trusts its events, which only the decider makes, and asserts
// what must hold after each.
#include "order_state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK_ALIGN = 8 };

size_t order_aligned(size_t size) {
    return (size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
}

// ---- layout ------------------------------------------------------------------------------------

size_t order_block_size(const struct order_placed *placed) {
    size_t text_len = placed->shop_id.len + placed->payment_method.len + placed->customer_id.len;
    for (uint32_t i = 0; i < placed->lines_count; i++)
        text_len += placed->lines[i].sku.len;
    size_t line_size = sizeof(struct order_item) + sizeof(struct order_bought);
    return order_aligned(sizeof(struct order) + sizeof(struct order_open) +
                         placed->lines_count * line_size + text_len);
}

size_t order_size(const struct order *order) {
    return order->size;
}

const struct order_open *order_opened_const(const struct order *order) {
    assert(!order->recalled);
    return (const struct order_open *)(order + 1);
}

struct order_open *order_opened(struct order *order) {
    return (struct order_open *)order_opened_const(order);
}

const struct order_item *order_items_const(const struct order *order) {
    return (const struct order_item *)((const char *)order + order_opened_const(order)->items_at);
}

struct order_item *order_items(struct order *order) {
    return (struct order_item *)order_items_const(order);
}

const struct order_bought *order_lines_const(const struct order *order) {
    return (const struct order_bought *)(order_items_const(order) +
                                         order_opened_const(order)->items_count);
}

struct order_bought *order_lines(struct order *order) {
    return (struct order_bought *)order_lines_const(order);
}

static int sku_compare(const struct order *order, const struct order_item *item, const char *sku,
                       uint32_t len) {
    uint32_t shorter = item->sku_len < len ? item->sku_len : len;
    int by_bytes = shorter ? memcmp((const char *)order + item->sku_at, sku, shorter) : 0;
    if (by_bytes != 0)
        return by_bytes;
    return (item->sku_len > len) - (item->sku_len < len);
}

struct order_item *order_item_find(struct order *order, struct view sku) {
    struct order_item *items = order_items(order);
    uint32_t low = 0;
    uint32_t high = order_opened(order)->items_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int by_sku = sku_compare(order, &items[middle], sku.ptr, sku.len);
        if (by_sku == 0)
            return &items[middle];
        if (by_sku > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

// ---- a new order -------------------------------------------------------------------------------

// While they are sorted, items name the line that they are of in place of their text.
static int item_compare(const struct order_placed *placed, const struct order_item *a,
                        const struct order_item *b) {
    struct view x = placed->lines[a->sku_at].sku;
    struct view y = placed->lines[b->sku_at].sku;
    uint32_t shorter = x.len < y.len ? x.len : y.len;
    int by_bytes = shorter ? memcmp(x.ptr, y.ptr, shorter) : 0;
    if (by_bytes != 0)
        return by_bytes;
    return (x.len > y.len) - (x.len < y.len);
}

static void sift_down(const struct order_placed *placed, struct order_item *items, size_t root,
                      size_t count) {
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && item_compare(placed, &items[child], &items[child + 1]) < 0)
            child++;
        if (item_compare(placed, &items[root], &items[child]) >= 0)
            return;
        struct order_item swapped = items[root];
        items[root] = items[child];
        items[child] = swapped;
    }
}

// Heap sort: in place and never quadratic. qsort() may allocate.
static void items_sort(const struct order_placed *placed, struct order_item *items, size_t count) {
    for (size_t root = count / 2; root-- > 0;)
        sift_down(placed, items, root, count);
    for (size_t last = count; last-- > 1;) {
        struct order_item swapped = items[0];
        items[0] = items[last];
        items[last] = swapped;
        sift_down(placed, items, 0, last);
    }
}

// Equal SKUs stand side by side: sums them into the first. Nothing is left behind the last.
static uint32_t items_merge(const struct order_placed *placed, struct order_item *items) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < placed->lines_count; i++) {
        if (kept > 0 && item_compare(placed, &items[kept - 1], &items[i]) == 0)
            items[kept - 1].quantity += items[i].quantity;
        else
            items[kept++] = items[i];
    }
    memset(items + kept, 0, (placed->lines_count - kept) * sizeof(*items));
    return kept;
}

static uint32_t text_put(struct order *order, uint32_t *at, struct view text) {
    uint32_t put_at = *at;
    if (text.len > 0)
        memcpy((char *)order + put_at, text.ptr, text.len);
    *at += text.len;
    return put_at;
}

uint32_t order_texts_begin(struct order *order, struct view shop, struct view method,
                           struct view customer) {
    struct order_open *open = order_opened(order);
    open->items_at = (uint32_t)(sizeof(*order) + sizeof(*open));
    open->text_at = open->items_at + open->items_count * (uint32_t)sizeof(struct order_item) +
                    open->lines_count * (uint32_t)sizeof(struct order_bought);
    uint32_t at = open->text_at;
    order->shop_len = (uint16_t)shop.len;
    order->shop_at = text_put(order, &at, shop);
    open->method_len = (uint16_t)method.len;
    open->method_at = text_put(order, &at, method);
    open->customer_len = (uint16_t)customer.len;
    open->customer_at = text_put(order, &at, customer);
    return at;
}

void order_sku_put(struct order *order, struct order_item *item, struct view sku, uint32_t *at) {
    item->sku_len = (uint16_t)sku.len;
    item->sku_at = text_put(order, at, sku);
}

void order_texts_end(struct order *order, uint32_t at) {
    struct order_open *open = order_opened(order);
    open->text_len = at - open->text_at;
    order->size = (uint32_t)order_aligned(at);
}

void order_items_count(struct order *order) {
    struct order_open *open = order_opened(order);
    const struct order_item *items = order_items_const(order);
    for (uint32_t i = 0; i < open->items_count; i++) {
        open->items_pending += items[i].state == ORDER_ITEM_PENDING;
        open->items_refused += items[i].state > ORDER_ITEM_RESERVED;
    }
}

bool order_lines_put(struct order *order, const struct order_line *lines) {
    struct order_bought *bought = order_lines(order);
    for (uint32_t i = 0; i < order_opened(order)->lines_count; i++) {
        const struct order_item *item = order_item_find(order, lines[i].sku);
        if (!item)
            return false;
        bought[i] = (struct order_bought){
            .unit_price_minor = lines[i].unit_price_minor,
            .price_version = lines[i].has_price_version ? lines[i].price_version : 0,
            .quantity = (uint32_t)lines[i].quantity,
            .item = (uint16_t)(item - order_items(order)),
            .has_price_version = lines[i].has_price_version,
        };
    }
    return true;
}

static void evolve_placed(struct order *order, const struct order_placed *placed) {
    assert(order->version == 0);
    order->life = ORDER_LIFE_OPEN;
    order->reservation = RESERVATION_STATUS_PENDING;
    order->payment = PAYMENT_STATUS_NONE;
    order->shipment = SHIPMENT_STATUS_NONE;
    order->order_id = placed->order_id;
    order->place_command_id = placed->causation_id;

    struct order_open *open = order_opened(order);
    open->reservation_deadline_us = placed->reservation_deadline;
    open->payment_deadline_us = INT64_MAX;
    open->discount_minor = placed->discount_minor;
    open->shipping_minor = placed->shipping_minor;
    open->tax_minor = placed->tax_minor;
    open->total_minor = placed->total_minor;
    assert(placed->currency.len < sizeof(open->currency));
    memcpy(open->currency, placed->currency.ptr, placed->currency.len);

    struct order_item *items = (struct order_item *)(open + 1);
    for (uint32_t i = 0; i < placed->lines_count; i++) {
        items[i].quantity = (uint32_t)placed->lines[i].quantity;
        items[i].sku_at = i;
    }
    items_sort(placed, items, placed->lines_count);
    open->items_count = open->items_pending = items_merge(placed, items);
    open->lines_count = placed->lines_count;
    uint32_t at =
        order_texts_begin(order, placed->shop_id, placed->payment_method, placed->customer_id);
    for (uint32_t i = 0; i < open->items_count; i++)
        order_sku_put(order, &items[i], placed->lines[items[i].sku_at].sku, &at);
    order_texts_end(order, at);
    bool complete = order_lines_put(order, placed->lines);
    assert(complete && "items are made of lines");
}

// ---- remembered commands -----------------------------------------------------------------------

static const struct id *key_if(bool has_key, const struct id *key_id) {
    return has_key ? key_id : NULL;
}

const struct id *order_event_key(enum record_id type, const void *event) {
    switch ((int)type) {
    case RECORD_ORDER_COMMAND_REFUSED:
        return &((const struct order_command_refused *)event)->key_id;
    case RECORD_ORDER_CANCELLED: {
        const struct order_cancelled *cancelled = event;
        return key_if(cancelled->has_key_id, &cancelled->key_id);
    }
    case RECORD_ORDER_DISPATCH_AUTHORISED: {
        const struct order_dispatch_authorised *authorised = event;
        return key_if(authorised->has_key_id, &authorised->key_id);
    }
    case RECORD_ORDER_DELIVERED: {
        const struct order_delivered *delivered = event;
        return key_if(delivered->has_key_id, &delivered->key_id);
    }
    }
    return NULL;
}

void order_remember(struct remembered_command *remembered, enum record_id type, const void *event) {
    const struct id *key_id = order_event_key(type, event);
    if (!key_id)
        return;
    if (type == RECORD_ORDER_COMMAND_REFUSED) {
        // A command under a reused key does not replace the one that the key stands for.
        const struct order_command_refused *refused = event;
        if (refused->reason != ORDER_REFUSAL_KEY_REUSED)
            *remembered =
                (struct remembered_command){*key_id, refused->causation_id, refused->occurred_at};
        return;
    }
    const struct order_head *head = event;
    *remembered = (struct remembered_command){*key_id, head->causation_id, head->occurred_at};
}

// ---- the other events --------------------------------------------------------------------------

static void item_answered(struct order *order, struct view sku, enum order_item_state state,
                          int64_t available) {
    struct order_open *open = order_opened(order);
    struct order_item *item = order_item_find(order, sku);
    assert(item && item->state == ORDER_ITEM_PENDING && open->items_pending > 0);
    item->state = (uint8_t)state;
    item->available = available;
    open->items_pending--;
    if (state != ORDER_ITEM_RESERVED)
        open->items_refused++;
    if (open->items_pending == 0)
        order->reservation =
            open->items_refused ? RESERVATION_STATUS_REFUSED : RESERVATION_STATUS_RESERVED;
}

static void evolve_stock_reserved(struct order *order, const struct order_stock_reserved *event) {
    for (uint32_t i = 0; i < event->lines_count; i++)
        item_answered(order, event->lines[i].sku, ORDER_ITEM_RESERVED, 0);
}

static void evolve_stock_refused(struct order *order, const struct order_stock_refused *event) {
    bool unknown = event->result == STOCK_RESULT_UNKNOWN_SKU;
    item_answered(order, event->sku, unknown ? ORDER_ITEM_UNKNOWN_SKU : ORDER_ITEM_OUT_OF_STOCK,
                  event->available);
}

// A new step of the payment: its look-ups are counted from 0, and what was unresolved is not.
static void payment_step(struct order *order, enum payment_status status, int64_t deadline_us) {
    struct order_open *open = order_opened(order);
    order->payment = (uint8_t)status;
    order->cases &= (uint8_t)~ORDER_CASE_PAYMENT_UNRESOLVED;
    open->payment_deadline_us = deadline_us;
    open->attempt = 0;
}

// Asked again: while authorising, its outcome is now unknown.
static void payment_asked_again(struct order *order, int32_t attempt, int64_t deadline_us) {
    struct order_open *open = order_opened(order);
    if (order->payment == PAYMENT_STATUS_REQUESTED)
        order->payment = PAYMENT_STATUS_UNKNOWN;
    open->attempt = attempt;
    open->payment_deadline_us = deadline_us;
}

static void evolve_dispatched(struct order *order, const struct order_dispatched *event) {
    order->shipment = SHIPMENT_STATUS_DISPATCHED;
    order->reservation = RESERVATION_STATUS_SOLD;
    payment_step(order, PAYMENT_STATUS_CAPTURE_REQUESTED, event->deadline);
}

static void evolve_ended(struct order *order, enum order_life life, bool voids,
                         int64_t void_deadline_us) {
    order->life = (uint8_t)life;
    order_opened(order)->reservation_deadline_us = INT64_MAX;
    if (order->reservation != RESERVATION_STATUS_REFUSED)
        order->reservation = RESERVATION_STATUS_RELEASED;
    if (order->shipment == SHIPMENT_STATUS_REQUESTED || order->shipment == SHIPMENT_STATUS_BOOKED)
        order->shipment = SHIPMENT_STATUS_CANCELLED;
    if (voids)
        payment_step(order, PAYMENT_STATUS_VOID_REQUESTED, void_deadline_us);
}

static void evolve_case(struct order *order, const struct order_case_opened *event) {
    if (event->reason == CASE_REASON_CAPTURE_FAILED)
        payment_step(order, PAYMENT_STATUS_FAILED, INT64_MAX);
    if (event->reason == CASE_REASON_PAYMENT_UNRESOLVED)
        order_opened(order)->payment_deadline_us = INT64_MAX;
    order->cases |= (uint8_t)(1 << event->reason);
}

static void evolve_confirmed(struct order *order) {
    order->life = ORDER_LIFE_CONFIRMED;
    order->shipment = SHIPMENT_STATUS_REQUESTED;
    order_opened(order)->reservation_deadline_us = INT64_MAX;
}

static void evolve_versioned(struct order *order, enum record_id type, const void *event) {
    switch ((int)type) {
    case RECORD_ORDER_PLACED:
        evolve_placed(order, event);
        return;
    case RECORD_ORDER_STOCK_RESERVED:
        evolve_stock_reserved(order, event);
        return;
    case RECORD_ORDER_STOCK_REFUSED:
        evolve_stock_refused(order, event);
        return;
    case RECORD_ORDER_PAYMENT_REQUESTED: {
        const struct order_payment_requested *requested = event;
        payment_step(order, PAYMENT_STATUS_REQUESTED, requested->deadline);
        return;
    }
    case RECORD_ORDER_PAYMENT_AUTHORIZED: {
        const struct order_payment_authorized *authorized = event;
        payment_step(order, PAYMENT_STATUS_AUTHORIZED, INT64_MAX);
        order_opened(order)->authorised_minor = authorized->amount_minor;
        return;
    }
    case RECORD_ORDER_PAYMENT_DECLINED:
        payment_step(order, PAYMENT_STATUS_DECLINED, INT64_MAX);
        return;
    case RECORD_ORDER_PAYMENT_UNKNOWN: {
        const struct order_payment_unknown *unknown = event;
        payment_asked_again(order, unknown->attempt, unknown->deadline);
        return;
    }
    case RECORD_ORDER_PAYMENT_TIMED_OUT: {
        const struct order_payment_timed_out *timed_out = event;
        payment_asked_again(order, timed_out->attempt, timed_out->deadline);
        return;
    }
    case RECORD_ORDER_PAYMENT_CAPTURED: {
        const struct order_payment_captured *captured = event;
        payment_step(order, PAYMENT_STATUS_CAPTURED, INT64_MAX);
        order_opened(order)->captured_minor = captured->amount_minor;
        return;
    }
    case RECORD_ORDER_PAYMENT_VOIDED:
        payment_step(order, PAYMENT_STATUS_VOIDED, INT64_MAX);
        return;
    case RECORD_ORDER_CONFIRMED:
        evolve_confirmed(order);
        return;
    case RECORD_ORDER_SHIPMENT_BOOKED:
        order->shipment = SHIPMENT_STATUS_BOOKED;
        return;
    case RECORD_ORDER_SHIPMENT_FAILED:
        order->shipment = SHIPMENT_STATUS_FAILED;
        return;
    case RECORD_ORDER_DISPATCH_AUTHORISED:
        order->shipment = SHIPMENT_STATUS_DISPATCH_AUTHORISED;
        return;
    case RECORD_ORDER_DISPATCHED:
        evolve_dispatched(order, event);
        return;
    case RECORD_ORDER_DELIVERED:
        order->shipment = SHIPMENT_STATUS_DELIVERED;
        return;
    case RECORD_ORDER_COMPLETED:
        order->life = ORDER_LIFE_COMPLETED;
        return;
    case RECORD_ORDER_CANCELLED: {
        const struct order_cancelled *cancelled = event;
        evolve_ended(order, ORDER_LIFE_CANCELLED, cancelled->has_deadline, cancelled->deadline);
        return;
    }
    case RECORD_ORDER_REJECTED: {
        const struct order_rejected *rejected = event;
        evolve_ended(order, ORDER_LIFE_REJECTED, rejected->has_deadline, rejected->deadline);
        return;
    }
    case RECORD_ORDER_EXPIRED: {
        const struct order_expired *expired = event;
        evolve_ended(order, ORDER_LIFE_EXPIRED, expired->has_deadline, expired->deadline);
        return;
    }
    case RECORD_ORDER_CASE_OPENED:
        evolve_case(order, event);
        return;
    }
    assert(!"a record that is not an event of an order");
}

void order_evolve(struct order *order, enum record_id type, const void *event) {
    const struct order_head *head = event;
    assert(order && head->version == order->version + 1);
    evolve_versioned(order, type, event);
    order->version = head->version;
    order_assert_sound(order);
}

// ---- closing -----------------------------------------------------------------------------------

bool order_is_closed(const struct order *order) {
    if (!order_is_terminal(order))
        return false;
    return order->payment == PAYMENT_STATUS_NONE || order->payment == PAYMENT_STATUS_DECLINED ||
           order->payment == PAYMENT_STATUS_CAPTURED || order->payment == PAYMENT_STATUS_VOIDED;
}

uint32_t order_print(struct view text) {
    uint64_t print = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < text.len; i++)
        print = (print ^ (uint8_t)text.ptr[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(print ^ print >> 32);
}

static uint32_t shop_print(const struct order *order) {
    return order->recalled ? order->shop_print
                           : order_print(order_text(order, order->shop_at, order->shop_len));
}

static uint32_t customer_print(const struct order *order) {
    if (order->recalled)
        return order->customer_print;
    const struct order_open *open = order_opened_const(order);
    return order_print(order_text(order, open->customer_at, open->customer_len));
}

void order_close(const struct order *order, int64_t closing_offset, struct order_closed *ret) {
    assert(order_is_closed(order) && order->version <= UINT32_MAX);
    *ret = (struct order_closed){
        .order_id = order->order_id,
        .place_command_id = order->place_command_id,
        .shop_print = shop_print(order),
        .customer_print = customer_print(order),
        .closing_offset = closing_offset,
        .version = (uint32_t)order->version,
        .life = order->life,
        .reservation = order->reservation,
        .payment = order->payment,
        .shipment = order->shipment,
        .cases = order->cases,
    };
}

struct order *order_recall(const struct order_closed *closed, void *block) {
    struct order *order = block;
    *order = (struct order){
        .size = sizeof(*order),
        .life = (uint8_t)closed->life,
        .reservation = (uint8_t)closed->reservation,
        .payment = (uint8_t)closed->payment,
        .shipment = (uint8_t)closed->shipment,
        .cases = (uint8_t)closed->cases,
        .recalled = 1,
        .version = closed->version,
        .shop_print = closed->shop_print,
        .customer_print = closed->customer_print,
        .order_id = closed->order_id,
        .place_command_id = closed->place_command_id,
    };
    return order;
}
