// SPDX-License-Identifier: Apache-2.0
//
// Orders as records in orders.inbox, and the moment when the last of them is booked with the
// carrier: what the processors do, without the gateway and the read model.
//
//   bench_saga --config FILE [--skus N] [--warmup N] [--orders N]
//
// Phases, each of which waits for a line of input: `fill` (the order processor is to stand still),
// `begin` (let it go at once: the clock runs), `end`. Then one line of JSON.
#include "cli/tool_producer.h"
#include "cli/tool_schemas.h"
#include "event/message.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/kafka_conf.h"

#include <endian.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINES_MAX = 5,
    QUANTITY_MAX = 5,
    CUSTOMERS = 100000,
    TEXT_MAX = 32,
    BYTES_MAX = 2048,
    POLL_MS = 5, // a batch that is not full is handed over then
    BATCH_MAX = 2000,
    PATIENCE_US = 120000000,
};

static const enum topic_id used[] = {TOPIC_ORDERS_INBOX, TOPIC_INVENTORY_INBOX,
                                     TOPIC_ORDERS_EVENTS};

struct saga {
    struct tool_schemas schemas;
    struct tool_producer *producer;
    rd_kafka_t *consumer;
    size_t skus;
    struct id *ids;  // owned; of the orders, by number
    uint32_t *slots; // owned: number + 1 by hash of the id; 0: free
    size_t slots_mask;
    bool *booked; // owned; by number
    size_t booked_count;
    int64_t last_us; // when the latest of them was seen
};

