// SPDX-License-Identifier: Apache-2.0
//
// Schemas and ids against a real registry (ORDERLOG_REGISTRY). Subjects are this run's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>

#include "event/message.h"
#include "event/registry.h"
#include "service/clock.h"

enum { TOPIC_EVENTS, TOPIC_UNUSED, TOPIC_PRODUCTS, TOPIC_INBOX, TOPICS };

static char names[TOPICS][64];
static struct schema_topic topics[TOPICS];
static struct registry *registry;
static struct error err;

static int begin(void **state) {
    (void)state;
    const char *url = getenv("ORDERLOG_REGISTRY");
    registry = url ? registry_new(url, 10000, &err) : NULL;
    if (!registry) {
        print_error("ORDERLOG_REGISTRY names no registry: %s\n", err.msg);
        return -1;
    }
    static const char *const dirs[TOPICS][2] = {
        [TOPIC_EVENTS] = {"orders.events"},
        [TOPIC_PRODUCTS] = {"products"},
        [TOPIC_INBOX] = {"inventory.inbox", "inbox"},
    };
    for (int i = 0; i < TOPICS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%lld.%d.%d", (long long)clock_now_us(),
                       (int)getpid(), i);
        topics[i] = (struct schema_topic){names[i], {dirs[i][0], dirs[i][1]}};
    }
    topics[TOPIC_UNUSED].name = NULL;
    return 0;
}

static int end(void **state) {
    (void)state;
    registry_free(registry);
    return 0;
}

static void must(bool ok) {
    if (!ok)
        fail_msg("%s", err.msg);
}

static struct schema_ids *loaded_ids(void) {
    struct schema_ids *ids = schema_ids_new(registry, &clock_system);
    assert_non_null(ids);
    must(schema_ids_load(ids, topics, TOPICS, &err));
    return ids;
}

static void before_setup_a_role_says_what_to_run(void **state) {
    (void)state;
    struct schema_ids *ids = schema_ids_new(registry, &clock_system);
    assert_false(schema_ids_load(ids, topics, TOPICS, &err));
    assert_non_null(strstr(err.msg, "run `orderlog setup`"));
    assert_non_null(strstr(err.msg, registry_url(registry)));
    assert_non_null(strstr(err.msg, names[TOPIC_EVENTS]));
    assert_int_equal(err.code, 404);
    assert_int_equal(err.what, DISP_FATAL);
    schema_ids_free(ids);
}

static void setup_registers_once_and_may_run_again(void **state) {
    (void)state;
    must(schema_ids_register(registry, topics, TOPICS, &err));
    struct schema_ids *first = loaded_ids();
    must(schema_ids_register(registry, topics, TOPICS, &err));
    struct schema_ids *second = loaded_ids();
    for (size_t i = 0; i < TOPICS; i++)
        for (int j = 0; j < RECORD_COUNT; j++)
            assert_int_equal(schema_ids_of(first, i, (enum record_id)j),
                             schema_ids_of(second, i, (enum record_id)j));
    assert_true(schema_ids_of(first, TOPIC_EVENTS, RECORD_ORDER_PLACED) > 0);
    assert_true(schema_ids_of(first, TOPIC_INBOX, RECORD_MESSAGE_GROUP) > 0);
    assert_true(schema_ids_of(first, TOPIC_INBOX, RECORD_RECEIVE_STOCK) > 0);
    assert_int_equal(schema_ids_of(first, TOPIC_EVENTS, RECORD_RECEIVE_STOCK), -1);
    assert_int_equal(schema_ids_of(first, TOPIC_UNUSED, RECORD_PRODUCT), -1);
    schema_ids_free(first);
    schema_ids_free(second);
}

static size_t append(char *bytes, size_t size, size_t count, void *context) {
    strncat(context, bytes, size * count); // 64 KiB are more than any answer here
    return size * count;
}

// What stands at a path of the registry, without our client.
static const char *raw_get(const char *path) {
    static char text[64 * 1024];
    char url[512];
    (void)snprintf(url, sizeof(url), "%s%s", getenv("ORDERLOG_REGISTRY"), path);
    text[0] = '\0';
    CURL *curl = curl_easy_init();
    assert_int_equal(curl_easy_setopt(curl, CURLOPT_URL, url), CURLE_OK);
    assert_int_equal(curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append), CURLE_OK);
    assert_int_equal(curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)text), CURLE_OK);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_cleanup(curl);
    return text;
}

static void the_registered_text_is_the_file_byte_for_byte(void **state) {
    (void)state;
    struct schema_ids *ids = loaded_ids();
    char path[64];
    (void)snprintf(path, sizeof(path), "/schemas/ids/%d/schema",
                   schema_ids_of(ids, TOPIC_EVENTS, RECORD_ORDER_PLACED));
    assert_string_equal(raw_get(path), order_placed_type.schema);
    schema_ids_free(ids);
}

