// SPDX-License-Identifier: Apache-2.0
//
// What encoding and decoding one OrderPlaced of three lines costs, ours against avro-c's generic
// values, in nanoseconds and (where the kernel counts them for us) instructions.
//
//   bench_codec [ours-encode|ours-decode|avroc-encode|avroc-decode]
//
// With an argument only that runs, 100,000 times, for a profiler.
#include <avro.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "event/types.h"
#include "service/clock.h"
#include "unit/codec_avroc.h"

enum { BYTES_MAX = 4096, ROUNDS = 100000, REPEATS = 7 };

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

static void ours_decode(void) {
    struct order_placed decoded;
    arena_reset(&arena);
    if (!order_placed_decode(bytes, bytes + bytes_len, &arena, &decoded, NULL))
        abort();
}

// From our struct to bytes and back to avro-c's value: the same work as ours does.
static void avroc_encode(void) {
    codec_avroc_set(&order_placed_type, &order, &value);
    avro_writer_t writer = avro_writer_memory((char *)bytes, sizeof(bytes));
    if (avro_value_write(writer, &value) != 0)
        abort();
    avro_writer_free(writer);
}

static void avroc_decode(void) {
    avro_reader_t reader = avro_reader_memory((char *)bytes, (int64_t)bytes_len);
    avro_value_reset(&value);
    if (avro_value_read(reader, &value) != 0)
        abort();
    avro_reader_free(reader);
}

static int open_counter(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof(attr),
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

struct cost {
    double ns;
    double instructions; // 0 = not counted
};

// The fastest of a few repeats: the others were disturbed.
static struct cost measure(void (*run)(void)) {
    int counter = open_counter();
    struct cost best = {0};
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        if (counter >= 0)
            (void)ioctl(counter, PERF_EVENT_IOC_RESET, 0);
        int64_t began_us = clock_monotonic_us();
        for (int i = 0; i < ROUNDS; i++)
            run();
        double ns = (double)(clock_monotonic_us() - began_us) * 1000 / ROUNDS;
        if (repeat == 0 || ns < best.ns)
            best.ns = ns;
        uint64_t count;
        if (counter >= 0 && read(counter, &count, sizeof(count)) == sizeof(count))
            best.instructions = (double)count / ROUNDS;
    }
    if (counter >= 0)
        (void)close(counter);
    return best;
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

static void print_ratio(const char *what, struct cost ours, struct cost theirs) {
    printf("%s: %.1f times faster than avro-c", what, theirs.ns / ours.ns);
    if (ours.instructions > 0)
        printf(", %.1f times fewer instructions", theirs.instructions / ours.instructions);
    printf("\n");
}

int main(int argc, char **argv) {
    avro_schema_t schema;
    if (avro_schema_from_json_length(order_placed_type.schema, order_placed_type.schema_len,
                                     &schema) != 0)
        return 1;
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    if (avro_generic_value_new(class, &value) != 0)
        return 1;
    arena_init(&arena, 0);
    for (size_t i = 0; i < 16; i++) {
        struct id *ids[] = {&order.event_id, &order.order_id, &order.causation_id,
                            &order.correlation_id, &order.key_id};
        for (size_t j = 0; j < 5; j++)
            ids[j]->bytes[i] = (uint8_t)(i * 37 + j * 59);
    }
    ours_encode();

    struct cost costs[RUNS];
    for (int i = 0; i < RUNS; i++) {
        if (argc > 1 && strcmp(argv[1], runs[i].name) == 0) {
            for (int round = 0; round < ROUNDS; round++)
                runs[i].run();
            return 0;
        }
        if (argc == 1) {
            costs[i] = measure(runs[i].run);
            printf("%-12s %8.1f ns", runs[i].name, costs[i].ns);
            if (costs[i].instructions > 0)
                printf(" %8.0f instructions", costs[i].instructions);
            printf("  (%zu bytes)\n", bytes_len);
        }
    }
    if (argc > 1)
        return 2;
    print_ratio("encode", costs[0], costs[2]);
    print_ratio("decode", costs[1], costs[3]);
    avro_value_decref(&value);
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
    arena_done(&arena);
    return 0;
}
