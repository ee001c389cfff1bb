// SPDX-License-Identifier: Apache-2.0
//
// What `orderlog verify` knows: a fold of the log made from nothing but the log, by code of its own
// (not the deciders'), and the list of checks with what was found against them.
//
//   verify_log.c      reads a topic, checks what holds for every event, hands it to its fold
//   verify_orders.c   orders.events → orders, their lines and the text of their rows
//   verify_stock.c    inventory.events → SKUs and what each order has of them
//   verify_effects.c  payments.events, shipping.events → what was done for each order
//   verify_books.c    orders, stock and money against each other
//   verify_model.c    PostgreSQL against the fold, row for row
//   verify_customers.c  customers → their rows; and what an erasure left
//   verify_state.c    snapshots of the processors' memory against a fold of all events
//
// One thread.
#ifndef ORDERLOG_CLI_VERIFY_H
#define ORDERLOG_CLI_VERIFY_H

#include "cli/intern.h"
#include "event/message.h"
#include "service/config.h"
#include "service/error.h"
#include "stream/log_reader.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- checks -------------------------------------------------------------------------------------

// VERIFY(id, promise, what is checked, of what)
#define VERIFY_CHECKS(VERIFY)                                                                      \
    VERIFY(PLACE, "I3", "every event lies in its key's partition, under its key", "events")        \
    VERIFY(EVENT_IDS, "I3", "event ids are unique", "events")                                      \
    VERIFY(DERIVED_IDS, "I3", "event ids follow from cause and version", "events")                 \
    VERIFY(ORDER_VERSIONS, "I3", "orders' versions are 1, 2, 3, ... without a gap", "events")      \
    VERIFY(SKU_VERSIONS, "I3", "SKUs' versions are 1, 2, 3, ... without a gap", "events")          \
    VERIFY(STOCK_BOUNDS, "I7", "0 <= reserved <= on hand at every SKU version", "versions")        \
    VERIFY(STOCK_STEPS, "I7", "stock levels follow from the event", "versions")                    \
    VERIFY(ORDER_ROWS, "I9", "orders in PostgreSQL equal the fold", "rows")                        \
    VERIFY(LINE_ROWS, "I9", "order_lines in PostgreSQL equal the fold", "orders")                  \
    VERIFY(TIMELINE_ROWS, "I9", "order_timeline in PostgreSQL equals the log", "orders")           \
    VERIFY(ADDRESS_ROWS, "I9", "order_addresses in PostgreSQL equal the log", "rows")              \
    VERIFY(REGISTER_ROWS, "I9", "customers in PostgreSQL equal the register", "rows")              \
    VERIFY(INVENTORY_ROWS, "I9", "inventory in PostgreSQL equals the fold", "rows")                \
    VERIFY(COUNT_ROWS, "I9", "order_stats are the sums over orders", "sums")                       \
    VERIFY(CUSTOMER_ROWS, "I9", "customer_counts are the sums over orders", "sums")                \
    VERIFY(SKU_DAY_ROWS, "I9", "sku_days add up to what inventory has sold", "SKUs")               \
    VERIFY(STATE_ROWS, "I11", "snapshots and later events equal all events", "rows")               \
    VERIFY(AMOUNTS, "I13", "an order's amounts add up", "orders")                                  \
    VERIFY(FOLDED, "I13", "closing events carry the order that closed", "orders")                  \
    VERIFY(PAYMENTS, "I13", "payments match their orders' state and total", "orders")              \
    VERIFY(ORDER_STOCK, "I13", "SKUs hold for each order what its state says", "order items")      \
    VERIFY(STOCK_BALANCE, "I13", "received + adjusted = on hand + sold", "SKUs")                   \
    VERIFY(RESERVED_BALANCE, "I13", "reserved = what open reservations hold", "SKUs")              \
    VERIFY(SHIPMENTS, "I13", "the carrier's facts match their orders' state", "orders")

#define VERIFY_ID(id, ...) CHECK_##id,
enum verify_check { VERIFY_CHECKS(VERIFY_ID) CHECK_COUNT };
#undef VERIFY_ID

enum { VERIFY_VIOLATIONS_KEPT = 10, VERIFY_TEXT_MAX = 320 };

struct verify_report {
    int64_t checked[CHECK_COUNT];
    int64_t violations[CHECK_COUNT];
    char texts[CHECK_COUNT][VERIFY_VIOLATIONS_KEPT][VERIFY_TEXT_MAX];
};

