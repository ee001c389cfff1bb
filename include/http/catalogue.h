// SPDX-License-Identifier: Apache-2.0
//
// Prices, folded from the compacted topic `products` and kept in memory by every gateway.
#ifndef ORDERLOG_HTTP_CATALOGUE_H
#define ORDERLOG_HTTP_CATALOGUE_H

#include "event/schema_ids.h"
#include "service/config.h"
#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CURRENCY_LEN = 3 };

struct catalogue_price {
    int64_t price_minor;
    int64_t price_version;
    char currency[CURRENCY_LEN + 1];
};

struct catalogue;

// Returns true when the topic has been read to its end for the first time. config and ids are
// borrowed.
bool catalogue_start(const struct config *config, const struct schema_ids *ids,
                     struct catalogue **ret, struct error *err);
void catalogue_stop(struct catalogue *catalogue); // NULL is fine

// The rest: any thread.

// False: the shop has no such product.
bool catalogue_find(struct catalogue *catalogue, const char *shop, size_t shop_len, const char *sku,
                    size_t sku_len, struct catalogue_price *ret);

// Since it was last known to be complete.
int64_t catalogue_age_ms(const struct catalogue *catalogue);

size_t catalogue_count(struct catalogue *catalogue);

#endif
