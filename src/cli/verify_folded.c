// SPDX-License-Identifier: Apache-2.0
//
// The order as its closing event carries it, against what the events before it said. That the
// processors know where that event lies is a part of their state: see verify_state.c.
#include "cli/verify.h"
#include "domain/order.h"

uint64_t verify_lines_digest(const struct order_line *lines, uint32_t count) {
    uint64_t digest = 0;
    for (uint32_t i = 0; i < count; i++)
        digest += verify_line_digest(
            i + 1, verify_hash_view(lines[i].sku), lines[i].quantity, lines[i].unit_price_minor,
            lines[i].has_price_version ? lines[i].price_version : VERIFY_NULL);
    return digest;
}

void verify_folded(struct verify *verify, const struct verify_order *order,
                   const struct message *message, int64_t offset) {
    const struct folded_order *folded = order_event_folded(message->type, message->body);
    if (!folded)
        return;
    const struct {
        enum order_number_column column;
        int64_t value;
    } numbers[] = {
        {ORDER_LINES_COUNT, folded->lines_count},
        {ORDER_ITEMS_MINOR, folded->items_minor},
        {ORDER_DISCOUNT_MINOR, folded->discount_minor},
        {ORDER_SHIPPING_MINOR, folded->shipping_minor},
        {ORDER_TAX_MINOR, folded->tax_minor},
        {ORDER_TOTAL_MINOR, folded->total_minor},
        {ORDER_CAPTURED_MINOR, folded->captured_minor},
    };
    bool same = verify_hash_view(folded->customer_id) == order->texts[ORDER_CUSTOMER_ID] &&
                verify_hash_view(folded->currency) == order->texts[ORDER_CURRENCY] &&
                verify_lines_digest(folded->lines, folded->lines_count) == order->lines_digest;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        same = same && order->numbers[numbers[i].column] == numbers[i].value;
    verify->report->checked[CHECK_FOLDED]++;
    if (!same)
        verify_violation(verify->report, CHECK_FOLDED,
                         "order %s, orders.events[%d] offset %lld: %s carries another order than "
                         "its events make",
                         id_text(&order->id).text, order->partition, (long long)offset,
                         record_types[message->type]->name);
}
