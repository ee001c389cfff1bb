// SPDX-License-Identifier: Apache-2.0
//
// What the records of customers.keys mean, in whatever order gateways have written them; and that
// what is sealed for an order or a customer opens as long as it should, and no longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/message.h"
#include "http/command.h"
#include "http/personal.h"
#include "privacy/customer_keys.h"
#include "service/log.h"
#include "stream/table_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static table_apply_fn *apply;
static void *apply_state;
static int64_t age_ms;

bool __wrap_table_reader_start(const struct config *config, enum topic_id topic,
                               table_apply_fn *given, void *state, struct table_reader **ret,
                               struct error *err);
void __wrap_table_reader_stop(struct table_reader *reader);
bool __wrap_table_reader_wait(const struct table_reader *reader, int timeout_ms);
int64_t __wrap_table_reader_age_ms(const struct table_reader *reader);

bool __wrap_table_reader_start(const struct config *config, enum topic_id topic,
                               table_apply_fn *given, void *state, struct table_reader **ret,
                               struct error *err) {
    (void)config;
    (void)err;
    assert_int_equal(topic, TOPIC_CUSTOMERS_KEYS);
    apply = given;
    apply_state = state;
    *ret = NULL;
    return true;
}

void __wrap_table_reader_stop(struct table_reader *reader) {
    (void)reader;
}

bool __wrap_table_reader_wait(const struct table_reader *reader, int timeout_ms) {
    (void)reader;
    (void)timeout_ms;
    return true;
}

int64_t __wrap_table_reader_age_ms(const struct table_reader *reader) {
    (void)reader;
    return age_ms;
}

// --- the log -----------------------------------------------------------------------------------

static struct schema_ids *ids;
static struct customer_keys *keys;
static char master_path[] = "/tmp/customer_keys_XXXXXX";
static struct master_keys masters;
static const char shop[] = "main";

static struct view text_view(const char *text) {
    return (struct view){text, (uint32_t)strlen(text)};
}

static void start(void) {
    static struct config config;
    struct error err = {0};
    config.customers_master_key_file = master_path;
    age_ms = 0;
    if (!customer_keys_start(&config, ids, NULL, &keys, &err))
        fail_msg("%s", err.msg);
}

static void write_record(const char *key, size_t key_len, enum record_id type, const void *record) {
    uint8_t bytes[2048];
    const uint8_t *end = message_encode(schema_ids_of(ids, TOPIC_CUSTOMERS_KEYS, type),
                                        record_types[type], record, bytes, bytes + sizeof(bytes));
    assert_non_null(end);
    apply(apply_state, key, key_len, bytes, (size_t)(end - bytes));
}

static size_t name_of(const char *customer, const struct id *key_id,
                      char name[CUSTOMER_KEY_NAME_MAX]) {
    char text[TOPIC_KEY_MAX];
    size_t length = topic_sku_key(shop, strlen(shop), customer, strlen(customer), text);
    return customer_key_name(text, length, key_id, name);
}

static void write_key(const struct customer_keys_made *made) {
    char name[CUSTOMER_KEY_NAME_MAX];
    char customer[65];
    (void)snprintf(customer, sizeof(customer), "%.*s", (int)made->record.customer_id.len,
                   made->record.customer_id.ptr);
    size_t length = name_of(customer, &made->record.key_id, name);
    write_record(name, length, RECORD_CUSTOMER_KEY, &made->record);
}

static void make(const char *customer, struct customer_keys_made *made) {
    assert_true(customer_keys_make(&masters, text_view(shop), text_view(customer), 1, made));
}

static void erase(const char *customer) {
    char name[TOPIC_KEY_MAX];
    size_t length = topic_sku_key(shop, strlen(shop), customer, strlen(customer), name);
    const struct customer_erased record = {
        .shop_id = text_view(shop), .customer_id = text_view(customer), .erased_at = 2};
    write_record(name, length, RECORD_CUSTOMER_ERASED, &record);
}

static void destroy(const char *customer, const struct id *key_id) {
    char name[CUSTOMER_KEY_NAME_MAX];
    size_t length = name_of(customer, key_id, name);
    apply(apply_state, name, length, NULL, 0);
}

static enum customer_keys_state current(const char *customer, struct customer_keys_found *found) {
    return customer_keys_current(keys, shop, customer, strlen(customer), found);
}

