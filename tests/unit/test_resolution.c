// SPDX-License-Identifier: Apache-2.0
//
// Messages in other versions of our schemas, as they come off a topic; and schemas that mean harm.
// What values come out is judged by resolution_fastavro.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/message.h"
#include "event/resolution.h"
#include "service/clock.h"
#include "simulated.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 4096 };

static struct error err;
static struct arena arena;
static struct liar liar;
static struct registry *registry;
static struct schema_ids *ids;
static char *http_answer;

// The registry holds this schema, whatever the id.
static void registry_with(const char *schema) {
    json_t *body = json_pack("{s:s}", "schema", schema);
    char *text = json_dumps(body, 0);
    size_t size = strlen(text) + 128;
    http_answer = malloc(size);
    assert_non_null(http_answer);
    (void)snprintf(http_answer, size,
                   "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(text), text);
    free(text);
    json_decref(body);
    liar_start(&liar, http_answer);
    registry = registry_new(liar.url, 5000, &err);
    assert_non_null(registry);
    ids = schema_ids_new(registry, &clock_system);
    assert_non_null(ids);
}

static int begin(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    err = (struct error){0};
    return 0;
}

static int end(void **state) {
    (void)state;
    if (ids) {
        ids = schema_ids_free(ids);
        registry = registry_free(registry);
        liar_stop(&liar);
        free(http_answer);
    }
    arena_done(&arena);
    return 0;
}

static json_t *schema_of(enum record_id record) {
    json_t *schema =
        json_loadb(record_types[record]->schema, record_types[record]->schema_len, 0, NULL);
    assert_non_null(schema);
    return schema;
}

static json_t *fields_of(const json_t *schema) {
    return json_object_get(schema, "fields");
}

static void registry_takes(json_t *schema) {
    char *text = json_dumps(schema, 0);
    registry_with(text);
    free(text);
    json_decref(schema);
}

static const struct cancel_order sample = {
    .command_id = {{1}},
    .key_id = {{2}},
    .shop_id = {"main", 4},
    .order_id = {{3}},
    .idempotency_key = {"again and again", 15},
    .received_at = INT64_C(1700000000000000),
};

// A message with id 77 and the sample in our form; what comes last are fields that are null, the
// reason first.
static size_t message_of(uint8_t bytes[BYTES_MAX]) {
    uint8_t *stop = message_encode(77, &cancel_order_type, &sample, bytes, bytes + BYTES_MAX);
    assert_non_null(stop);
    assert_int_equal(stop[-1], 0);
    return (size_t)(stop - bytes);
}

static size_t fields_after_reason(void) {
    json_t *schema = schema_of(RECORD_CANCEL_ORDER);
    size_t count = json_array_size(fields_of(schema));
    size_t at = 0;
    while (strcmp(json_string_value(json_object_get(json_array_get(fields_of(schema), at), "name")),
                  "reason") != 0)
        at++;
    json_decref(schema);
    return count - at - 1;
}

static void expect_sample(const uint8_t *bytes, size_t len, const char *reason) {
    struct message message;
    if (!message_decode(ids, bytes, len, &arena, &message, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(message.type, RECORD_CANCEL_ORDER);
    const struct cancel_order *read = message.body;
    assert_true(id_equal(&read->command_id, &sample.command_id));
    assert_true(id_equal(&read->order_id, &sample.order_id));
    assert_int_equal(read->idempotency_key.len, sample.idempotency_key.len);
    assert_memory_equal(read->idempotency_key.ptr, sample.idempotency_key.ptr,
                        sample.idempotency_key.len);
    assert_int_equal(read->received_at, sample.received_at);
    assert_int_equal(read->reason.len, reason ? strlen(reason) : 0);
    if (reason)
        assert_memory_equal(read->reason.ptr, reason, strlen(reason));
    else
        assert_null(read->reason.ptr);
}

// ---- versions ----------------------------------------------------------------------------------

static void a_message_of_an_older_version_is_read(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX];
    json_t *older = schema_of(RECORD_CANCEL_ORDER);
    json_array_remove(fields_of(older), json_array_size(fields_of(older)) - 1);
    registry_takes(older);
    size_t len = message_of(bytes) - 1;
    for (int i = 0; i < 3; i++)
        expect_sample(bytes, len, NULL);
    assert_int_equal(atomic_load(&liar.requests), 1); // asked once
}

static void a_message_of_a_newer_version_is_read(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX];
    json_t *newer = schema_of(RECORD_CANCEL_ORDER);
    json_array_insert_new(fields_of(newer), 0,
                          json_pack("{s:s, s:[s, {s:s, s:s}], s:n}", "name", "hints", "type",
                                    "null", "type", "map", "values", "double", "default"));
    json_array_append_new(fields_of(newer),
                          json_pack("{s:s, s:s}", "name", "weight", "type", "float"));
    registry_takes(newer);
    size_t len = message_of(bytes);
    memmove(bytes + MESSAGE_HEADER_LEN + 13, bytes + MESSAGE_HEADER_LEN, len);
    static const uint8_t hints[13] = {2, 2, 2, 'k', 1, 2, 3, 4, 5, 6, 7, 8, 0};
    memcpy(bytes + MESSAGE_HEADER_LEN, hints, sizeof(hints));
    len += sizeof(hints);
    const size_t later = fields_after_reason();
    uint8_t *reason = bytes + len - 1 - later;
    memcpy(reason,
           "\x02\x08"
           "late",
           6);
    memset(reason + 6, 0, later);
    memset(bytes + len + 5, 0x40, 4); // the weight
    expect_sample(bytes, len + 9, "late");
}

static void what_was_read_is_checked_as_ever(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX];
    json_t *older = schema_of(RECORD_CANCEL_ORDER);
    json_array_remove(fields_of(older), json_array_size(fields_of(older)) - 1);
    registry_takes(older);
    size_t len = message_of(bytes) - 1;
    struct message message;
    bytes[MESSAGE_HEADER_LEN + 3] = 'x'; // in the first id
    assert_false(message_decode(ids, bytes, len, &arena, &message, &err));
    assert_int_equal(err.what, DISP_POISON);
    assert_non_null(strstr(err.msg, "CancelOrder.command_id"));
    for (size_t cut = MESSAGE_HEADER_LEN; cut < len; cut++) {
        assert_false(message_decode(ids, bytes, cut, &arena, &message, &err));
        assert_int_equal(err.what, DISP_POISON);
    }
    (void)message_of(bytes);
    assert_false(message_decode(ids, bytes, len + 1, &arena, &message, &err));
    assert_non_null(strstr(err.msg, "ends at byte"));
}

