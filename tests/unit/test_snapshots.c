// SPDX-License-Identifier: Apache-2.0
//
// Whatever happened, the rows of D.state and the events after their position give the same state as
// all events from the first one on. Random transactions on a log in memory: they commit or are
// undone, passes of snapshots go along with them and are torn, processors die and begin again from
// what is stored: compacted or not, usable or not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "process/orders.h"
#include "process/roles.h"
#include "process/shelf.h"
#include "service/strmap.h"

enum { ORDERS = 40, INPUTS_PER_ORDER = 12, SKUS = 3, STEPS = 4000 };

struct kept {
    enum record_id type; // RECORD_COUNT: a tombstone
    size_t key_len;
    char key[160];
    size_t len;
    uint8_t *bytes; // owned
};

static struct log {
    struct kept *records;
    size_t count, committed, capacity;
} events, rows;
static int64_t written[64]; // where the open transaction's events lie
static size_t written_count;
static size_t position; // events before it are in the rows; SIZE_MAX: none
static struct role *role;
static void *live;
static struct arena arena, decisions;
static const struct policy policy = {.reservation_ttl_us = 60000000,
                                     .payment_timeout_us = 5000000,
                                     .payment_lookups_max = 3,
                                     .command_window_us = 3000000};
static struct decision decision;
static int64_t now_us;
static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % below;
}

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct id id_of(uint32_t number, uint64_t what) {
    struct id id = {.bytes = "of a snapshot"};
    return id_derive(&id, (uint64_t)number << 32 | what);
}

// ---- logs in memory ----------------------------------------------------------------------------

static void keep(struct log *log, const void *key, size_t key_len, enum record_id type,
                 const void *body) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 256;
        log->records = realloc(log->records, log->capacity * sizeof(*log->records));
    }
    struct kept *kept = &log->records[log->count++];
    *kept = (struct kept){.type = type, .key_len = key_len};
    assert_true(key_len <= sizeof(kept->key));
    if (key_len)
        memcpy(kept->key, key, key_len);
    if (!body)
        return;
    size_t size = record_types[type]->size_max(body);
    kept->bytes = malloc(size);
    const uint8_t *end = record_types[type]->encode(kept->bytes, kept->bytes + size, body);
    assert_non_null(end);
    kept->len = (size_t)(end - kept->bytes);
}

static const void *decoded(const struct kept *kept) {
    if (kept->type == RECORD_COUNT)
        return NULL;
    arena_reset(&arena);
    void *body = arena_alloc(&arena, record_types[kept->type]->struct_size);
    struct error err;
    if (!record_types[kept->type]->decode(kept->bytes, kept->bytes + kept->len, &arena, body, &err))
        fail_msg("%s", err.msg);
    return body;
}

static void end_log(struct log *log, bool commits) {
    while (!commits && log->count > log->committed)
        free(log->records[--log->count].bytes);
    log->committed = log->count;
}

// ---- states ------------------------------------------------------------------------------------

static bool put_row(void *opaque, const struct snapshot_row *row, struct error *err) {
    (void)err;
    keep(opaque, row->key, row->key_len, row->body ? row->type : RECORD_COUNT, row->body);
    return true;
}

// Markers lie between the events.
static int64_t offset_of(size_t event) {
    return (int64_t)(3 * event + event % 7);
}

static void fold_from(void *state, size_t from) {
    struct error err;
    for (size_t i = from; i < events.committed; i++) {
        if (!role->fold(role->context, state, events.records[i].type, decoded(&events.records[i]),
                        offset_of(i), &err))
            fail_msg("event %zu of %zu, from %zu: %s", i, events.committed, from, err.msg);
        if (i % 64 == 0)
            role->commit(role->context, state);
    }
    role->commit(role->context, state);
}