static enum customer_keys_state find(const char *customer, const struct id *key_id) {
    struct seal_key key;
    return customer_keys_find(keys, shop, customer, strlen(customer), key_id, &key);
}

static size_t count(const char *customer) {
    char name[TOPIC_KEY_MAX];
    size_t length = topic_sku_key(shop, strlen(shop), customer, strlen(customer), name);
    struct id first;
    return customer_keys_list(keys, name, length, &first, 1);
}

// --- what it means -----------------------------------------------------------------------------

static void of_two_keys_the_first_in_the_log_is_current_and_both_open(void **state) {
    (void)state;
    struct customer_keys_made a;
    struct customer_keys_made b;
    struct customer_keys_found found;
    start();
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_NONE);
    make("c", &a);
    make("c", &b);
    write_key(&a);
    write_key(&b);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_FOUND);
    assert_true(id_equal(&found.id, &a.record.key_id));
    assert_int_equal(find("c", &a.record.key_id), CUSTOMER_KEYS_FOUND);
    assert_int_equal(find("c", &b.record.key_id), CUSTOMER_KEYS_FOUND);
    assert_int_equal(find("d", &a.record.key_id), CUSTOMER_KEYS_NONE);
    assert_int_equal(count("c"), 2);
    // Sealed anew it keeps its place.
    write_key(&b);
    write_key(&a);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_FOUND);
    assert_true(id_equal(&found.id, &a.record.key_id));
    destroy("c", &a.record.key_id);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_FOUND);
    assert_true(id_equal(&found.id, &b.record.key_id));
    destroy("c", &b.record.key_id);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_NONE);
    customer_keys_stop(keys);
}

// All six orders of: a key, another gateway's key, the mark; with and without tombstones.
static void whatever_the_order_an_erasure_ends_erased(void **state) {
    (void)state;
    static const char *const orders[] = {"abE", "aEb", "Eab", "baE", "bEa", "Eba"};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct customer_keys_made a;
        struct customer_keys_made b;
        struct customer_keys_found found;
        start();
        make("c", &a);
        make("c", &b);
        for (const char *what = orders[i]; *what; what++) {
            if (*what == 'E')
                erase("c");
            else
                write_key(*what == 'a' ? &a : &b);
        }
        assert_int_equal(current("c", &found), CUSTOMER_KEYS_ERASED);
        assert_int_equal(find("c", &a.record.key_id), CUSTOMER_KEYS_ERASED);
        assert_int_equal(count("c"), 2); // known, so that they can be destroyed
        destroy("c", &a.record.key_id);
        destroy("c", &b.record.key_id);
        assert_int_equal(count("c"), 0);
        make("c", &a);
        write_key(&a); // by a gateway that was slow
        assert_int_equal(current("c", &found), CUSTOMER_KEYS_ERASED);
        customer_keys_stop(keys);
    }
}

static void a_key_does_not_open_under_another_master(void **state) {
    (void)state;
    struct master_keys others;
    struct customer_keys_made made;
    struct customer_keys_found found;
    struct error err = {0};
    static const char text[] = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    assert_true(master_keys_parse(text, strlen(text), &others, &err));
    start();
    assert_true(customer_keys_make(&others, text_view(shop), text_view("c"), 1, &made));
    write_key(&made);
    // Not NONE: then another key would be made, and what this one seals forgotten.
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_LOCKED);
    customer_keys_stop(keys);
}

static void a_key_is_sealed_anew_and_stays_the_same(void **state) {
    (void)state;
    struct master_keys both;
    struct customer_keys_made made;
    struct customer_keys_made anew;
    struct customer_keys_made again;
    struct customer_keys_found found;
    struct seal_key key;
    struct error err = {0};
    static const char text[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
                               "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    assert_true(master_keys_parse(text, strlen(text), &both, &err));
    struct master_keys old = {.keys = {both.keys[1]}, .count = 1};
    assert_true(customer_keys_make(&old, text_view(shop), text_view("c"), 7, &made));
    assert_int_equal(customer_keys_reseal(&both, &made.record, &anew), CUSTOMER_KEYS_RESEALED);
    assert_int_equal(customer_keys_reseal(&both, &anew.record, &again), CUSTOMER_KEYS_IS_SO);
    assert_int_equal(customer_keys_reseal(&masters, &made.record, &again), CUSTOMER_KEYS_NO_MASTER);
    // The first of both is the one of the file.
    start();
    write_key(&made);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_LOCKED);
    write_key(&anew);
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_FOUND);
    assert_true(id_equal(&found.id, &made.record.key_id));
    assert_int_equal(found.created_at, 7);
    const struct seal_place place = {.kind = "customer.key",
                                     .shop = text_view(shop),
                                     .customer = text_view("c"),
                                     .subject = made.record.key_id};
    assert_true(
        seal_open(&old.keys[0].key, &place, made.record.nonce, made.record.sealed, key.bytes));
    assert_memory_equal(key.bytes, found.key.bytes, SEAL_KEY_LEN);
    customer_keys_stop(keys);
}

