// SPDX-License-Identifier: Apache-2.0
//
// The fold of inventory.events: levels are recomputed from what each event says happened, and
// compared with the absolute figures it carries.
#include "cli/verify.h"
#include "domain/inventory.h"

#include <string.h>

struct step {
    int64_t on_hand;
    int64_t reserved;
    int64_t sold;
    const struct id *order_id; // of a reservation, its release or sale
    int64_t quantity;
};

static void keep_product(struct verify_sku *sku, struct view name, struct view currency,
                         int64_t price_minor, int64_t price_version) {
    sku->texts[SKU_NAME] = verify_hash_view(name);
    sku->texts[SKU_CURRENCY] = verify_hash_view(currency);
    sku->numbers[SKU_PRICE_MINOR] = price_minor;
    sku->numbers[SKU_PRICE_VERSION] = price_version;
}

// What the event changes, by its own words.
static struct step read_step(struct verify_sku *sku, const struct message *message) {
    switch ((int)message->type) {
    case RECORD_PRODUCT_CREATED: {
        const struct product_created *event = message->body;
        keep_product(sku, event->name, event->currency, event->price_minor, event->price_version);
        return (struct step){0};
    }
    case RECORD_PRODUCT_CHANGED: {
        const struct product_changed *event = message->body;
        keep_product(sku, event->name, event->currency, event->price_minor, event->price_version);
        return (struct step){0};
    }
    case RECORD_STOCK_RECEIVED: {
        const struct stock_received *event = message->body;
        sku->received += event->quantity;
        return (struct step){.on_hand = event->quantity};
    }
    case RECORD_STOCK_ADJUSTED: {
        const struct stock_adjusted *event = message->body;
        sku->adjusted += event->delta;
        return (struct step){.on_hand = event->delta};
    }
    case RECORD_STOCK_RESERVED: {
        const struct stock_reserved *event = message->body;
        return (struct step){
            .reserved = event->quantity, .order_id = &event->order_id, .quantity = event->quantity};
    }
    case RECORD_STOCK_RELEASED: {
        const struct stock_released *event = message->body;
        return (struct step){.reserved = -event->quantity,
                             .order_id = &event->order_id,
                             .quantity = event->quantity};
    }
    default: {
        const struct stock_sold *event = message->body;
        return (struct step){.on_hand = -event->quantity,
                             .reserved = -event->quantity,
                             .sold = event->quantity,
                             .order_id = &event->order_id,
                             .quantity = event->quantity};
    }
    }
}

// Books the step with the order it was for. An order that nobody placed is a violation, unless it
// was placed after orders.events was read.
static void book(struct verify *verify, struct verify_sku *sku, uint32_t sku_number,
                 enum record_id type, const struct step *step, const struct log_record *record) {
    sku->open += step->reserved;
    const uint32_t number =
        intern_find(&verify->order_ids, step->order_id->bytes, sizeof(step->order_id->bytes));
    struct verify_item *item = number == INTERN_NONE
                                   ? NULL
                                   : verify_item_find(verify, &verify->orders[number], sku_number);
    if (!item) {
        if (verify->is_quiet)
            verify_violation(verify->report, CHECK_ORDER_STOCK,
                             "SKU %s, inventory.events[%d] offset %lld: order %s never wanted it",
                             intern_bytes(&verify->sku_keys, sku_number, NULL), record->partition,
                             (long long)record->offset, id_text(step->order_id).text);
        return;
    }
    if (type == RECORD_STOCK_RESERVED)
        item->reserved += step->quantity;
    else if (type == RECORD_STOCK_RELEASED)
        item->released += step->quantity;
    else
        item->sold += step->quantity;
}

static void check_levels(struct verify *verify, const struct verify_sku *sku, const char *key,
                         const struct stock_head *head, const struct step *step,
                         const struct log_record *record) {
    struct verify_report *report = verify->report;
    report->checked[CHECK_STOCK_BOUNDS]++;
    if (head->reserved < 0 || head->reserved > head->on_hand || head->sold < 0)
        verify_violation(report, CHECK_STOCK_BOUNDS,
                         "SKU %s version %lld, inventory.events[%d] offset %lld: on hand %lld, "
                         "reserved %lld, sold %lld",
                         key, (long long)head->version, record->partition,
                         (long long)record->offset, (long long)head->on_hand,
                         (long long)head->reserved, (long long)head->sold);
    report->checked[CHECK_STOCK_STEPS]++;
    const int64_t on_hand = sku->numbers[SKU_ON_HAND] + step->on_hand;
    const int64_t reserved = sku->numbers[SKU_RESERVED] + step->reserved;
    const int64_t sold = sku->numbers[SKU_SOLD] + step->sold;
    if (head->on_hand != on_hand || head->reserved != reserved || head->sold != sold)
        verify_violation(report, CHECK_STOCK_STEPS,
                         "SKU %s version %lld, inventory.events[%d] offset %lld: on hand %lld, "
                         "reserved %lld, sold %lld instead of %lld, %lld, %lld",
                         key, (long long)head->version, record->partition,
                         (long long)record->offset, (long long)head->on_hand,
                         (long long)head->reserved, (long long)head->sold, (long long)on_hand,
                         (long long)reserved, (long long)sold);
}

static void check_id(struct verify *verify, const char *key, const struct id *event_id,
                     const struct id *cause, int64_t index, const struct log_record *record) {
    verify->report->checked[CHECK_DERIVED_IDS]++;
    const struct id expected = id_derive(cause, (uint64_t)index);
    if (!id_equal(&expected, event_id))
        verify_violation(verify->report, CHECK_DERIVED_IDS,
                         "SKU %s, inventory.events[%d] offset %lld: event id %s instead of %s", key,
                         record->partition, (long long)record->offset, id_text(event_id).text,
                         id_text(&expected).text);
}

bool verify_fold_stock(struct verify *verify, const struct message *message,
                       const struct log_record *record) {
    if (message->type == RECORD_STOCK_COMMAND_REFUSED) {
        const struct stock_command_refused *refused = message->body;
        check_id(verify, "", &refused->event_id, &refused->causation_id, refused->occurred_at,
                 record);
        return true;
    }

    const struct stock_head *head = message->body;
    uint32_t number = 0;
    struct verify_sku *sku = verify_sku_get(verify, head->shop_id, head->sku, &number);
    if (!sku)
        return false;
    const char *key = intern_bytes(&verify->sku_keys, number, NULL);
    const int64_t expected = sku->numbers[SKU_VERSION] + 1;
    verify->report->checked[CHECK_SKU_VERSIONS]++;
    if (head->version != expected) {
        verify_violation(
            verify->report, CHECK_SKU_VERSIONS,
            "SKU %s, inventory.events[%d] offset %lld: %s has version %lld, expected %lld", key,
            record->partition, (long long)record->offset, record_types[message->type]->name,
            (long long)head->version, (long long)expected);
        if (head->version < expected)
            return true;
    }
    check_id(verify, key, &head->event_id, &head->causation_id, head->version, record);

    const struct step step = read_step(sku, message);
    check_levels(verify, sku, key, head, &step, record);
    sku->numbers[SKU_VERSION] = head->version;
    sku->numbers[SKU_ON_HAND] = head->on_hand;
    sku->numbers[SKU_RESERVED] = head->reserved;
    sku->numbers[SKU_SOLD] = head->sold;
    sku->numbers[SKU_UPDATED_AT] = head->occurred_at;
    sku->partition = record->partition;
    sku->offset_last = record->offset;
    if (step.order_id)
        book(verify, sku, number, message->type, &step, record);
    return true;
}