// As after a death: what is committed, with or without the rows that compaction takes away. Before the
// first pass has ended its rows count from the beginning.
static void *restored(bool compacted, bool usable) {
    struct strmap last;
    strmap_init(&last, sizeof(size_t));
    for (size_t i = 0; i < rows.committed; i++)
        *(size_t *)strmap_put(&last, rows.records[i].key, rows.records[i].key_len) = i;
    void *state = role->partition_new(role->context, 0);
    struct error err;
    for (size_t i = 0; i < rows.committed; i++) {
        const struct kept *kept = &rows.records[i];
        if (compacted && *(size_t *)strmap_find(&last, kept->key, kept->key_len) != i)
            continue;
        const struct snapshot_row row = {
            .key = kept->key, .key_len = kept->key_len, .type = kept->type, .body = decoded(kept)};
        if (!role->restore(role->context, state, &row, &err))
            fail_msg("row %zu: %s", i, err.msg);
    }
    strmap_done(&last);
    role->restored(role->context, state, usable);
    fold_from(state, usable && position != SIZE_MAX ? position : 0);
    return state;
}

static struct log rows_of(void *state) {
    struct log log = {0};
    const struct snapshot_sink sink = {.put = put_row, .opaque = &log};
    struct error err;
    assert_true(role->rows(role->context, state, &sink, &err));
    return log;
}

static void assert_same(void *a, void *b, const char *what) {
    struct log left = rows_of(a), right = rows_of(b);
    struct strmap by_key;
    strmap_init(&by_key, sizeof(size_t));
    for (size_t i = 0; i < left.count; i++)
        *(size_t *)strmap_put(&by_key, left.records[i].key, left.records[i].key_len) = i;
    for (size_t i = 0; i < right.count; i++) {
        const struct kept *kept = &right.records[i];
        const size_t *at = strmap_find(&by_key, kept->key, kept->key_len);
        if (!at)
            fail_msg("%s: only one has %.*s", what, (int)kept->key_len, kept->key);
        const struct kept *other = &left.records[*at];
        if (other->type != kept->type || other->len != kept->len ||
            memcmp(other->bytes, kept->bytes, kept->len) != 0)
            fail_msg("%s: %.*s differs", what, (int)kept->key_len, kept->key);
    }
    assert_int_equal(left.count, right.count);
    strmap_done(&by_key);
    end_log(&left, false);
    end_log(&right, false);
    free(left.records);
    free(right.records);
}

static void assert_all_same(void) {
    void *from_all = role->partition_new(role->context, 0);
    fold_from(from_all, 0);
    assert_same(from_all, live, "live and fold of all events");
    void *again = restored(draw(2), true);
    assert_same(from_all, again, "fold of all events and snapshots with the rest");
    role->partition_free(role->context, again);
    role->partition_free(role->context, from_all);
}

// ---- orders ------------------------------------------------------------------------------------

static void order_input(enum record_id type, const struct id *order_id, const void *input) {
    struct orders *orders = live;
    struct order *order = orders_edit(orders, order_id);
    struct orders_before before = orders_before(order);
    const struct id *key_id = order_input_key(type, input);
    struct remembered_command remembered = {0};
    if (key_id)
        remembered = command_memory_get(orders->commands, key_id);
    order_decide(&decision, &order, key_id ? &remembered : NULL, type, input);
    command_memory_put(orders->commands, &remembered);
    orders_keep(orders, order_id, before, order,
                (int64_t)written_count + decision.events_count - 1);
}

static void order_command(uint32_t number, enum record_id type) {
    uint32_t key = draw(5);
    struct cancel_order command = {.command_id = id_of(number, 1000 + 10 * key + draw(8) / 7),
                                   .key_id = id_of(number, 500 + key),
                                   .shop_id = view("main"),
                                   .order_id = id_of(number, 0),
                                   .idempotency_key = view("k")};
    order_input(type, &command.order_id, &command);
}

static void order_place_it(uint32_t number) {
    static struct order_line lines[3]; // what is decided points to them
    lines[0] = (struct order_line){.sku = view("B"), .quantity = 1, .unit_price_minor = 5};
    lines[1] = (struct order_line){.sku = view("A"), .quantity = 2, .unit_price_minor = 7};
    lines[2] = (struct order_line){.sku = view("B"), .quantity = 3, .unit_price_minor = 5};
    struct place_order place = {.command_id = id_of(number, 1 + draw(8) / 7),
                                .key_id = id_of(number, 0),
                                .shop_id = view("main"),
                                .order_id = id_of(number, 0),
                                .idempotency_key = view("k"),
                                .customer_id = view("c"),
                                .currency = view("EUR"),
                                .payment_method = view("tok_ok"),
                                .lines = lines,
                                .lines_count = 1 + draw(3)};
    order_input(RECORD_PLACE_ORDER, &place.order_id, &place);
}