static void a_key_of_another_customer_is_not_taken(void **state) {
    (void)state;
    struct customer_keys_made made;
    struct customer_keys_found found;
    char name[CUSTOMER_KEY_NAME_MAX];
    start();
    make("c", &made);
    size_t length = name_of("d", &made.record.key_id, name);
    write_record(name, length, RECORD_CUSTOMER_KEY, &made.record); // under another's name
    assert_int_equal(current("c", &found), CUSTOMER_KEYS_NONE);
    assert_int_equal(current("d", &found), CUSTOMER_KEYS_NONE);
    // Or as another's, under another's name: the seal says whose it is.
    made.record.customer_id = text_view("d");
    write_record(name, length, RECORD_CUSTOMER_KEY, &made.record);
    assert_int_equal(current("d", &found), CUSTOMER_KEYS_LOCKED);
    customer_keys_stop(keys);
}

// --- what it is for ----------------------------------------------------------------------------

static const struct http_caller caller = {.shop_id = "main", .scopes = SCOPE_ALL};
static struct customer_keys_view people;
static struct command_wants_key wants_key;
static char refused_field[PROBLEM_FIELD_MAX]; // the first

static const char address[] = "\"line1\":\"1 Secret Lane\",\"city\":\"Wien\",\"country\":\"AT\"";

// The type of the problem; PROBLEM_NONE also when a key is wanted.
static enum problem_type build(const char *text, const char *customer_id, struct command *ret) {
    const struct command_prices prices = {.fresh = true};
    struct arena arena;
    struct problem problem;
    const struct jsonin *root = NULL;
    problem_init(&problem);
    arena_init(&arena, 0);
    people = (struct customer_keys_view){.keys = keys, .keys_age_ms_max = 1000};
    wants_key.wanted = false;
    const struct command_context context = {.caller = &caller,
                                            .ids = ids,
                                            .prices = &prices,
                                            .people = &people,
                                            .idempotency_key = "k",
                                            .now_us = 5,
                                            .wants_key = &wants_key};
    assert_true(body_parse(&arena, text, strlen(text), &root, &problem));
    bool ok = customer_id ? command_customer(&context, customer_id, root, ret, &problem)
                          : command_place_order(&context, root, ret, &problem);
    assert_true(ok == (problem.type == PROBLEM_NONE && !wants_key.wanted));
    arena_done(&arena);
    (void)snprintf(refused_field, sizeof(refused_field), "%s",
                   problem.errors_count > 0 ? problem.errors[0].field : "");
    return problem.type;
}

static enum problem_type place(const char *place_text, struct command *ret) {
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "{\"customer_id\":\"c\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\","
                   "\"quantity\":1,\"unit_price_minor\":5}]%s%s%s}",
                   place_text ? ",\"shipping_address\":{" : "", place_text ? place_text : "",
                   place_text ? "}" : "");
    return build(text, NULL, ret);
}

static void add_key(const char *customer) {
    struct customer_keys_made made;
    make(customer, &made);
    write_key(&made);
}

static void decode(const struct command *command, struct arena *arena, struct message *message) {
    struct error err = {0};
    arena_init(arena, 1 << 20);
    if (!message_decode(ids, command->bytes, command->length, arena, message, &err))
        fail_msg("%s", err.msg);
}

static enum personal_state open_address(const struct place_order *order, char **ret) {
    size_t length = 0;
    *ret = NULL;
    return personal_open(&people, shop, order->customer_id, personal_of_order, &order->order_id,
                         &order->shipping_address, ret, &length);
}

