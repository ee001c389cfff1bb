// SPDX-License-Identifier: Apache-2.0
//
// Answers of a schema registry. Whatever it says: an id, a schema text, or an error that says so;
// and a message with an id that only it knows is read by the schema it gives, or is poison.
//
//   first byte   what is asked
//   second       the answer's status
//   then         the answer's body; for a message: up to a zero byte, then the message's Avro
#include "event/message.h"
#include "event/registry.h"
#include "fuzz/support/fuzz_curl.h"
#include "fuzz/support/fuzz_ids.h"
#include "service/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FOREIGN_IDS = 1 << 20, SERVED_MAX = 64 };

static const long statuses[] = {200, 200, 200, 404, 409, 500, 302, 0};

static bool check_id(bool answered, int32_t id, const struct error *err) {
    assert(answered ? id >= 0 : err->msg[0] != '\0');
    return answered;
}

static void ask_text(struct registry *registry) {
    struct error err = {0};
    char *schema = NULL;
    if (registry_get(registry, 7, &schema, &err))
        assert(schema);
    else
        assert(err.msg[0] && err.what != DISP_POISON);
    free(schema);
}

// New ones cost more than a message: they serve for some, each with an id that is new to them.
static struct schema_ids *ids_for_next(struct registry *registry, int32_t *ret_id) {
    static struct clock_manual clock;
    static struct schema_ids *ids;
    static int32_t served;
    if (served++ % SERVED_MAX == 0) {
        (void)schema_ids_free(ids);
        clock_manual_init(&clock, INT64_C(1700000000000000));
        ids = schema_ids_new(registry, &clock.clock);
        assert(ids);
        fuzz_ids_add(ids);
    }
    clock_manual_advance_ms(&clock, 60 * 1000); // a registry that was down is asked again
    *ret_id = FOREIGN_IDS + served % SERVED_MAX;
    return ids;
}

// The registry is asked once; afterwards what it said is known.
static void read_message(struct registry *registry, const uint8_t *avro, size_t length) {
    int32_t id;
    struct schema_ids *ids = ids_for_next(registry, &id);
    uint8_t *bytes = malloc(MESSAGE_HEADER_LEN + length);
    assert(bytes);
    bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)(id >> (24 - 8 * i));
    memcpy(bytes + MESSAGE_HEADER_LEN, avro, length);
    int before = fuzz_curl_requests();
    for (int turn = 0; turn < 2; turn++) {
        struct arena arena;
        struct message message;
        struct error err = {0};
        arena_init(&arena, 16 << 20);
        if (!message_decode(ids, bytes, MESSAGE_HEADER_LEN + length, &arena, &message, &err))
            assert(err.msg[0] && err.what != DISP_FATAL);
        arena_done(&arena);
    }
    assert(fuzz_curl_requests() - before <= 1);
    free(schema_ids_foreign_text(ids, id));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct registry *registry;
    struct error err = {0};
    if (!registry) {
        log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz", 0);
        registry = registry_new("http://user:secret@registry", 1000, &err);
    }
    assert(registry);
    if (size < 2)
        return 0;
    size_t length = size - 2;
    const uint8_t *body = data + 2;
    long status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
    int32_t id = -1;
    const uint8_t *zero = memchr(body, '\0', length);
    fuzz_curl_answer(status, body, length);
    switch (data[0] % 5) {
    case 0:
        (void)check_id(registry_register(registry, "topic-r", "{}", 2, &id, &err), id, &err);
        break;
    case 1:
        (void)check_id(registry_lookup(registry, "topic-r", "{}", 2, &id, &err), id, &err);
        break;
    case 2:
        if (!registry_set_compatibility(registry, "topic-r", "FULL", &err))
            assert(err.msg[0]);
        break;
    case 3:
        ask_text(registry);
        break;
    default:
        if (!zero)
            zero = body + length;
        fuzz_curl_answer(status, body, (size_t)(zero - body));
        read_message(registry, zero, (size_t)(body + length - zero));
    }
    return 0;
}