static void order_answer(uint32_t number) {
    struct id order_id = id_of(number, 0), message_id = id_of((uint32_t)now_us, 7);
    if (draw(2)) {
        struct stock_answered answer = {.message_id = message_id,
                                        .shop_id = view("main"),
                                        .order_id = order_id,
                                        .sku = view(draw(2) ? "A" : "B"),
                                        .result = draw(5) ? STOCK_RESULT_RESERVED
                                                          : STOCK_RESULT_OUT_OF_STOCK,
                                        .available = 3};
        order_input(RECORD_STOCK_ANSWERED, &order_id, &answer);
    } else if (draw(2)) {
        struct payment_answered answer = {.message_id = message_id,
                                          .shop_id = view("main"),
                                          .order_id = order_id,
                                          .payment_id = id_derive(&order_id, 'P'),
                                          .result = draw(PAYMENT_RESULT_COUNT)};
        order_input(RECORD_PAYMENT_ANSWERED, &order_id, &answer);
    } else {
        struct shipment_answered answer = {.message_id = message_id,
                                           .shop_id = view("main"),
                                           .order_id = order_id,
                                           .shipment_id = id_derive(&order_id, 'S'),
                                           .result = draw(SHIPMENT_RESULT_COUNT)};
        order_input(RECORD_SHIPMENT_ANSWERED, &order_id, &answer);
    }
}

static uint32_t inputs;

// Orders come and go, so that some open and close while one pass runs.
static void any_order_input(void) {
    inputs++;
    uint32_t number = inputs / INPUTS_PER_ORDER + draw(ORDERS);
    switch (draw(9)) {
    case 0:
        order_place_it(number);
        break;
    case 1:
        order_command(number, RECORD_CANCEL_ORDER);
        break;
    case 2:
        order_command(number, draw(2)   ? RECORD_DISPATCH_ORDER
                              : draw(2) ? RECORD_DELIVER_ORDER
                                        : RECORD_CANCEL_ORDER);
        break;
    default:
        order_answer(number);
    }
}

// ---- stock -------------------------------------------------------------------------------------

static void any_stock_input(void) {
    static const char *const skus[SKUS] = {"A", "B", "C"};
    union any {
        struct set_product set;
        struct receive_stock receive;
        struct adjust_stock adjust;
        struct request_stock request;
    } input = {0};
    struct view sku = view(skus[draw(SKUS)]);
    enum record_id type = RECORD_REQUEST_STOCK;
    const struct id *order_id = NULL, *key_id = NULL;
    if (draw(4)) {
        uint32_t number = draw(ORDERS);
        input.request = (struct request_stock){.message_id = id_of((uint32_t)now_us, 7),
                                               .shop_id = view("main"),
                                               .sku = sku,
                                               .order_id = id_of(number, 0),
                                               .action = draw(STOCK_ACTION_COUNT),
                                               .quantity = 1 + draw(3)};
        order_id = &input.request.order_id;
    } else {
        uint32_t key = draw(30);
        input.receive.key_id = id_of(key, 300);
        input.receive.command_id = id_of(key, 301 + draw(8) / 7);
        input.receive.shop_id = view("main");
        input.receive.sku = sku;
        input.receive.idempotency_key = view("k");
        key_id = &input.receive.key_id;
        type = draw(3) == 0   ? RECORD_SET_PRODUCT
               : draw(2) == 0 ? RECORD_RECEIVE_STOCK
                              : RECORD_ADJUST_STOCK;
        if (type == RECORD_SET_PRODUCT) {
            input.set.name = view("a product");
            input.set.price_minor = draw(1000);
            input.set.currency = view("EUR");
        } else if (type == RECORD_RECEIVE_STOCK) {
            input.receive.quantity = draw(20);
        } else {
            input.adjust.delta = (int64_t)draw(10) - 6;
            input.adjust.reason = view("counted");
        }
    }
    const struct address address = {.shop = view("main"), .sku = sku};
    struct shelf_touched touched;
    shelf_touch(live, &address, order_id, key_id, &touched);
    inventory_decide(&decision, &touched.slice, type, &input);
    shelf_put_back(live, &touched);
}

