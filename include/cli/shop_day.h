// SPDX-License-Identifier: Apache-2.0
//
// One invented day of a shop, as CSV in the columns that `orderlog replay` reads. The same settings
// give the same bytes; the catalogue (SKU, name, price) depends on the SKU's number only, so that
// several days can be replayed into one shop.
#ifndef ORDERLOG_CLI_SHOP_DAY_H
#define ORDERLOG_CLI_SHOP_DAY_H

#include "service/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SHOP_DAY_SKUS_MAX = 20000, SHOP_DAY_LINES_MAX = 1000 };

struct shop_day {
    int64_t orders;
    int64_t skus; // 1 .. SHOP_DAY_SKUS_MAX
    uint64_t seed;
    double lines_mean;    // 1 .. 100
    const char *day;      // "YYYY-MM-DD", checked by the caller
    const char *currency; // three letters
};

bool shop_day_write(const struct shop_day *day, FILE *out, struct error *err);

#endif