static void an_address_waits_for_the_key_and_opens_until_the_erasure(void **state) {
    (void)state;
    struct command command;
    struct arena arena;
    struct message message;
    char *text;
    start();
    assert_int_equal(place(address, &command), PROBLEM_NONE);
    assert_true(wants_key.wanted);
    assert_string_equal(wants_key.customer_id, "c");
    add_key("c");
    assert_int_equal(place(address, &command), PROBLEM_NONE);
    assert_false(wants_key.wanted);
    assert_null(memmem(command.bytes, command.length, "Secret", 6));
    assert_null(memmem(command.bytes, command.length, "Wien", 4));
    decode(&command, &arena, &message);
    struct place_order *order = message.body;
    assert_true(order->has_shipping_address);
    assert_int_equal((order->shipping_address.ciphertext.len - SEAL_TAG_LEN) % 64, 0);
    assert_int_equal(open_address(order, &text), PERSONAL_OPEN);
    assert_string_equal(text, "{\"line1\":\"1 Secret Lane\",\"city\":\"Wien\",\"country\":\"AT\"}");
    free(text);
    // Of another order it opens nothing.
    order->order_id.bytes[0] ^= 1;
    assert_int_equal(open_address(order, &text), PERSONAL_UNAVAILABLE);
    order->order_id.bytes[0] ^= 1;
    age_ms = 1001;
    assert_int_equal(open_address(order, &text), PERSONAL_UNAVAILABLE);
    age_ms = 0;
    erase("c");
    assert_int_equal(open_address(order, &text), PERSONAL_ERASED);
    command_done(&command);
    assert_int_equal(place(address, &command), PROBLEM_CUSTOMER_ERASED);
    arena_done(&arena);
    customer_keys_stop(keys);
}

static void a_retry_with_an_address_is_the_same_command(void **state) {
    (void)state;
    struct command commands[4];
    start();
    add_key("c");
    assert_int_equal(place(address, &commands[0]), PROBLEM_NONE);
    assert_int_equal(
        place("\"country\":\"AT\", \"city\":\"Wien\", \"line1\":\"1 Secret Lane\"", &commands[1]),
        PROBLEM_NONE);
    assert_int_equal(
        place("\"line1\":\"2 Secret Lane\",\"city\":\"Wien\",\"country\":\"AT\"", &commands[2]),
        PROBLEM_NONE);
    assert_int_equal(place(NULL, &commands[3]), PROBLEM_NONE);
    assert_true(id_equal(&commands[0].command_id, &commands[1].command_id));
    assert_memory_not_equal(commands[0].bytes, commands[1].bytes, commands[0].length);
    assert_false(id_equal(&commands[0].command_id, &commands[2].command_id));
    assert_false(id_equal(&commands[0].command_id, &commands[3].command_id));
    for (int i = 0; i < 4; i++) {
        assert_true(id_equal(&commands[0].order_id, &commands[i].order_id));
        command_done(&commands[i]);
    }
    customer_keys_stop(keys);
}

static void an_order_without_address_asks_for_no_key(void **state) {
    (void)state;
    struct command command;
    start();
    age_ms = INT64_MAX; // nor for whether the keys are known
    assert_int_equal(place(NULL, &command), PROBLEM_NONE);
    assert_false(wants_key.wanted);
    command_done(&command);
    assert_int_equal(place(address, &command), PROBLEM_PERSONAL_DATA_UNAVAILABLE);
    customer_keys_stop(keys);
    keys = NULL;
    assert_int_equal(place(NULL, &command), PROBLEM_NONE);
    command_done(&command);
    assert_int_equal(place(address, &command), PROBLEM_PERSONAL_DATA_UNAVAILABLE);
}

static void a_customer_is_sealed_whole(void **state) {
    (void)state;
    struct command command;
    struct arena arena;
    struct message message;
    char *text = NULL;
    size_t length = 0;
    char body[512];
    (void)snprintf(
        body, sizeof(body),
        "{\"name\":\"Ada \\\"L\\\"\",\"email\":\"ada@example.org\",\"addresses\":[{%s}]}", address);
    start();
    add_key("c");
    assert_int_equal(build(body, "c", &command), PROBLEM_NONE);
    assert_null(memmem(command.bytes, command.length, "Ada", 3));
    assert_null(memmem(command.bytes, command.length, "example", 7));
    assert_int_equal(command.topic, TOPIC_CUSTOMERS);
    decode(&command, &arena, &message);
    const struct customer *customer = message.body;
    assert_int_equal(personal_open(&people, shop, text_view("c"), personal_of_customer, NULL,
                                   &customer->personal, &text, &length),
                     PERSONAL_OPEN);
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text, "\"name\":\"Ada \\\"L\\\"\",\"email\":\"ada@example.org\""));
    free(text);
    arena_done(&arena);
    command_done(&command);
    customer_keys_stop(keys);
}

