// SPDX-License-Identifier: Apache-2.0
//
// Inventory's answers: all or nothing. The last one decides whether money is asked for or the order
// is rejected with every shortage listed.
#include "order_turn.h"

// ---- rejection, also after a payment that failed -----------------------------------------------

static struct shortage *shortages(struct order_turn *turn, uint32_t count) {
    const struct order_open *open = order_opened(turn->order);
    const struct order_item *items = order_items(turn->order);
    struct shortage *list = decision_alloc(turn->decision, count * sizeof(*list));
    if (!list)
        return NULL;
    uint32_t at = 0;
    for (uint32_t i = 0; i < open->items_count; i++) {
        if (items[i].state <= ORDER_ITEM_RESERVED)
            continue;
        list[at].sku = order_text_kept(turn, items[i].sku_at, items[i].sku_len);
        list[at].result = items[i].state == ORDER_ITEM_UNKNOWN_SKU ? STOCK_RESULT_UNKNOWN_SKU
                                                                   : STOCK_RESULT_OUT_OF_STOCK;
        list[at].requested = items[i].quantity;
        list[at].available = items[i].available;
        at++;
    }
    return list;
}

void order_reject(struct order_turn *turn, enum reject_reason reason, struct view detail) {
    bool voids = order_payment_must_void(turn->order);
    uint32_t refused = order_opened(turn->order)->items_refused;
    struct order_rejected *rejected =
        order_event_begin(turn, RECORD_ORDER_REJECTED, sizeof(*rejected));
    if (!rejected)
        return;
    rejected->reason = reason;
    rejected->detail = detail;
    if (refused > 0) {
        rejected->shortages = shortages(turn, refused);
        rejected->shortages_count = rejected->shortages ? refused : 0;
    }
    rejected->has_deadline = voids;
    if (voids)
        rejected->deadline = order_payment_deadline_us(turn->decision, 0);
    order_event_end(turn);

    order_request_stock(turn, STOCK_ACTION_RELEASE);
    if (voids)
        order_request_payment(turn, PAYMENT_ACTION_VOID);
}

// ---- answers -----------------------------------------------------------------------------------

static void request_payment(struct order_turn *turn) {
    const struct order_open *open = order_opened(turn->order);
    struct order_payment_requested *requested =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_REQUESTED, sizeof(*requested));
    char *currency = decision_alloc(turn->decision, sizeof(open->currency));
    if (!requested || !currency)
        return;
    for (uint32_t i = 0; i < sizeof(open->currency); i++)
        currency[i] = open->currency[i];
    requested->payment_id = order_payment_id(turn->order);
    requested->amount_minor = open->total_minor;
    requested->currency = order_view(currency);
    requested->deadline = order_payment_deadline_us(turn->decision, 0);
    order_event_end(turn);
    order_request_payment(turn, PAYMENT_ACTION_AUTHORIZE);
}

static bool any_unknown_sku(struct order *order) {
    const struct order_item *items = order_items(order);
    for (uint32_t i = 0; i < order_opened(order)->items_count; i++)
        if (items[i].state == ORDER_ITEM_UNKNOWN_SKU)
            return true;
    return false;
}

static void when_all_answered(struct order_turn *turn) {
    const struct order_open *open = order_opened(turn->order);
    if (open->items_pending > 0)
        return;
    if (open->items_refused == 0)
        request_payment(turn);
    else
        order_reject(turn,
                     any_unknown_sku(turn->order) ? REJECT_REASON_UNKNOWN_SKU
                                                  : REJECT_REASON_OUT_OF_STOCK,
                     (struct view){0});
}

void order_stock_reserved(struct order_turn *turn) {
    const struct stock_answered *answer = turn->input;
    const struct order_item *item = order_item_find(turn->order, answer->sku);
    struct order_stock_reserved *reserved =
        order_event_begin(turn, RECORD_ORDER_STOCK_RESERVED, sizeof(*reserved));
    struct reserved_line *line = decision_alloc(turn->decision, sizeof(*line));
    if (!reserved || !line)
        return;
    line->sku = answer->sku;
    line->quantity = item->quantity;
    reserved->lines = line;
    reserved->lines_count = 1;
    order_event_end(turn);
    when_all_answered(turn);
}

void order_stock_refused(struct order_turn *turn) {
    const struct stock_answered *answer = turn->input;
    const struct order_item *item = order_item_find(turn->order, answer->sku);
    struct order_stock_refused *refused =
        order_event_begin(turn, RECORD_ORDER_STOCK_REFUSED, sizeof(*refused));
    if (!refused)
        return;
    refused->sku = answer->sku;
    refused->result = answer->result;
    refused->requested = item->quantity;
    refused->available = answer->available;
    order_event_end(turn);
    when_all_answered(turn);
}
