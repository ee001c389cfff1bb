// SPDX-License-Identifier: Apache-2.0
#include "bench_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 5, CUSTOMERS = 100000 };

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

size_t bench_order_write(char out[BENCH_ORDER_MAX], uint64_t number, int skus, const char *key,
                         size_t *ret_key_at) {
    uint64_t random = number * 0x2545f4914f6cdd1dU + 1;
    size_t len = 0;
    out[len++] = '{';
    if (key) {
        static const char name[] = "\"idempotency_key\":\"";
        if (ret_key_at)
            *ret_key_at = len + sizeof(name) - 1;
        len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len, "%s%s\",", name, key);
    }
    len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len,
                            "\"customer_id\":\"customer-%06" PRIu64 "\",\"currency\":\"GBP\","
                            "\"shipping_minor\":395,\"lines\":[",
                            next_random(&random) % CUSTOMERS);
    const uint64_t lines = 1 + next_random(&random) % LINES_MAX;
    const uint64_t first = next_random(&random);
    // A step that is no multiple of the number of SKUs: the lines' SKUs differ.
    const uint64_t step = 1 + next_random(&random) % ((uint64_t)skus / LINES_MAX);
    for (uint64_t i = 0; i < lines; i++)
        len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len,
                                "%s{\"sku\":\"BENCH-%05" PRIu64 "\",\"quantity\":%" PRIu64 "}",
                                i ? "," : "", (first + i * step) % (uint64_t)skus,
                                1 + next_random(&random) % 3);
    len += (size_t)snprintf(out + len, BENCH_ORDER_MAX - len, "]}");
    return len;
}
