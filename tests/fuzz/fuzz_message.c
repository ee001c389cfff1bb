// SPDX-License-Identifier: Apache-2.0
//
// The wire envelope: any bytes as a message, in our own version of a schema or in another one that
// must be resolved. Each record has a second id, of a writer with the fields in the opposite order
// and one of its own in front. What is accepted can be written again.
#include "event/event_json.h"
#include "event/message.h"
#include "fuzz/support/fuzz_curl.h"
#include "fuzz/support/fuzz_ids.h"
#include "service/log.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_ids *ids;

enum { OTHERS = 1000 }; // ids of the other versions begin here

// {"schema": "…"} as a registry answers it.
static char *other_version(const struct record_type *type) {
    json_t *schema = json_loadb(type->schema, type->schema_len, 0, NULL);
    json_t *fields = json_object_get(schema, "fields");
    json_t *reversed = json_array();
    assert(fields && reversed);
    int failed = json_array_append_new(reversed, json_pack("{s:s, s:{s:s, s:[s, s]}}", "name",
                                                           "other", "type", "type", "map", "values",
                                                           "null", "string"));
    for (size_t i = json_array_size(fields); i > 0; i--)
        failed |= json_array_append(reversed, json_array_get(fields, i - 1));
    failed |= json_object_set_new(schema, "fields", reversed);
    char *text = json_dumps(schema, JSON_COMPACT);
    json_t *answer = json_pack("{s:s}", "schema", text);
    char *body = json_dumps(answer, JSON_COMPACT);
    assert(!failed && body);
    json_decref(answer);
    json_decref(schema);
    free(text);
    return body;
}

// Takes a second or two.
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static struct clock_manual clock;
    struct error err = {0};
    log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz", 0);
    clock_manual_init(&clock, INT64_C(1700000000000000));
    struct registry *registry = registry_new("http://registry", 1000, &err);
    ids = schema_ids_new(registry, &clock.clock);
    assert(registry && ids);
    fuzz_ids_add(ids);
    for (int32_t i = 0; i < RECORD_COUNT; i++) {
        char *body = other_version(record_types[i]);
        enum record_id record;
        const struct resolution *resolution;
        fuzz_curl_answer(200, body, strlen(body));
        bool known = schema_ids_resolve(ids, OTHERS + i, &record, &resolution, &err);
        assert(known && record == (enum record_id)i && resolution);
        free(body);
        clock_manual_advance_ms(&clock, 1000);
    }
    fuzz_curl_answer(0, "", 0); // and nobody answers any more
    return 0;
}

static void check_accepted(const struct message *message) {
    const struct record_type *type = record_types[message->type];
    size_t bound = message_size_max(type, message->body);
    uint8_t *bytes = bound < SIZE_MAX ? malloc(bound) : NULL;
    assert(bytes);
    assert(message_encode(1, type, message->body, bytes, bytes + bound));
    json_t *json = event_json(type, message->body);
    assert(json);
    json_decref(json);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct message message;
    struct error err = {0};
    arena_init(&arena, 64 << 20);
    if (message_decode(ids, data, size, &arena, &message, &err))
        check_accepted(&message);
    else
        assert(err.msg[0] && err.what == DISP_POISON);
    assert(arena.bytes_held <= (1 << 20) + 512 * size);
    arena_done(&arena);
    return 0;
}
