// SPDX-License-Identifier: Apache-2.0
//
// A map from "shop/SKU" (the topic's own keys) to the latest price. The reader's thread writes,
// HTTP threads look up, one after the other's back kept free by a read-write lock.
#include "http/catalogue.h"

#include "event/message.h"
#include "service/arena.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/strmap.h"
#include "stream/table_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TIMEOUT_MS = 60000, RECORD_BYTES_MAX = 1 << 20 };

struct catalogue {
    const struct schema_ids *ids; // borrowed
    struct table_reader *reader;
    struct arena arena; // of the reader's thread
    pthread_rwlock_t lock;
    struct strmap prices;
};

static bool price_of(const struct product *product, struct catalogue_price *ret) {
    if (product->currency.len != CURRENCY_LEN || product->price_minor < 0)
        return false;
    *ret = (struct catalogue_price){.price_minor = product->price_minor,
                                    .price_version = product->price_version};
    memcpy(ret->currency, product->currency.ptr, CURRENCY_LEN);
    return true;
}

static void apply(void *state, const void *key, size_t key_len, const void *value,
                  size_t value_len) {
    struct catalogue *catalogue = state;
    struct catalogue_price price;
    bool valid = false;
    if (!key || key_len == 0 || key_len > TOPIC_KEY_MAX)
        return;
    if (value) {
        struct message message;
        struct error err = {0};
        arena_reset(&catalogue->arena);
        if (!message_decode(catalogue->ids, value, value_len, &catalogue->arena, &message, &err) ||
            message.type != RECORD_PRODUCT) {
            LOG(WARN, "a record of products is not a product, skipping it",
                F_STR("error", err.msg));
            return;
        }
        valid = price_of(message.body, &price);
    }
    (void)pthread_rwlock_wrlock(&catalogue->lock);
    struct catalogue_price *stored = valid ? strmap_put(&catalogue->prices, key, key_len) : NULL;
    if (stored)
        *stored = price;
    else
        (void)strmap_remove(&catalogue->prices, key, key_len);
    metrics_set(METRIC_GATEWAY_CATALOGUE_PRODUCTS, 0, (int64_t)catalogue->prices.count);
    (void)pthread_rwlock_unlock(&catalogue->lock);
}

bool catalogue_start(const struct config *config, const struct schema_ids *ids,
                     struct catalogue **ret, struct error *err) {
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (!catalogue || pthread_rwlock_init(&catalogue->lock, NULL) != 0) {
        free(catalogue);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    catalogue->ids = ids;
    arena_init(&catalogue->arena, RECORD_BYTES_MAX);
    strmap_init(&catalogue->prices, sizeof(struct catalogue_price));
    bool ok =
        table_reader_start(config, TOPIC_PRODUCTS, apply, catalogue, &catalogue->reader, err) &&
        (table_reader_wait(catalogue->reader, READ_TIMEOUT_MS) ||
         error_set(err, DISP_RETRY, 0, "products could not be read to its end in time"));
    if (!ok) {
        catalogue_stop(catalogue);
        return false;
    }
    *ret = catalogue;
    return true;
}

void catalogue_stop(struct catalogue *catalogue) {
    if (!catalogue)
        return;
    table_reader_stop(catalogue->reader);
    strmap_done(&catalogue->prices);
    arena_done(&catalogue->arena);
    (void)pthread_rwlock_destroy(&catalogue->lock);
    free(catalogue);
}

bool catalogue_find(struct catalogue *catalogue, const char *shop, size_t shop_len, const char *sku,
                    size_t sku_len, struct catalogue_price *ret) {
    char key[TOPIC_KEY_MAX];
    size_t key_len = topic_sku_key(shop, shop_len, sku, sku_len, key);
    (void)pthread_rwlock_rdlock(&catalogue->lock);
    const struct catalogue_price *found = strmap_find(&catalogue->prices, key, key_len);
    if (found)
        *ret = *found;
    (void)pthread_rwlock_unlock(&catalogue->lock);
    return found != NULL;
}

int64_t catalogue_age_ms(const struct catalogue *catalogue) {
    return table_reader_age_ms(catalogue->reader);
}

size_t catalogue_count(struct catalogue *catalogue) {
    (void)pthread_rwlock_rdlock(&catalogue->lock);
    size_t count = catalogue->prices.count;
    (void)pthread_rwlock_unlock(&catalogue->lock);
    return count;
}
