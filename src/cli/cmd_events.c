// SPDX-License-Identifier: Apache-2.0
//
// `orderlog events ORDER_ID`: one order's life as the log has it. Only its partition is read, from
// the beginning, committed records only.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/tool_schemas.h"
#include "event/event_json.h"
#include "event/message.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/log_reader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES_MAX = 16 << 20, FOLLOW_POLL_MS = 500 };

struct printing {
    char key[ID_TEXT_LEN];
    bool as_json;
    const struct schema_ids *ids;
    struct arena arena;
    int64_t first_us; // of the first event
    int64_t printed_count;
};

// Fields that have a column of their own, or say nothing to people.
static bool is_plumbing(const char *name) {
    static const char *const names[] = {
        "event_id",         "shop_id",         "order_id",   "version",     "occurred_at",
        "causation_id",     "correlation_id",  "status",     "key_id",      "reservation_status",
        "payment_status",   "shipment_status", "payment_id", "shipment_id", "folded",
        "shipping_address",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void print_value(const char *name, const json_t *value) {
    if (json_is_null(value) || is_plumbing(name))
        return;
    if (json_is_array(value)) {
        if (json_array_size(value) > 0)
            printf(" %s=%zu", name, json_array_size(value));
        return;
    }
    char *text = json_is_string(value) ? strdup(json_string_value(value))
                                       : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    printf(strchr(text ? text : "", ' ') ? " %s=\"%s\"" : " %s=%s", name, text ? text : "");
    free(text);
}

static int64_t occurred_at_us(const struct message *message) {
    const struct record_type *type = record_types[message->type];
    int64_t at_us = 0;
    for (size_t i = 0; i < type->fields_count; i++)
        if (strcmp(type->fields[i].name, "occurred_at") == 0)
            memcpy(&at_us, (const char *)message->body + type->fields[i].offset, sizeof(at_us));
    return at_us;
}

static void print_line(struct printing *printing, const struct message *message, json_t *json,
                       const struct log_record *record) {
    const json_t *version = json_object_get(json, "version");
    const char *status = json_string_value(json_object_get(json, "status"));
    const char *occurred_at = json_string_value(json_object_get(json, "occurred_at"));
    const int64_t at_us = occurred_at_us(message);
    if (printing->printed_count == 0)
        printing->first_us = at_us;

    char version_text[16] = "-";
    if (json_is_integer(version))
        (void)snprintf(version_text, sizeof(version_text), "%lld",
                       (long long)json_integer_value(version));
    printf("%4s  %s  +%8.3f s  %-24s %-16s", version_text, occurred_at ? occurred_at : "",
           (double)(at_us - printing->first_us) / 1e6, record_types[message->type]->name,
           status ? status : "");
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json, name, value) print_value(name, value);
    printf("  [%d:%lld]\n", record->partition, (long long)record->offset);
}

static void print_json(const struct message *message, json_t *json,
                       const struct log_record *record) {
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:O}", "type", record_types[message->type]->name, "partition",
                  (int)record->partition, "offset", (json_int_t)record->offset, "event", json);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    printf("%s\n", text ? text : "");
    free(text);
    json_decref(line);
}

static void print_record(struct printing *printing, const struct log_record *record) {
    if (record->key_len != ID_TEXT_LEN || memcmp(record->key, printing->key, ID_TEXT_LEN) != 0)
        return;
    struct message message;
    struct error err = {0};
    arena_reset(&printing->arena);
    if (!record->value || !message_decode(printing->ids, record->value, record->value_len,
                                          &printing->arena, &message, &err)) {
        (void)fprintf(stderr, "orderlog events: the record at %d:%lld is no event: %s\n",
                      record->partition, (long long)record->offset, err.msg);
        return;
    }
    json_t *json = event_json(record_types[message.type], message.body);
    if (!json)
        return;
    if (printing->as_json)
        print_json(&message, json, record);
    else
        print_line(printing, &message, json, record);
    (void)fflush(stdout);
    json_decref(json);
    printing->printed_count++;
}

static bool read_events(const struct config *config, struct printing *printing, bool follow,
                        struct error *err) {
    struct log_reader *reader =
        log_reader_open_key(config, TOPIC_ORDERS_EVENTS, printing->key, sizeof(printing->key), err);
    if (!reader)
        return false;
    enum log_reader_result result = LOG_READER_RECORD;
    while (result != LOG_READER_FAILED && !service_stopping()) {
        struct log_record record;
        result = log_reader_next(reader, FOLLOW_POLL_MS, &record, err);
        if (result == LOG_READER_RECORD)
            print_record(printing, &record);
        if (result == LOG_READER_END && !follow)
            break;
    }
    log_reader_close(reader);
    return result != LOG_READER_FAILED;
}

static int print_events(const struct config *config, const struct config_flag *flags,
                        const char *text) {
    struct id order_id;
    if (!id_parse(text, strlen(text), &order_id)) {
        (void)fprintf(stderr, "orderlog events: '%s' is no order id: a UUID is expected\n", text);
        return EXIT_USAGE;
    }
    static const enum topic_id topic = TOPIC_ORDERS_EVENTS;
    struct error err = {0};
    struct tool_schemas schemas = {0};
    struct printing printing = {.as_json = flags_is_set(flags, "json")};
    id_format(&order_id, printing.key);
    bool ok = tool_schemas_open(config, &topic, 1, &schemas, &err);
    if (ok) {
        printing.ids = schemas.ids;
        arena_init(&printing.arena, ARENA_BYTES_MAX);
        ok = read_events(config, &printing, flags_is_set(flags, "follow"), &err);
        arena_done(&printing.arena);
        tool_schemas_close(&schemas);
    }
    if (!ok) {
        (void)fprintf(stderr, "orderlog events: %s\n", err.msg);
        return err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
    }
    if (printing.printed_count > 0)
        return EXIT_OK;
    (void)fprintf(stderr, "orderlog events: the log knows no order %s\n", text);
    return EXIT_FAILED;
}

int cmd_events(int argc, char **argv) {
    struct config_flag flags[] = {
        {"json", NULL, "One JSON object per event", NULL},
        {"follow", NULL, "Stay and print what comes, until interrupted", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "events ORDER_ID [--json] [--follow]",
        .about = "Prints the life of one order from the log: version, time, time since it was "
                 "placed, event, status after it, what else it says, [partition:offset].",
        .role = ROLE_TOOL,
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 1,
    };
    struct config config;
    char **arguments = NULL;
    int arguments_count = 0;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "events", -1);
    service_signals_init();
    exit_code = print_events(&config, flags, arguments[0]);
    config_free(&config);
    return exit_code;
}