static void a_version_that_cannot_be_read_is_poison_by_field(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX];
    json_t *broken = schema_of(RECORD_CANCEL_ORDER);
    json_object_set_new(json_array_get(fields_of(broken), 2), "type", json_string("long"));
    registry_takes(broken);
    struct message message;
    for (int i = 0; i < 2; i++) { // the second time from memory
        assert_false(message_decode(ids, bytes, message_of(bytes), &arena, &message, &err));
        assert_int_equal(err.what, DISP_POISON);
        assert_non_null(strstr(err.msg, "schema id 77 is a version of orderlog.CancelOrder"));
        assert_non_null(strstr(err.msg, "CancelOrder.shop_id: was written as long"));
    }
    assert_int_equal(atomic_load(&liar.requests), 1);
    char *text = schema_ids_foreign_text(ids, 77);
    assert_non_null(text);
    free(text);
}

static void a_missing_field_without_default_is_named(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX];
    json_t *broken = schema_of(RECORD_CANCEL_ORDER);
    json_array_remove(fields_of(broken), 2);
    registry_takes(broken);
    struct message message;
    assert_false(message_decode(ids, bytes, message_of(bytes), &arena, &message, &err));
    assert_non_null(strstr(err.msg, "CancelOrder.shop_id: the writer does not have the field"));
}

// ---- schemas and messages that mean harm -------------------------------------------------------

