// SPDX-License-Identifier: Apache-2.0
#include "cli/status.h"

#include "cli/letters.h"
#include "service/jsonout.h"
#include "status_parts.h"

#include <stdlib.h>
#include <string.h>

static bool gather_letters(const struct config *config, struct status *status, struct error *err) {
    struct letters letters;
    if (!letters_open(config, DOMAIN_COUNT, false, &letters, err))
        return false;
    for (size_t i = 0; i < letters.count; i++) {
        status->letters_aside += letters.items[i].state == LETTER_ASIDE;
        status->letters_parked += letters.items[i].state == LETTER_PARKED;
    }
    letters_close(&letters);
    return true;
}

static bool gather_skipped(struct db *db, struct status *status, struct error *err) {
    DB_RESULT result = db_query(db, "SELECT count(*) FROM projection_skipped", NULL, err);
    if (result)
        status->skipped = db_int8(result, 0, 0);
    return result != NULL;
}

bool status_gather(const struct config *config, struct status *ret, struct error *err) {
    memset(ret, 0, sizeof(*ret));
    struct db *db = db_new(config->postgres_dsn, "orderlog status", NULL);
    if (!db)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    bool ok = db_connect(db, err) && status_gather_readers(config, db, ret, err) &&
              open_orders_measure(db, &ret->orders, err) && gather_skipped(db, ret, err) &&
              status_gather_workers(config, ret, err) && gather_letters(config, ret, err);
    db_free(db);
    status_gather_services(config, ret);
    return ok;
}

// ---- as text -----------------------------------------------------------------------------------

static void print_readers(const struct status *status, FILE *out) {
    (void)fprintf(out, "%-28s %-22s %10s %s\n", "WHO", "READS", "PARTITIONS", "RECORDS BEHIND");
    for (size_t i = 0; i < status->readers_count; i++) {
        const struct status_reader *reader = &status->readers[i];
        char who[PROJECTION_NAME_MAX + 16];
        (void)snprintf(who, sizeof(who), "%s %s", reader->is_projection ? "project" : "process",
                       reader->name);
        (void)fprintf(out, "%-28s %-22s %10d %s%lld%s\n", who, reader->topic, reader->partitions,
                      reader->counted ? "" : "about ", (long long)reader->behind,
                      reader->paused ? " (paused)" : "");
    }
}

static void print_workers(const struct status *status, FILE *out) {
    (void)fprintf(out, "\n%-28s %-22s %-16s %s\n", "WORKER", "ROLE", "HOST", "PARTITIONS");
    for (size_t i = 0; i < status->workers_count; i++) {
        const struct status_worker *worker = &status->workers[i];
        (void)fprintf(out, "%-28s %-22s %-16s %s\n", worker->instance, worker->role, worker->host,
                      worker->partitions_count ? worker->partitions : "none");
    }
    for (size_t i = 0; i < sizeof(status->services) / sizeof(status->services[0]); i++) {
        const struct status_service *service = &status->services[i];
        (void)fprintf(out, "%-28s %-22s %s%s\n", service->url, service->name,
                      service->ready ? "ready" : "NOT READY: ", service->reason);
    }
}

