// SPDX-License-Identifier: Apache-2.0
//
// kafka.* and postgres.*: everything the libraries can do (TLS, SASL, tuning) is the operator's,
// except for the keys that the promises rest on. Those are refused with the reason.
#include "config_table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct refused {
    const char *key;
    const char *reason;
};

#define OFFSETS "offsets are committed inside the transactions"
#define IDEMPOTENCE "without it a retried send is lost, doubled or out of order"
#define REPORTS "the roles count on being told of every delivery"
#define SLOT "it is made from the role and the option 'slot'"

static const struct refused kafka_refused[] = {
    {"enable.idempotence", IDEMPOTENCE},
    {"acks", "an order is acknowledged only when all in-sync replicas have it"},
    {"request.required.acks", "an order is acknowledged only when all in-sync replicas have it"},
    {"max.in.flight", IDEMPOTENCE},
    {"max.in.flight.requests.per.connection", IDEMPOTENCE},
    {"enable.gapless.guarantee", IDEMPOTENCE},
    {"retries", IDEMPOTENCE},
    {"message.send.max.retries", IDEMPOTENCE},
    {"message.timeout.ms", "the roles set it from their own deadlines"},
    {"delivery.timeout.ms", "the roles set it from their own deadlines"},
    {"delivery.report.only.error", REPORTS},
    {"enabled_events", REPORTS},
    {"message.max.bytes", "the largest order must fit into a record"},
    {"queue.buffering.max.ms", "it is another name of linger.ms: use that one"},
    {"transactional.id", SLOT},
    {"transaction.timeout.ms", "use the option 'transaction.timeout.ms', which is range-checked"},
    {"group.id", SLOT},
    {"group.instance.id", SLOT},
    {"group.protocol", "take-over relies on the classic protocol with static membership"},
    {"partition.assignment.strategy", "take-over relies on eager assignment"},
    {"heartbeat.interval.ms", "it is made from the option 'session.timeout.ms'"},
    {"client.id", SLOT},
    {"session.timeout.ms", "use the option 'session.timeout.ms', which is range-checked"},
    {"isolation.level", "aborted records must not be acted upon"},
    {"enable.auto.commit", OFFSETS},
    {"auto.commit.enable", OFFSETS},
    {"enable.auto.offset.store", OFFSETS},
    {"auto.offset.reset", "a missing offset must stop the worker, not skip or repeat orders"},
    {"enable.partition.eof", "deadlines are judged only at the end of the input"},
    {"check.crcs", "a record damaged on its way must not be acted upon"},
    {"partitioner", "the partition of a key must be the one Java clients compute"},
    {"allow.auto.create.topics", "only `orderlog setup` creates topics, with the right settings"},
    {NULL, NULL},
};

static const struct refused postgres_refused[] = {
    {"client_encoding", "all text is UTF-8"},
    {"replication", "a replication connection cannot run queries"},
    {"options", "settings that projections rely on are made by the roles"},
    {NULL, NULL},
};

static bool refuse(const struct refused *rows, const char *prefix, const char *key,
                   const char *source, struct error *err) {
    for (const struct refused *row = rows; row->key; row++) {
        if (strcmp(row->key, key) == 0)
            return error_set(err, DISP_FATAL, 0, "%s: %s.%s cannot be set: %s", source, prefix, key,
                             row->reason);
    }
    return true;
}

static int compare_settings(const void *a, const void *b) {
    return strcmp(((const struct config_setting *)a)->name,
                  ((const struct config_setting *)b)->name);
}

static struct config_setting *find(const struct config_settings *settings, const char *name) {
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].name, name) == 0)
            return &settings->items[i];
    }
    return NULL;
}

const char *config_settings_find(const struct config_settings *settings, const char *name) {
    const struct config_setting *setting = find(settings, name);
    return setting ? setting->value : NULL;
}

bool config_passthrough_set(struct config_settings *settings, bool kafka, const char *key,
                            const char *value, const char *source, struct error *err) {
    if (!(kafka ? refuse(kafka_refused, "kafka", key, source, err)
                : refuse(postgres_refused, "postgres", key, source, err)))
        return false;

    char *copy = strdup(value);
    if (!copy)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    struct config_setting *setting = find(settings, key);
    if (setting) {
        free(setting->value);
        setting->value = copy;
        (void)snprintf(setting->source, sizeof(setting->source), "%s", source);
        return true;
    }

    struct config_setting *items =
        realloc(settings->items, (settings->count + 1) * sizeof(*settings->items));
    char *name = strdup(key);
    if (items)
        settings->items = items;
    if (!items || !name) {
        free(copy);
        free(name);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    setting = &items[settings->count++];
    *setting = (struct config_setting){.name = name, .value = copy};
    (void)snprintf(setting->source, sizeof(setting->source), "%s", source);
    qsort(items, settings->count, sizeof(*items), compare_settings);
    return true;
}

bool config_passthrough_is_secret(const char *key) {
    static const char *const words[] = {"password", "secret", "key.pem", "sasl.oauthbearer.config",
                                        "sasl.jaas"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(key, words[i]))
            return true;
    }
    return false;
}

// --- conninfo ----------------------------------------------------------------------------------

static void print_quoted(FILE *out, const char *value) {
    (void)fputc('\'', out);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            (void)fputc('\\', out);
        (void)fputc(*value, out);
    }
    (void)fputc('\'', out);
}

static void print_percent(FILE *out, const char *value) {
    for (; *value; value++) {
        if (isalnum((unsigned char)*value) || strchr("-._~", *value))
            (void)fputc(*value, out);
        else
            (void)fprintf(out, "%%%02X", (unsigned char)*value);
    }
}

char *config_passthrough_dsn(const char *conninfo, const struct config_settings *settings) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    bool uri =
        strncmp(conninfo, "postgres://", 11) == 0 || strncmp(conninfo, "postgresql://", 13) == 0;
    (void)fputs(conninfo, out);
    bool query = strchr(conninfo, '?') != NULL;
    for (size_t i = 0; i < settings->count; i++) {
        const struct config_setting *setting = &settings->items[i];
        if (uri) {
            (void)fprintf(out, "%c%s=", query ? '&' : '?', setting->name);
            query = true;
            print_percent(out, setting->value);
        } else {
            (void)fprintf(out, " %s=", setting->name);
            print_quoted(out, setting->value);
        }
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