// ---- the run -----------------------------------------------------------------------------------

static void turn(void (*any_input)(void)) {
    for (uint32_t i = 1 + draw(6); i > 0; i--) {
        now_us += draw(20000) + 1;
        arena_reset(&decisions);
        decision_begin(&decision, &decisions, &policy, now_us);
        any_input();
        for (uint32_t e = 0; e < decision.events_count; e++) {
            assert_true(written_count < sizeof(written) / sizeof(written[0]));
            written[written_count++] = offset_of(events.count);
            keep(&events, NULL, 0, decision.events[e].type, decision.events[e].body);
        }
    }
}

// One more transaction's part of a pass; true when the pass has ended with it.
static bool pass_on(bool *running, size_t *from) {
    static uint32_t rows_max;
    if (!*running && draw(5))
        return false;
    if (!*running) {
        role->snapshot_begin(role->context, live);
        *from = events.committed;
        *running = true;
        rows_max = draw(3) ? 15 : 3; // short passes, and long ones
    }
    const struct snapshot_sink sink = {.put = put_row, .opaque = &rows};
    struct error err;
    bool done = false;
    assert_true(role->snapshot(role->context, live, 1 + draw(rows_max), &sink, &done, &err));
    return done;
}

static void run(void (*any_input)(void)) {
    bool running = false;
    size_t from = 0, passes = 0, deaths = 0;
    for (int step = 0; step < STEPS; step++) {
        written_count = 0;
        turn(any_input);
        bool ended = pass_on(&running, &from);
        bool commits = draw(6) > 0;
        end_log(&events, commits);
        end_log(&rows, commits);
        if (!commits) {
            role->undo(role->context, live);
            running = false;
            continue;
        }
        if (role->located && written_count > 0)
            role->located(role->context, live, written, written_count);
        role->commit(role->context, live);
        if (ended) {
            position = from;
            running = false;
            passes++;
        }
        if (draw(40) > 0)
            continue;
        assert_all_same();
        if (draw(2)) {
            role->partition_free(role->context, live);
            live = restored(draw(2), draw(4) > 0);
            running = false;
            deaths++;
        }
    }
    assert_all_same();
    assert_true(passes > 20 && deaths > 5);
    printf("%zu events, %zu rows, %zu passes, %zu deaths\n", events.count, rows.count, passes,
           deaths);
}

static const struct config config = {.order_command_window_ms = 3000,
                                     .commands_remembered_max = 60,
                                     .order_reservation_ttl_ms = 60000,
                                     .order_payment_timeout_ms = 5000,
                                     .order_payment_lookups_max = 3};

static void begin(struct role *(*make)(const struct config *, struct error *)) {
    const char *given = getenv("ORDERLOG_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    printf("seed %llu (ORDERLOG_TEST_SEED repeats it)\n", (unsigned long long)random_state);
    struct error err;
    arena_init(&arena, 0);
    arena_init(&decisions, 0);
    position = SIZE_MAX;
    inputs = 0;
    now_us = INT64_C(1700000000000000);
    role = make(&config, &err);
    live = role->partition_new(role->context, 0);
}

static void end(void (*unmake)(struct role *)) {
    role->partition_free(role->context, live);
    unmake(role);
    for (struct log *log = &events; log; log = log == &events ? &rows : NULL) {
        log->committed = 0;
        end_log(log, false);
        free(log->records);
        *log = (struct log){0};
    }
    arena_done(&arena);
    arena_done(&decisions);
}

static void orders_are_the_same_from_snapshots(void **state) {
    (void)state;
    begin(order_role_new);
    run(any_order_input);
    end(order_role_free);
}

static void stock_is_the_same_from_snapshots(void **state) {
    (void)state;
    begin(inventory_role_new);
    run(any_stock_input);
    end(inventory_role_free);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_the_same_from_snapshots),
        cmocka_unit_test(stock_is_the_same_from_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