static void print_age(int64_t us, FILE *out) {
    const int64_t s = us / 1000000;
    if (s >= 86400)
        (void)fprintf(out, "%lld d %lld h", (long long)(s / 86400), (long long)(s % 86400 / 3600));
    else if (s >= 3600)
        (void)fprintf(out, "%lld h %lld min", (long long)(s / 3600), (long long)(s % 3600 / 60));
    else if (s >= 60)
        (void)fprintf(out, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    else
        (void)fprintf(out, "%lld.%lld s", (long long)s, (long long)(us % 1000000 / 100000));
}

void status_print(const struct status *status, FILE *out) {
    print_readers(status, out);
    print_workers(status, out);
    const struct open_orders *orders = &status->orders;
    (void)fprintf(out, "\nOldest open order: ");
    if (orders->any) {
        (void)fprintf(out, "%s, ", id_text(&orders->oldest_id).text);
        print_age(orders->oldest_age_us, out);
    } else {
        (void)fprintf(out, "none");
    }
    (void)fprintf(out, "\nOrders that wait for people: %lld%s\n",
                  (long long)orders->needing_attention,
                  orders->needing_attention >= OPEN_ORDERS_COUNT_MAX ? " or more" : "");
    (void)fprintf(
        out, "Dead letters: %lld parked, %lld set aside; %lld records skipped by read models\n",
        (long long)status->letters_parked, (long long)status->letters_aside,
        (long long)status->skipped);
}

// ---- as JSON -----------------------------------------------------------------------------------

static void put_readers(const struct status *status, bool projections, struct jsonout *json) {
    jsonout_array_begin(json, projections ? "projections" : "processors");
    for (size_t i = 0; i < status->readers_count; i++) {
        const struct status_reader *reader = &status->readers[i];
        if (reader->is_projection != projections)
            continue;
        jsonout_object_begin(json, NULL);
        jsonout_string(json, "name", reader->name);
        jsonout_string(json, "topic", reader->topic);
        jsonout_int(json, "partitions", reader->partitions);
        jsonout_int(json, "behind", reader->behind);
        jsonout_bool(json, "exact", reader->counted);
        if (projections)
            jsonout_bool(json, "paused", reader->paused);
        jsonout_object_end(json);
    }
    jsonout_array_end(json);
}

static void put_workers(const struct status *status, struct jsonout *json) {
    jsonout_array_begin(json, "workers");
    for (size_t i = 0; i < status->workers_count; i++) {
        const struct status_worker *worker = &status->workers[i];
        jsonout_object_begin(json, NULL);
        jsonout_string(json, "instance", worker->instance);
        jsonout_string(json, "role", worker->role);
        jsonout_string(json, "host", worker->host);
        jsonout_string(json, "partitions", worker->partitions);
        jsonout_int(json, "partitions_count", worker->partitions_count);
        jsonout_object_end(json);
    }
    jsonout_array_end(json);
    jsonout_array_begin(json, "services");
    for (size_t i = 0; i < sizeof(status->services) / sizeof(status->services[0]); i++) {
        const struct status_service *service = &status->services[i];
        jsonout_object_begin(json, NULL);
        jsonout_string(json, "name", service->name);
        jsonout_string(json, "url", service->url);
        jsonout_bool(json, "ready", service->ready);
        jsonout_string(json, "reason", service->ready ? NULL : service->reason);
        jsonout_object_end(json);
    }
    jsonout_array_end(json);
}

bool status_print_json(const struct status *status, FILE *out) {
    struct jsonout json;
    jsonout_init(&json);
    jsonout_object_begin(&json, NULL);
    put_readers(status, false, &json);
    put_readers(status, true, &json);
    put_workers(status, &json);
    jsonout_object_begin(&json, "orders");
    jsonout_string(&json, "oldest_open",
                   status->orders.any ? id_text(&status->orders.oldest_id).text : NULL);
    if (status->orders.any)
        jsonout_int(&json, "oldest_open_seconds", status->orders.oldest_age_us / 1000000);
    jsonout_int(&json, "needing_attention", status->orders.needing_attention);
    jsonout_object_end(&json);
    jsonout_object_begin(&json, "dead_letters");
    jsonout_int(&json, "parked", status->letters_parked);
    jsonout_int(&json, "aside", status->letters_aside);
    jsonout_int(&json, "skipped_by_read_models", status->skipped);
    jsonout_object_end(&json);
    jsonout_object_end(&json);
    size_t length = 0;
    char *text = jsonout_take(&json, &length);
    bool printed = text && fprintf(out, "%s\n", text) > 0;
    free(text);
    return printed;
}
