// SPDX-License-Identifier: Apache-2.0
#include "cli/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CUSTOMERS = 100000 };

// SplitMix64: the number of the order is the seed, so that a resent order is the same order.
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

size_t bench_key_write(char out[BENCH_KEY_MAX], const char *tag, uint64_t number) {
    return (size_t)snprintf(out, BENCH_KEY_MAX, "%s-%012" PRIx64, tag, number);
}

struct id bench_order_id(const char *key) {
    static const char shop[] = "main";
    static const char type[] = "PlaceOrder";
    return id_hash((const struct id_part[]){{shop, sizeof(shop) - 1},
                                            {type, sizeof(type) - 1},
                                            {key, strlen(key)}},
                   3);
}

void bench_order_draw(uint64_t number, int skus, struct bench_order *ret) {
    uint64_t random = number * 0x2545f4914f6cdd1dU + 1;
    ret->customer = (uint32_t)(next_random(&random) % CUSTOMERS);
    ret->lines_count = 1 + (uint32_t)(next_random(&random) % BENCH_LINES_MAX);
    const uint64_t first = next_random(&random);
    // A step that is no multiple of the number of SKUs: the lines' SKUs differ.
    const uint64_t step = 1 + next_random(&random) % ((uint64_t)skus / BENCH_LINES_MAX);
    for (uint32_t i = 0; i < ret->lines_count; i++)
        ret->lines[i] = (struct bench_line){
            .sku = (uint32_t)((first + i * step) % (uint64_t)skus),
            .quantity = 1 + (uint32_t)(next_random(&random) % BENCH_QUANTITY_MAX)};
}

size_t bench_customer_write(char out[BENCH_NAME_MAX], uint32_t customer) {
    return (size_t)snprintf(out, BENCH_NAME_MAX, "customer-%06" PRIu32, customer);
}

size_t bench_sku_write(char out[BENCH_NAME_MAX], uint32_t sku) {
    return (size_t)snprintf(out, BENCH_NAME_MAX, "BENCH-%05" PRIu32, sku);
}

size_t bench_order_write(char out[BENCH_ORDER_MAX], uint64_t number, int skus, const char *key,
                         size_t *ret_key_at) {
    struct bench_order order;
    char name[BENCH_NAME_MAX];
    bench_order_draw(number, skus, &order);
    size_t len = 0;
    out[len++] = '{';
    if (key) {
        static const char member[] = "\"idempotency_key\":\"";
        if (ret_key_at)
            *ret_key_at = len + sizeof(member) - 1;
        len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len, "%s%s\",", member, key);
    }
    (void)bench_customer_write(name, order.customer);
    len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len,
                            "\"customer_id\":\"%s\",\"currency\":\"GBP\","
                            "\"shipping_minor\":395,\"lines\":[",
                            name);
    for (uint32_t i = 0; i < order.lines_count; i++) {
        (void)bench_sku_write(name, order.lines[i].sku);
        len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len,
                                "%s{\"sku\":\"%s\",\"quantity\":%" PRIu32 "}", i ? "," : "", name,
                                order.lines[i].quantity);
    }
    len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len, "]}");
    return len;
}