_Noreturn static void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("bench_saga: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void phase(const char *name) {
    printf("phase %s\n", name);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

// SplitMix64.
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static struct view numbered(char out[TEXT_MAX], const char *what, uint64_t number) {
    const int len = snprintf(out, TEXT_MAX, "%s-%06llu", what, (unsigned long long)number);
    return (struct view){.ptr = out, .len = (uint32_t)len};
}

static struct view words(const char *literal) {
    return (struct view){.ptr = literal, .len = (uint32_t)strlen(literal)};
}

static struct id id_of(const char *what, uint64_t number) {
    return id_hash((const struct id_part[]){{what, strlen(what)}, {&number, sizeof(number)}}, 2);
}

// ---- writing -----------------------------------------------------------------------------------

static void send_record(struct saga *saga, enum topic_id topic, enum record_id type,
                        const void *record, const void *key, size_t key_len) {
    uint8_t bytes[BYTES_MAX];
    struct error err;
    const uint8_t *end = message_encode(schema_ids_of(saga->schemas.ids, topic, type),
                                        record_types[type], record, bytes, bytes + sizeof(bytes));
    if (!end)
        die("a %s is too large", record_types[type]->name);
    if (!tool_producer_send(saga->producer, topic, type, key, key_len, bytes, (size_t)(end - bytes),
                            &err))
        die("%s", err.msg);
}

static void flush(struct saga *saga) {
    struct error err;
    if (!tool_producer_flush(saga->producer, &err))
        die("%s", err.msg);
}

static void stock(struct saga *saga) {
    for (uint64_t number = 0; number < saga->skus; number++) {
        char sku[TEXT_MAX], key[TOPIC_KEY_MAX];
        const struct set_product product = {.command_id = id_of("product", number),
                                            .key_id = id_of("product", number),
                                            .shop_id = words("main"),
                                            .sku = numbered(sku, "BENCH", number),
                                            .idempotency_key = words("product"),
                                            .received_at = clock_now_us(),
                                            .name = words("Bench"),
                                            .price_minor = 995,
                                            .currency = words("GBP")};
        const struct receive_stock receive = {.command_id = id_of("stock", number),
                                              .key_id = id_of("stock", number),
                                              .shop_id = words("main"),
                                              .sku = product.sku,
                                              .idempotency_key = words("stock"),
                                              .received_at = clock_now_us(),
                                              .quantity = 1000000};
        const size_t key_len = topic_sku_key("main", 4, product.sku.ptr, product.sku.len, key);
        send_record(saga, TOPIC_INVENTORY_INBOX, RECORD_SET_PRODUCT, &product, key, key_len);
        send_record(saga, TOPIC_INVENTORY_INBOX, RECORD_RECEIVE_STOCK, &receive, key, key_len);
    }
    flush(saga);
}

static void place(struct saga *saga, uint64_t number) {
    char skus[LINES_MAX][TEXT_MAX], key[TEXT_MAX], customer[TEXT_MAX];
    struct order_line lines[LINES_MAX];
    uint64_t random = number * 0x2545f4914f6cdd1dU + 1;
    const uint64_t count = 1 + next_random(&random) % LINES_MAX;
    for (uint64_t i = 0; i < count; i++)
        lines[i] = (struct order_line){
            .sku = numbered(skus[i], "BENCH", next_random(&random) % saga->skus),
            .quantity = 1 + (int64_t)(next_random(&random) % QUANTITY_MAX),
            .unit_price_minor = 995,
            .has_price_version = true,
            .price_version = 1};
    const struct place_order order = {
        .command_id = id_of("command", number),
        .key_id = saga->ids[number],
        .shop_id = words("main"),
        .order_id = saga->ids[number],
        .idempotency_key = numbered(key, "saga", number),
        .received_at = clock_now_us(),
        .customer_id = numbered(customer, "customer", next_random(&random) % CUSTOMERS),
        .currency = words("GBP"),
        .payment_method = words("tok_ok"),
        .lines = lines,
        .lines_count = (uint32_t)count,
        .shipping_minor = 395};
    char id[ID_TEXT_LEN];
    id_format(&order.order_id, id);
    send_record(saga, TOPIC_ORDERS_INBOX, RECORD_PLACE_ORDER, &order, id, sizeof(id));
}

static void place_all(struct saga *saga, size_t first, size_t count) {
    for (size_t number = first; number < first + count; number++)
        place(saga, number);
    flush(saga);
}

// ---- reading -----------------------------------------------------------------------------------

static size_t slot_of(const struct saga *saga, const struct id *id) {
    size_t at;
    memcpy(&at, id->bytes, sizeof(at));
    for (at &= saga->slots_mask; saga->slots[at] && !id_equal(&saga->ids[saga->slots[at] - 1], id);)
        at = (at + 1) & saga->slots_mask;
    return at;
}

static void index_orders(struct saga *saga, size_t count) {
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    saga->slots_mask = size - 1;
    saga->ids = calloc(count, sizeof(*saga->ids));
    saga->slots = calloc(size, sizeof(*saga->slots));
    saga->booked = calloc(count, sizeof(*saga->booked));
    if (!saga->ids || !saga->slots || !saga->booked)
        die("out of memory");
    for (uint32_t number = 0; number < count; number++) {
        saga->ids[number] = id_of("order", number);
        saga->slots[slot_of(saga, &saga->ids[number])] = number + 1;
    }
}

// By the id in front: headers would be unpacked for it, and this shares the machine.
static bool is_booked(const struct saga *saga, const rd_kafka_message_t *message) {
    const int32_t booked =
        schema_ids_of(saga->schemas.ids, TOPIC_ORDERS_EVENTS, RECORD_ORDER_SHIPMENT_BOOKED);
    uint32_t big;
    if (message->len < MESSAGE_HEADER_LEN)
        return false;
    memcpy(&big, (const char *)message->payload + 1, sizeof(big));
    return (int32_t)be32toh(big) == booked;
}

static void take(struct saga *saga, const rd_kafka_message_t *message) {
    struct id id;
    if (!is_booked(saga, message))
        return;
    const uint32_t number =
        id_parse(message->key, message->key_len, &id) ? saga->slots[slot_of(saga, &id)] : 0;
    if (!number)
        die("an order was booked that nobody placed");
    if (saga->booked[number - 1])
        die("order %s was booked twice", id_text(&id).text);
    saga->booked[number - 1] = true;
    saga->booked_count++;
    saga->last_us = clock_monotonic_us();
}

// A batch at a time: what a call costs for each message would be a tenth of what is measured.
static void await_booked(struct saga *saga, size_t count) {
    static rd_kafka_message_t *batch[BATCH_MAX];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(saga->consumer);
    const int64_t deadline_us = clock_monotonic_us() + PATIENCE_US;
    while (saga->booked_count < count) {
        const ssize_t got = rd_kafka_consume_batch_queue(queue, POLL_MS, batch, BATCH_MAX);
        for (ssize_t i = 0; i < got; i++) {
            if (batch[i]->err)
                die("consuming: %s", rd_kafka_message_errstr(batch[i]));
            take(saga, batch[i]);
            rd_kafka_message_destroy(batch[i]);
        }
        if (clock_monotonic_us() > deadline_us)
            die("only %zu of %zu orders are booked", saga->booked_count, count);
    }
    rd_kafka_queue_destroy(queue);
}

// From the beginning: the log is new.
static rd_kafka_t *consumer_new(const struct config *config, struct error *err) {
    static const struct kafka_setting settings[] = {
        {"group.id", "bench.saga"},      {"isolation.level", "read_committed"},
        {"enable.auto.commit", "false"}, {"auto.offset.reset", "earliest"},
        {"fetch.queue.backoff.ms", "5"}, {NULL, NULL}};
    const char *topic = topics[TOPIC_ORDERS_EVENTS].name;
    int32_t partitions;
    rd_kafka_conf_t *conf = kafka_conf_new(config, "bench-saga", err);
    if (!conf || !kafka_conf_set(conf, settings, err))
        return NULL;
    rd_kafka_t *consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
    if (!consumer || !kafka_partitions(consumer, topic, 10000, &partitions, err))
        return NULL;
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = 0;
    if (rd_kafka_assign(consumer, list))
        die("cannot read %s", topic);
    rd_kafka_topic_partition_list_destroy(list);
    return consumer;
}

// ---- the whole ---------------------------------------------------------------------------------

static void run(struct saga *saga, size_t warmup, size_t orders) {
    index_orders(saga, warmup + orders);
    stock(saga);
    place_all(saga, 0, warmup);
    await_booked(saga, warmup);
    phase("fill");
    place_all(saga, warmup, orders);
    phase("begin");
    const int64_t begin_us = clock_monotonic_us();
    await_booked(saga, warmup + orders);
    phase("end");
    const double seconds = (double)(saga->last_us - begin_us) / 1e6;
    printf("{\"orders\":%zu,\"seconds\":%.3f,\"orders_per_s\":%.0f}\n", orders, seconds,
           (double)orders / seconds);
}

int main(int argc, char **argv) {
    struct config_flag flags[] = {
        {"skus", "N", "Products in the catalogue", "10000"},
        {"warmup", "N", "Orders before those that count", "100000"},
        {"orders", "N", "Orders that count", "200000"},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {.usage = "bench_saga --config FILE",
                                           .about = "Measures the processors from order to booking",
                                           .role = ROLE_TOOL,
                                           .flags = flags};
    struct config config;
    int exit_code;
    if (!config_from_command_line(&command, argc - 1, argv + 1, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "bench_saga", -1);
    struct error err;
    struct saga saga = {.skus = strtoull(flags[0].value, NULL, 10)};
    if (!tool_schemas_open(&config, used, sizeof(used) / sizeof(used[0]), &saga.schemas, &err) ||
        !(saga.producer = tool_producer_open(&config, &err)) ||
        !(saga.consumer = consumer_new(&config, &err)))
        die("%s", err.msg);
    run(&saga, strtoull(flags[1].value, NULL, 10), strtoull(flags[2].value, NULL, 10));
    rd_kafka_consumer_close(saga.consumer);
    rd_kafka_destroy(saga.consumer);
    tool_producer_close(saga.producer);
    tool_schemas_close(&saga.schemas);
    free(saga.ids);
    free(saga.slots);
    free(saga.booked);
    config_free(&config);
    return 0;
}