static void an_incompatible_change_is_refused(void **state) {
    (void)state;
    static const char changed[] =
        "{\"type\": \"record\", \"name\": \"Product\", \"namespace\": \"orderlog\", \"fields\": "
        "[{\"name\": \"shop_id\", \"type\": \"long\"}]}";
    char subject[256];
    (void)snprintf(subject, sizeof(subject), "%s-orderlog.Product", names[TOPIC_PRODUCTS]);
    int32_t id;
    assert_false(registry_register(registry, subject, changed, strlen(changed), &id, &err));
    assert_int_equal(err.code, 409);
    assert_int_equal(err.what, DISP_FATAL);
    assert_non_null(strstr(err.msg, "schemas/README.md"));
    assert_non_null(strstr(err.msg, subject));
}

static void a_message_is_read_by_the_id_it_was_written_with(void **state) {
    (void)state;
    struct schema_ids *ids = loaded_ids();
    struct product product = {.shop_id = {"main", 4}, .sku = {"85123A", 6}, .price_minor = 255};
    uint8_t bytes[256];
    uint8_t *stop = message_encode(schema_ids_of(ids, TOPIC_PRODUCTS, RECORD_PRODUCT),
                                   &product_type, &product, bytes, bytes + sizeof(bytes));
    struct arena arena;
    arena_init(&arena, 0);
    struct message message;
    must(message_decode(ids, bytes, (size_t)(stop - bytes), &arena, &message, &err));
    assert_int_equal(message.type, RECORD_PRODUCT);
    assert_int_equal(((const struct product *)message.body)->price_minor, 255);
    arena_done(&arena);
    schema_ids_free(ids);
}

// Registers a schema of our own under a subject that no role loads.
static int32_t register_elsewhere(const char *schema) {
    char subject[256];
    int32_t id = -1;
    (void)snprintf(subject, sizeof(subject), "%s.elsewhere-%zu", names[TOPIC_EVENTS],
                   strlen(schema));
    must(registry_register(registry, subject, schema, strlen(schema), &id, &err));
    return id;
}

// Another subject, other words: the same bytes.
static void our_record_under_another_id_is_known(void **state) {
    (void)state;
    json_t *schema = json_loads(product_type.schema, 0, NULL);
    char doc[128];
    (void)snprintf(doc, sizeof(doc), "Written by %s", names[TOPIC_PRODUCTS]);
    json_object_set_new(schema, "doc", json_string(doc));
    char *text = json_dumps(schema, 0);
    int32_t id = register_elsewhere(text);
    struct schema_ids *ids = loaded_ids();
    assert_int_not_equal(schema_ids_of(ids, TOPIC_PRODUCTS, RECORD_PRODUCT), id);

    enum record_id record;
    const struct resolution *resolution;
    must(schema_ids_resolve(ids, id, &record, &resolution, &err));
    assert_int_equal(record, RECORD_PRODUCT);
    assert_null(resolution);
    assert_null(schema_ids_foreign_text(ids, id));
    schema_ids_free(ids);
    free(text);
    json_decref(schema);
}

static void a_foreign_schema_is_poison_by_name(void **state) {
    (void)state;
    char schema[256];
    (void)snprintf(schema, sizeof(schema),
                   "{\"type\":\"record\",\"name\":\"Stranger\",\"namespace\":\"elsewhere\","
                   "\"doc\":\"%s\",\"fields\":[{\"name\":\"x\",\"type\":\"double\"}]}",
                   names[TOPIC_EVENTS]);
    int32_t id = register_elsewhere(schema);
    struct schema_ids *ids = loaded_ids();
    enum record_id record;
    const struct resolution *resolution;
    for (int i = 0; i < 2; i++) { // the second time from memory
        assert_false(schema_ids_resolve(ids, id, &record, &resolution, &err));
        assert_int_equal(err.what, DISP_POISON);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "schema id %d is elsewhere.Stranger", id);
        assert_non_null(strstr(err.msg, expected));
    }
    char *text = schema_ids_foreign_text(ids, id);
    assert_non_null(text);
    assert_non_null(strstr(text, "Stranger"));
    free(text);
    schema_ids_free(ids);
}

static void an_id_nobody_registered_is_poison(void **state) {
    (void)state;
    struct schema_ids *ids = loaded_ids();
    enum record_id record;
    const struct resolution *resolution;
    assert_false(schema_ids_resolve(ids, INT32_MAX, &record, &resolution, &err));
    assert_int_equal(err.what, DISP_POISON);
    assert_int_equal(err.code, 404);
    assert_non_null(strstr(err.msg, "schema id 2147483647 is unknown"));
    schema_ids_free(ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_setup_a_role_says_what_to_run),
        cmocka_unit_test(setup_registers_once_and_may_run_again),
        cmocka_unit_test(the_registered_text_is_the_file_byte_for_byte),
        cmocka_unit_test(an_incompatible_change_is_refused),
        cmocka_unit_test(a_message_is_read_by_the_id_it_was_written_with),
        cmocka_unit_test(our_record_under_another_id_is_known),
        cmocka_unit_test(a_foreign_schema_is_poison_by_name),
        cmocka_unit_test(an_id_nobody_registered_is_poison),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
