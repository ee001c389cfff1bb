// SPDX-License-Identifier: Apache-2.0
//
// What an order costs, and whether its numbers are ones we take. The gateway asks before it
// writes the command, the decider asks again: only the second one counts.
#include "domain/money.h"
#include "domain/order.h"

static const int64_t quantity_max = 1000000;
static const int64_t unit_price_minor_max = INT64_C(1000000000000);

static bool refuse(const char *reason, int32_t line, const char **reterr_reason,
                   int32_t *reterr_line) {
    *reterr_reason = reason;
    *reterr_line = line;
    return false;
}

static bool extra_in_range(int64_t minor) {
    return minor >= 0 && minor <= MONEY_MINOR_MAX;
}

bool order_amounts(const struct order_line *lines, uint32_t lines_count, int64_t discount_minor,
                   int64_t shipping_minor, int64_t tax_minor, struct order_amounts *ret,
                   const char **reterr_reason, int32_t *reterr_line) {
    int64_t items_minor = 0;
    for (uint32_t i = 0; i < lines_count; i++) {
        const struct order_line *line = &lines[i];
        int32_t at = (int32_t)i;
        if (line->quantity < 1 || line->quantity > quantity_max)
            return refuse("quantity must be from 1 to 1000000", at, reterr_reason, reterr_line);
        if (line->unit_price_minor < 0 || line->unit_price_minor > unit_price_minor_max)
            return refuse("unit_price_minor must be from 0 to 1000000000000", at, reterr_reason,
                          reterr_line);
        int64_t line_minor;
        if (!money_multiply(line->quantity, line->unit_price_minor, &line_minor) ||
            !money_add(items_minor, line_minor, &items_minor))
            return refuse("the sum of the lines is too large", at, reterr_reason, reterr_line);
    }

    if (!extra_in_range(discount_minor))
        return refuse("discount_minor is out of range", -1, reterr_reason, reterr_line);
    if (!extra_in_range(shipping_minor))
        return refuse("shipping_minor is out of range", -1, reterr_reason, reterr_line);
    if (!extra_in_range(tax_minor))
        return refuse("tax_minor is out of range", -1, reterr_reason, reterr_line);

    int64_t total_minor;
    if (!money_add(items_minor, -discount_minor, &total_minor) ||
        !money_add(total_minor, shipping_minor, &total_minor) ||
        !money_add(total_minor, tax_minor, &total_minor))
        return refuse("the total is too large", -1, reterr_reason, reterr_line);
    if (total_minor < 0)
        return refuse("the discount is larger than the rest of the order", -1, reterr_reason,
                      reterr_line);
    ret->items_minor = items_minor;
    ret->total_minor = total_minor;
    return true;
}