static const char reader_of_one[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
                                    "{\"name\":\"x\",\"type\":\"long\",\"default\":7}]}";

static struct resolution *resolve(const char *writer) {
    return resolution_new(writer, strlen(writer), reader_of_one, strlen(reader_of_one), &err);
}

static void a_schema_that_means_harm_is_refused(void **state) {
    (void)state;
    static char deep[200000];
    char *at = deep;
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, "{\"type\":\"array\",\"items\":");
    at += sprintf(at, "\"long\"");
    memset(at, '}', 1000);
    static char wide[100000];
    at = wide + sprintf(wide, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[");
    for (int i = 0; i < 1025; i++)
        at += sprintf(at, "%s{\"name\":\"f%d\",\"type\":\"long\"}", i ? "," : "", i);
    (void)sprintf(at, "]}");
    const char *const harmful[] = {
        "",
        "null",
        "7",
        "{}",
        "[]",
        "\"\"",
        "\"R\"",
        "{\"type\":\"record\"}",
        "{\"type\":\"record\",\"name\":\"R\"}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":7}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[7]}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"Q\"}]}",
        "{\"type\":\"enum\",\"name\":\"R\",\"symbols\":[1]}",
        "{\"type\":\"fixed\",\"name\":\"R\",\"size\":-1}",
        "{\"type\":\"fixed\",\"name\":\"R\"}",
        "[\"null\",[\"null\",\"long\"]]",
        deep,
        wide,
    };
    for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
        err = (struct error){0};
        if (resolve(harmful[i]))
            fail_msg("%.100s was taken", harmful[i]);
        assert_int_equal(err.what, DISP_POISON);
        assert_true(err.msg[0]);
    }
}

static void expect_refusal(const char *field_type, const void *bytes, size_t len) {
    char writer[1024];
    (void)snprintf(writer, sizeof(writer),
                   "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"y\",\"type\":%s}]}",
                   field_type);
    struct resolution *resolution = resolve(writer);
    if (!resolution)
        fail_msg("%s", err.msg);
    const uint8_t *at, *stop;
    const uint8_t *in = bytes;
    assert_false(resolution_apply(resolution, in, in + len, &arena, &at, &stop, &err));
    assert_int_equal(err.what, DISP_POISON);
    assert_non_null(strstr(err.msg, "R.y: "));
    (void)resolution_free(resolution);
}

static void a_message_costs_no_more_than_its_length_is_worth(void **state) {
    (void)state;
    static const uint8_t many[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0};
    // Items without bytes, and records in records without end.
    expect_refusal("{\"type\":\"array\",\"items\":\"null\"}", many, sizeof(many));
    expect_refusal("{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"E\","
                   "\"fields\":[]}}",
                   many, sizeof(many));
    expect_refusal("{\"type\":\"array\",\"items\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}}",
                   many, sizeof(many));
    expect_refusal("{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"s\",\"type\":"
                   "\"S\"}]}",
                   many, sizeof(many));
    static uint8_t nested[1 << 20];
    memset(nested, 2, sizeof(nested));
    expect_refusal("{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"s\",\"type\":"
                   "[\"null\",\"S\"]}]}",
                   nested, sizeof(nested));
    expect_refusal("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2147483647}", many, sizeof(many));
}

static void a_default_that_does_not_fit_is_refused(void **state) {
    (void)state;
    static const char *const defaults[] = {"\"x\"", "1.5", "null", "[]", "{}", "true"};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        char reader[256];
        (void)snprintf(reader, sizeof(reader),
                       "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":"
                       "\"long\",\"default\":%s}]}",
                       defaults[i]);
        static const char writer[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}";
        assert_null(resolution_new(writer, strlen(writer), reader, strlen(reader), &err));
        assert_non_null(strstr(err.msg, "R.x: its default does not fit its type"));
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_message_of_an_older_version_is_read),
        TEST(a_message_of_a_newer_version_is_read),
        TEST(what_was_read_is_checked_as_ever),
        TEST(a_version_that_cannot_be_read_is_poison_by_field),
        TEST(a_missing_field_without_default_is_named),
        TEST(a_schema_that_means_harm_is_refused),
        TEST(a_message_costs_no_more_than_its_length_is_worth),
        TEST(a_default_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
