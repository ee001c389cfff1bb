// SPDX-License-Identifier: Apache-2.0
//
// Encodes or decodes one OrderPlaced of three lines COUNT times, by our codec or by avro-c's
// generic values, from and to the same struct. What a single one takes is for callgrind to count
// (row_codec.py); the last line of output is the nanoseconds of each.
//
//   bench_codec ours-encode|ours-decode|avroc-encode|avroc-decode COUNT
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_codec_avroc.h"
#include "service/clock.h"

enum { BYTES_MAX = 4096, LINES_MAX = 8 };

static struct order_line lines[] = {
    {.sku = {"85123A", 6},
     .quantity = 6,
     .unit_price_minor = 255,
     .has_price_version = true,
     .price_version = 2},
    {.sku = {"71053", 5}, .quantity = 6, .unit_price_minor = 339},
    {.sku = {"84406B", 6}, .quantity = 8, .unit_price_minor = 275},
};
static struct order_placed order = {
    .shop_id = {"main", 4},
    .version = 1,
    .occurred_at = 1700000000123456,
    .has_key_id = true,
    .customer_id = {"customer-17850", 14},
    .currency = {"GBP", 3},
    .reference = {"536365", 6},
    .payment_method = {"pm_card_visa", 12},
    .lines = lines,
    .lines_count = 3,
    .items_minor = 5764,
    .shipping_minor = 499,
    .tax_minor = 1252,
    .total_minor = 7515,
    .reservation_deadline = 1700000900123456,
};

static uint8_t bytes[BYTES_MAX];
static size_t bytes_len;
static struct arena arena;
static avro_value_t value;

static void ours_encode(void) {
    uint8_t *end = order_placed_encode(bytes, bytes + sizeof(bytes), &order);
    bytes_len = (size_t)(end - bytes);
}

static struct order_placed decoded;

static void ours_decode(void) {
    arena_reset(&arena);
    if (!order_placed_decode(bytes, bytes + bytes_len, &arena, &decoded, NULL))
        abort();
}

static void avroc_encode(void) {
    bench_avroc_set(&order, &value);
    avro_writer_t writer = avro_writer_memory((char *)bytes, sizeof(bytes));
    if (avro_value_write(writer, &value) != 0)
        abort();
    bytes_len = (size_t)avro_writer_tell(writer);
    avro_writer_free(writer);
}

static void avroc_decode(void) {
    static struct order_line read_lines[LINES_MAX];
    avro_reader_t reader = avro_reader_memory((char *)bytes, (int64_t)bytes_len);
    avro_value_reset(&value);
    if (avro_value_read(reader, &value) != 0)
        abort();
    avro_reader_free(reader);
    bench_avroc_get(&value, read_lines, LINES_MAX, &decoded);
}

static const struct {
    const char *name;
    void (*run)(void);
} runs[] = {
    {"ours-encode", ours_encode},
    {"ours-decode", ours_decode},
    {"avroc-encode", avroc_encode},
    {"avroc-decode", avroc_decode},
};
enum { RUNS = sizeof(runs) / sizeof(runs[0]) };

// What was written, or what was read and is written once more, is what we write ourselves.
static void check(void) {
    uint8_t want[BYTES_MAX], again[BYTES_MAX];
    size_t len = (size_t)(order_placed_encode(want, want + sizeof(want), &order) - want);
    if (decoded.lines)
        bytes_len = (size_t)(order_placed_encode(again, again + sizeof(again), &decoded) - again);
    if (bytes_len != len || memcmp(decoded.lines ? again : bytes, want, len) != 0)
        abort();
}

static void open_avroc(void) {
    avro_schema_t schema;
    if (avro_schema_from_json_length(order_placed_type.schema, order_placed_type.schema_len,
                                     &schema) != 0)
        abort();
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    if (avro_generic_value_new(class, &value) != 0)
        abort();
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    open_avroc();
    arena_init(&arena, 0);
    for (size_t i = 0; i < 16; i++) {
        struct id *ids[] = {&order.event_id, &order.order_id, &order.causation_id,
                            &order.correlation_id, &order.key_id};
        for (size_t j = 0; j < 5; j++)
            ids[j]->bytes[i] = (uint8_t)(i * 37 + j * 59);
    }
    ours_encode();
    int status = 2;
    for (int i = 0; i < RUNS; i++) {
        if (strcmp(argv[1], runs[i].name) != 0)
            continue;
        const long count = atol(argv[2]);
        const int64_t began_us = clock_monotonic_us();
        for (long round = 0; round < count; round++)
            runs[i].run();
        printf("%.1f\n", (double)(clock_monotonic_us() - began_us) * 1000 / (double)count);
        check();
        status = 0;
    }
    avro_value_decref(&value);
    arena_done(&arena);
    return status;
}