void verify_violation(struct verify_report *report, enum verify_check check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Prints the table and the first violations of each check. Returns how many there are in all.
int64_t verify_report_print(const struct verify_report *report, FILE *out);

// ---- the fold -----------------------------------------------------------------------------------

// Columns of a row in PostgreSQL, in the order of the SELECT that verify_model.c sends. Texts are
// kept as hashes (0: null), numbers and times as they are (VERIFY_NULL: null).
#define VERIFY_NULL INT64_MIN

#define ORDER_TEXTS(COLUMN)                                                                        \
    COLUMN(SHOP_ID, shop_id)                                                                       \
    COLUMN(CUSTOMER_ID, customer_id)                                                               \
    COLUMN(REFERENCE, reference)                                                                   \
    COLUMN(CURRENCY, currency)                                                                     \
    COLUMN(STATUS, status)                                                                         \
    COLUMN(RESERVATION_STATUS, reservation_status)                                                 \
    COLUMN(PAYMENT_STATUS, payment_status)                                                         \
    COLUMN(SHIPMENT_STATUS, shipment_status)                                                       \
    COLUMN(CLOSE_REASON, close_reason)                                                             \
    COLUMN(CLOSE_DETAIL, close_detail)                                                             \
    COLUMN(CASE_REASON, case_reason)                                                               \
    COLUMN(TRACKING, tracking)

#define ORDER_NUMBERS(COLUMN)                                                                      \
    COLUMN(VERSION, version)                                                                       \
    COLUMN(LINES_COUNT, lines_count)                                                               \
    COLUMN(ITEMS_MINOR, items_minor)                                                               \
    COLUMN(DISCOUNT_MINOR, discount_minor)                                                         \
    COLUMN(SHIPPING_MINOR, shipping_minor)                                                         \
    COLUMN(TAX_MINOR, tax_minor)                                                                   \
    COLUMN(TOTAL_MINOR, total_minor)                                                               \
    COLUMN(CAPTURED_MINOR, captured_minor)

#define ORDER_TIMES(COLUMN)                                                                        \
    COLUMN(ORDERED_AT, ordered_at)                                                                 \
    COLUMN(PLACED_AT, placed_at)                                                                   \
    COLUMN(CONFIRMED_AT, confirmed_at)                                                             \
    COLUMN(DISPATCHED_AT, dispatched_at)                                                           \
    COLUMN(DELIVERED_AT, delivered_at)                                                             \
    COLUMN(CLOSED_AT, closed_at)                                                                   \
    COLUMN(UPDATED_AT, updated_at)

#define VERIFY_ORDER_COLUMN(id, name) ORDER_##id,
enum order_text_column { ORDER_TEXTS(VERIFY_ORDER_COLUMN) ORDER_TEXTS_COUNT };
enum order_number_column {
    ORDER_NUMBERS(VERIFY_ORDER_COLUMN) ORDER_TIMES(VERIFY_ORDER_COLUMN) ORDER_NUMBERS_COUNT
};

// How much of a SKU an order wants, and what the SKU's events did for it.
struct verify_item {
    uint32_t sku; // number in verify.sku_keys
    int64_t quantity;
    int64_t reserved;
    int64_t released;
    int64_t sold;
};

struct verify_effects {
    int64_t authorized_minor; // VERIFY_NULL: never
    int64_t captured_minor;   // VERIFY_NULL: never
    bool voided;
    bool booked;
    bool dispatched;
    bool delivered;
    bool shipment_cancelled;
};

struct verify_order {
    struct id id;
    uint64_t texts[ORDER_TEXTS_COUNT];
    int64_t numbers[ORDER_NUMBERS_COUNT];
    enum order_status status;
    enum reservation_status reservation_status;
    enum payment_status payment_status;
    enum shipment_status shipment_status;
    int32_t partition;
    int64_t offset_first;
    int64_t offset_last;
    uint64_t lines_digest;
    uint64_t timeline_digest; // of the events that order_timeline has stored
    int64_t timeline_count;
    size_t items_first; // into verify.items
    uint32_t items_count;
    bool row_seen;
    bool lines_seen;
    bool timeline_seen;
    uint64_t address_digest; // 0: it names no address
    bool address_seen;
    struct verify_effects effects;
};

#define SKU_TEXTS(COLUMN)                                                                          \
    COLUMN(NAME, name)                                                                             \
    COLUMN(CURRENCY, currency)

#define SKU_NUMBERS(COLUMN)                                                                        \
    COLUMN(VERSION, version)                                                                       \
    COLUMN(PRICE_MINOR, price_minor)                                                               \
    COLUMN(PRICE_VERSION, price_version)                                                           \
    COLUMN(ON_HAND, on_hand)                                                                       \
    COLUMN(RESERVED, reserved)                                                                     \
    COLUMN(SOLD, sold)

#define SKU_TIMES(COLUMN) COLUMN(UPDATED_AT, updated_at)

#define VERIFY_SKU_COLUMN(id, name) SKU_##id,
enum sku_text_column { SKU_TEXTS(VERIFY_SKU_COLUMN) SKU_TEXTS_COUNT };
enum sku_number_column {
    SKU_NUMBERS(VERIFY_SKU_COLUMN) SKU_TIMES(VERIFY_SKU_COLUMN) SKU_NUMBERS_COUNT
};

struct verify_sku {
    uint64_t texts[SKU_TEXTS_COUNT];
    int64_t numbers[SKU_NUMBERS_COUNT];
    int64_t received;
    int64_t adjusted;
    int64_t open; // what reservations hold that were neither released nor sold
    int32_t partition;
    int64_t offset_last;
    bool row_seen;
};

struct verify_log; // uniqueness of event ids

struct verify {
    const struct config *config;  // borrowed
    const struct schema_ids *ids; // borrowed
    struct verify_report *report; // borrowed

    struct intern order_ids; // 16 bytes each; numbers = indexes of orders
    struct verify_order *orders;
    uint32_t orders_capacity;
    struct intern sku_keys; // shop '/' SKU; numbers = indexes of skus
    struct verify_sku *skus;
    uint32_t skus_capacity;
    struct verify_item *items;
    size_t items_count;
    size_t items_capacity;
    struct verify_log *log;

    const int64_t *timeline_until; // per orders partition: what order_timeline has stored
    int64_t now_us;
    bool is_quiet;     // nothing was under way when reading began
    int64_t in_flight; // orders not judged across domains because of that
    int64_t records[TOPIC_COUNT];
    int64_t foreign[TOPIC_COUNT]; // records that are no events of ours
};

// A text as it is kept: never 0.
uint64_t verify_hash(const void *bytes, size_t len);
uint64_t verify_hash_view(struct view text); // 0 for null
uint64_t verify_hash_text(const char *text); // likewise

// Reads [from, until) of every partition of an events topic into the fold; NULL: everything.
bool verify_log_read(struct verify *verify, enum topic_id topic, const int64_t *from,
                     const int64_t *until, struct error *err);
void verify_log_done(struct verify *verify);

// The order or SKU, made if new; NULL when memory is out.
struct verify_order *verify_order_get(struct verify *verify, const struct id *order_id);
struct verify_sku *verify_sku_get(struct verify *verify, struct view shop_id, struct view sku,
                                  uint32_t *ret_number);

// What the order wants or has of the SKU; NULL: it never named it.
struct verify_item *verify_item_find(struct verify *verify, const struct verify_order *order,
                                     uint32_t sku);

// False: out of memory.
typedef bool verify_fold(struct verify *verify, const struct message *message,
                         const struct log_record *record);
verify_fold verify_fold_order;
verify_fold verify_fold_stock;
verify_fold verify_fold_payment;
verify_fold verify_fold_shipment;

// The order that an event carries if it closes it, against the fold of all events before.
void verify_folded(struct verify *verify, const struct verify_order *order,
                   const struct message *message, int64_t offset);

// The snapshots in D.state, with the events after them.
bool verify_state(struct verify *verify, struct error *err);

// Everything against everything, once all topics are read.
void verify_books(struct verify *verify);

// ---- PostgreSQL ---------------------------------------------------------------------------------

struct verify_model;

// Begins one read-only snapshot and reads the stored offsets. NULL: DISP_RETRY when the database
// cannot be reached, DISP_FATAL when there are no tables.
struct verify_model *verify_model_open(const struct config *config, struct error *err);
void verify_model_close(struct verify_model *model); // NULL is fine

// Next offset per partition that the read model has stored, zeros where it has none. Borrowed.
const int64_t *verify_model_offsets(const struct verify_model *model, const char *projection);

// The digest of one row of order_lines; an order's digest is the sum over its lines. price_version
// VERIFY_NULL: null.
uint64_t verify_line_digest(int64_t line_no, uint64_t sku, int64_t quantity,
                            int64_t unit_price_minor, int64_t price_version);
uint64_t verify_lines_digest(const struct order_line *lines, uint32_t count);

// The digest of one timeline row, as verify_model.c computes it from PostgreSQL's.
uint64_t verify_timeline_digest(const struct message *message, const struct log_record *record);

// The digest of what is sealed.
uint64_t verify_sealed_digest(const struct personal *sealed);
bool verify_model_addresses(struct verify_model *model, struct verify *verify, struct error *err);

// Reads the topic customers up to what is projected, and compares.
bool verify_model_customers(struct verify_model *model, struct verify *verify, struct error *err);

// Compares. Each expects the fold to be as far as that read model's offsets.
bool verify_model_orders(struct verify_model *model, struct verify *verify, struct error *err);
bool verify_model_inventory(struct verify_model *model, struct verify *verify, struct error *err);
bool verify_model_timeline(struct verify_model *model, struct verify *verify, struct error *err);

// Sums of a read model against its own rows.
bool verify_model_sums(struct verify_model *model, struct verify *verify, struct error *err);

// ---- erasure ------------------------------------------------------------------------------------

// Prints what is left of a customer and whether it can be read. log_dirs: folders of brokers
// (log.dirs), looked into where given. False with *ret_erased untouched: it could not be found out.
bool verify_erased(const struct config *config, const struct schema_ids *ids, const char *shop,
                   const char *customer, const char *log_dirs, bool *ret_erased, struct error *err);

#endif
