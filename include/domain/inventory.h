// SPDX-License-Identifier: Apache-2.0
//
// The SKU: product data and stock levels, written by the one partition that owns it. Asserted in
// production too: 0 <= reserved <= on_hand, and on_hand + sold = received + adjustments.
// State is two small tables, so that a hot SKU with 100,000 reservations is never copied whole:
// the SKU itself and one entry per (SKU, order) reservation. Commands remembered for their window
// (domain/remembered.h) are a third.
#ifndef ORDERLOG_DOMAIN_INVENTORY_H
#define ORDERLOG_DOMAIN_INVENTORY_H

#include "domain/remembered.h"

enum { INVENTORY_NAME_MAX = 512 };

// The fields every versioned record of inventory.events begins with.
struct stock_head {
    struct id event_id;
    struct view shop_id;
    struct view sku;
    int64_t version;
    int64_t occurred_at;
    struct id causation_id;
    struct id correlation_id;
    int64_t on_hand;
    int64_t reserved;
    int64_t sold;
};

// The folded SKU. All zero = unknown SKU.
struct stock {
    int64_t version;
    int64_t on_hand;
    int64_t reserved;
    int64_t sold;
    int64_t received; // by StockReceived
    int64_t adjusted; // sum of deltas
    int64_t price_minor;
    int64_t price_version;
    char currency[4]; // terminated
    uint16_t name_len;
    char name[INVENTORY_NAME_MAX];
};

// One reservation; quantity 0 = none.
struct reservation {
    int64_t quantity;
};

// The slices of state one input touches: the caller looks them up by the input's keys (shop + sku;
// + order_id for RequestStock; + key_id for commands), hands in pointers to them (never NULL: a
// zeroed entry where there is none) and stores what changed.
struct inventory_slice {
    struct stock *stock;
    struct reservation *reservation;       // NULL for commands
    struct remembered_command *remembered; // NULL for RequestStock
};

// Folds one event of inventory.events into the slice.
void inventory_evolve(struct inventory_slice *slice, enum record_id type, const void *event);

// For a slice that was restored from snapshots taken at different moments. The SKU may have seen
// the event already: then only what lies beside it, reservation and command, follows the event. And
// the reservation may be newer than the SKU: it is set to what an event that is folded must find.
void inventory_evolve_beside(struct inventory_slice *slice, enum record_id type, const void *event);
void inventory_expect(struct inventory_slice *slice, enum record_id type, const void *event);

// The SKU as a record but for shop and SKU, which the caller knows; texts are borrowed. And back.
// False: no SKU is like that.
void inventory_snapshot(const struct stock *stock, struct stock_snapshot *ret);
bool inventory_restore(const struct stock_snapshot *snapshot, struct stock *ret);

// Decides SetProduct, ReceiveStock, AdjustStock, RequestStock. RESERVE is answered to the order
// (StockAnswered); RELEASE and SELL are facts that cannot be refused: with no reservation they do
// nothing.
void inventory_decide(struct decision *decision, struct inventory_slice *slice, enum record_id type,
                      const void *input);

#endif
