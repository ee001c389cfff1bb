// SPDX-License-Identifier: Apache-2.0
//
// `orderlog reseal`: seals the keys of customers anew with the first master key, so that the others
// can be given up. What they seal stays as it is, wherever it lies. A key that is destroyed while
// this runs may be written once more: gateways find that its customer was erased, and destroy it.
#include "cli/commands.h"
#include "cli/intern.h"
#include "cli/tool_producer.h"
#include "cli/tool_schemas.h"
#include "event/message.h"
#include "privacy/customer_keys.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/log_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES_MAX = 1024, ARENA_BYTES_MAX = 1 << 20 };

// The last record of a key of the topic; length 0: a tombstone.
struct kept {
    int32_t partition;
    uint16_t length;
    uint8_t value[VALUE_BYTES_MAX];
};

struct reseal {
    const struct schema_ids *ids;
    struct master_keys masters;
    struct intern names; // in the order of the log, which the order of a customer's keys is
    struct kept *kept;   // owned
    uint32_t capacity;
    int64_t resealed;
    int64_t were_so;
    int64_t closed; // with no master key of the file
};

static bool keep(struct reseal *reseal, const struct log_record *record, struct error *err) {
    if (!record->key || record->value_len > VALUE_BYTES_MAX)
        return true; // none of ours
    const uint32_t number = intern_add(&reseal->names, record->key, record->key_len);
    if (number != INTERN_NONE && number >= reseal->capacity) {
        const uint32_t capacity = reseal->capacity ? reseal->capacity * 2 : 1024;
        struct kept *kept = realloc(reseal->kept, capacity * sizeof(*kept));
        if (kept) {
            reseal->kept = kept;
            reseal->capacity = capacity;
        }
    }
    if (number == INTERN_NONE || number >= reseal->capacity)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    struct kept *kept = &reseal->kept[number];
    kept->partition = record->partition;
    kept->length = (uint16_t)(record->value ? record->value_len : 0);
    if (kept->length > 0)
        memcpy(kept->value, record->value, kept->length);
    return true;
}

static bool read_keys(const struct config *config, struct reseal *reseal, struct error *err) {
    struct log_reader *reader = log_reader_open(config, TOPIC_CUSTOMERS_KEYS, LOG_READER_ALL, err);
    if (!reader)
        return false;
    enum log_reader_result result = LOG_READER_RECORD;
    bool ok = true;
    while (ok && result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        if (result == LOG_READER_RECORD)
            ok = keep(reseal, &record, err);
    }
    log_reader_close(reader);
    return ok && result == LOG_READER_END;
}

static bool is_erased(const struct reseal *reseal, const char *customer, size_t customer_len) {
    const uint32_t number = intern_find(&reseal->names, customer, customer_len);
    return number != INTERN_NONE && reseal->kept[number].length > 0;
}

static bool write_key(struct reseal *reseal, struct tool_producer *producer, const char *name,
                      size_t name_len, int32_t partition, const struct customer_key *key,
                      struct error *err) {
    uint8_t bytes[VALUE_BYTES_MAX];
    const int32_t schema_id = schema_ids_of(reseal->ids, TOPIC_CUSTOMERS_KEYS, RECORD_CUSTOMER_KEY);
    const uint8_t *end =
        message_encode(schema_id, &customer_key_type, key, bytes, bytes + sizeof(bytes));
    return end ? tool_producer_send_to(producer, TOPIC_CUSTOMERS_KEYS, partition,
                                       RECORD_CUSTOMER_KEY, name, name_len, bytes,
                                       (size_t)(end - bytes), err)
               : error_set(err, DISP_FATAL, 0, "a key does not fit into a message");
}

static bool reseal_one(struct reseal *reseal, struct tool_producer *producer, uint32_t number,
                       struct arena *arena, struct error *err) {
    const struct kept *kept = &reseal->kept[number];
    struct customer_keys_made made;
    struct message message;
    struct error ignored;
    struct id key_id;
    size_t customer_len = 0;
    size_t name_len = 0;
    const char *name = intern_bytes(&reseal->names, number, &name_len);
    arena_reset(arena);
    if (kept->length == 0 || !customer_key_name_parse(name, name_len, &customer_len, &key_id) ||
        is_erased(reseal, name, customer_len) ||
        !message_decode(reseal->ids, kept->value, kept->length, arena, &message, &ignored) ||
        message.type != RECORD_CUSTOMER_KEY)
        return true;
    switch (customer_keys_reseal(&reseal->masters, message.body, &made)) {
    case CUSTOMER_KEYS_RESEALED:
        reseal->resealed++;
        return write_key(reseal, producer, name, name_len, kept->partition, &made.record, err);
    case CUSTOMER_KEYS_IS_SO:
        reseal->were_so++;
        break;
    case CUSTOMER_KEYS_NO_MASTER:
        reseal->closed++;
        break;
    }
    return true;
}

static bool reseal_all(const struct config *config, struct reseal *reseal, struct error *err) {
    struct arena arena;
    struct tool_producer *producer = tool_producer_open(config, err);
    if (!producer)
        return false;
    arena_init(&arena, ARENA_BYTES_MAX);
    bool ok = true;
    for (uint32_t i = 0; ok && i < reseal->names.count; i++)
        ok = reseal_one(reseal, producer, i, &arena, err);
    ok = ok && tool_producer_flush(producer, err);
    arena_done(&arena);
    tool_producer_close(producer);
    return ok;
}

int cmd_reseal(int argc, char **argv) {
    static const enum topic_id topic_id = TOPIC_CUSTOMERS_KEYS;
    const struct config_command command = {
        .usage = "reseal",
        .about = "Seals every customer's key anew with the first key of customers.master.key.file. "
                 "Gateways and query services must have that key in their files already. Exit "
                 "status 0: the other keys of the file are not needed any more.",
        .role = ROLE_TOOL,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "reseal", -1);
    struct error err = {0};
    struct tool_schemas schemas = {0};
    struct reseal reseal = {.ids = NULL};
    bool ok = master_keys_load(config.customers_master_key_file, &reseal.masters, &err) &&
              tool_schemas_open(&config, &topic_id, 1, &schemas, &err);
    reseal.ids = schemas.ids;
    ok = ok && read_keys(&config, &reseal, &err) && reseal_all(&config, &reseal, &err);
    if (ok)
        printf("%lld keys sealed anew, %lld were so already\n", (long long)reseal.resealed,
               (long long)reseal.were_so);
    else
        (void)fprintf(stderr, "orderlog reseal: %s\n", err.msg);
    if (ok && reseal.closed > 0)
        (void)fprintf(stderr,
                      "orderlog reseal: %lld keys open with no master key of the file: add the one "
                      "that sealed them\n",
                      (long long)reseal.closed);
    if (!ok)
        exit_code = err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_FAILED;
    else if (reseal.closed > 0)
        exit_code = EXIT_FAILED;
    master_keys_forget(&reseal.masters);
    intern_done(&reseal.names);
    free(reseal.kept);
    tool_schemas_close(&schemas);
    config_free(&config);
    return exit_code;
}