static void what_is_no_person_is_refused_by_field(void **state) {
    (void)state;
    static const struct {
        const char *body;
        enum problem_type type;
    } cases[] = {
        {"{}", PROBLEM_MISSING_FIELD},
        {"{\"name\":\"\"}", PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"age\":3}", PROBLEM_UNKNOWN_FIELD},
        {"{\"name\":\"a\",\"email\":\"nobody\"}", PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"email\":\"@b\"}", PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"email\":\"a b@c\"}", PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"addresses\":{}}", PROBLEM_WRONG_TYPE},
        {"{\"name\":\"a\",\"addresses\":[1]}", PROBLEM_WRONG_TYPE},
        {"{\"name\":\"a\",\"addresses\":[{\"line1\":\"x\",\"city\":\"y\"}]}",
         PROBLEM_MISSING_FIELD},
        {"{\"name\":\"a\",\"addresses\":[{\"line1\":\"x\",\"city\":\"y\",\"country\":\"at\"}]}",
         PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"addresses\":[{},{},{},{},{},{},{},{},{},{},{}]}",
         PROBLEM_INVALID_VALUE},
        {"{\"name\":\"a\",\"shop_id\":\"other\"}", PROBLEM_WRONG_SHOP},
    };
    start();
    add_key("c");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command command;
        assert_int_equal(build(cases[i].body, "c", &command), cases[i].type);
    }
    struct command command;
    assert_int_equal(build("{\"name\":\"a\"}", "a/b", &command), PROBLEM_INVALID_PARAMETER);
    assert_int_equal(build("{\"name\":\"a\"}", "", &command), PROBLEM_INVALID_PARAMETER);
    assert_int_equal(place("\"line1\":7", &command), PROBLEM_WRONG_TYPE);
    assert_string_equal(refused_field, "shipping_address.line1");
    assert_int_equal(build("{\"customer_id\":\"a/b\",\"currency\":\"EUR\",\"lines\":[{\"sku\":"
                           "\"A\",\"quantity\":1,\"unit_price_minor\":5}],\"shipping_address\":"
                           "{\"line1\":\"x\",\"city\":\"y\",\"country\":\"AT\"}}",
                           NULL, &command),
                     PROBLEM_INVALID_VALUE);
    assert_int_equal(build("{\"customer_id\":\"a\",\"currency\":\"EUR\",\"lines\":[{\"sku\":"
                           "\"A\",\"quantity\":1,\"unit_price_minor\":5}],\"shipping_address\":7}",
                           NULL, &command),
                     PROBLEM_WRONG_TYPE);
    customer_keys_stop(keys);
}

static int begin_all(void **state) {
    (void)state;
    static const char text[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct error err = {0};
    log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "test", 0);
    int fd = mkstemp(master_path);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
              master_keys_parse(text, strlen(text), &masters, &err);
    (void)close(fd);
    ids = schema_ids_new(NULL, &clock_system);
    for (size_t record = 0; ids && record < RECORD_COUNT; record++)
        for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
            if (topic_allows(&topics[topic], record_dirs[record]))
                ok = ok &&
                     schema_ids_add(ids, topic, (enum record_id)record, (int32_t)record + 1, &err);
    return ok ? 0 : -1;
}

static int end_all(void **state) {
    (void)state;
    ids = schema_ids_free(ids);
    return unlink(master_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_keys_the_first_in_the_log_is_current_and_both_open),
        cmocka_unit_test(whatever_the_order_an_erasure_ends_erased),
        cmocka_unit_test(a_key_does_not_open_under_another_master),
        cmocka_unit_test(a_key_is_sealed_anew_and_stays_the_same),
        cmocka_unit_test(a_key_of_another_customer_is_not_taken),
        cmocka_unit_test(an_address_waits_for_the_key_and_opens_until_the_erasure),
        cmocka_unit_test(a_retry_with_an_address_is_the_same_command),
        cmocka_unit_test(an_order_without_address_asks_for_no_key),
        cmocka_unit_test(a_customer_is_sealed_whole),
        cmocka_unit_test(what_is_no_person_is_refused_by_field),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
