// SPDX-License-Identifier: Apache-2.0
//
// `orderlog verify`: reads the whole log and proves, or disproves, what is promised about it.
//
// The read models' rows belong to the offsets stored beside them, which lag a little behind the
// log's end. So each topic is folded up to those offsets first, compared with the rows, and only
// then folded to its end. Orders are read first: SKUs, payments and parcels refer to them.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/tool_schemas.h"
#include "cli/verify.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/topic_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PARTITIONS_MAX = 1024 };

static const enum topic_id events_topics[] = {TOPIC_ORDERS_EVENTS, TOPIC_INVENTORY_EVENTS,
                                              TOPIC_PAYMENTS_EVENTS, TOPIC_SHIPPING_EVENTS};
enum { EVENTS_TOPICS_COUNT = sizeof(events_topics) / sizeof(events_topics[0]) };

// What is read: the events, and snapshots.
static const enum topic_id read_topics[] = {
    TOPIC_ORDERS_EVENTS, TOPIC_INVENTORY_EVENTS, TOPIC_PAYMENTS_EVENTS, TOPIC_SHIPPING_EVENTS,
    TOPIC_ORDERS_STATE,  TOPIC_INVENTORY_STATE,  TOPIC_CUSTOMERS};
enum { READ_TOPICS_COUNT = sizeof(read_topics) / sizeof(read_topics[0]) };

// ---- is anything under way? ---------------------------------------------------------------------

// Offsets that no record fills are transaction markers: reading tells.
static bool has_records(const struct config *config, enum topic_id topic, const int64_t *from,
                        bool *ret, struct error *err) {
    struct log_reader *reader = log_reader_open(config, topic, LOG_READER_ALL, err);
    if (!reader)
        return false;
    log_reader_bound(reader, from, NULL);
    struct log_record record;
    const enum log_reader_result result = log_reader_next(reader, 0, &record, err);
    log_reader_close(reader);
    *ret = result == LOG_READER_RECORD;
    return result != LOG_READER_FAILED;
}

static bool is_idle(const struct config *config, struct topic_admin *admin, enum domain domain,
                    bool *ret, struct error *err) {
    const enum topic_id inbox = domains[domain].inbox;
    const int32_t partitions = topic_admin_existing(admin, inbox);
    if (partitions == 0)
        return error_set(err, DISP_FATAL, 0, "topic %s does not exist: run `orderlog setup`",
                         topics[inbox].name);
    struct topic_position positions[PARTITIONS_MAX];
    int64_t from[PARTITIONS_MAX];
    if (!topic_admin_positions(admin, domain, partitions, positions, err))
        return false;
    bool is_behind = false;
    for (int32_t p = 0; p < partitions; p++) {
        from[p] = positions[p].committed >= 0 ? positions[p].committed : positions[p].low;
        is_behind |= from[p] < positions[p].end;
    }
    bool found = false;
    if (is_behind && !has_records(config, inbox, from, &found, err))
        return false;
    *ret = !found;
    return true;
}

// Waits until all inboxes have been handled, at most wait_ms.
static bool await_quiet(const struct config *config, int64_t wait_ms, bool *ret_is_quiet,
                        struct error *err) {
    struct topic_admin *admin = topic_admin_open(config, err);
    if (!admin)
        return false;
    const int64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    bool ok = true;
    bool quiet = false;
    while (ok && !quiet) {
        quiet = true;
        for (int domain = 0; domain < DOMAIN_COUNT && ok && quiet; domain++)
            ok = is_idle(config, admin, (enum domain)domain, &quiet, err);
        if (quiet || clock_monotonic_ms() >= deadline_ms)
            break;
        const struct timespec pause = {.tv_nsec = 200000000};
        (void)nanosleep(&pause, NULL);
    }
    topic_admin_close(admin);
    *ret_is_quiet = quiet;
    return ok;
}

// ---- reading ------------------------------------------------------------------------------------

static bool read_all(struct verify *verify, struct verify_model *model, struct error *err) {
    const int64_t *orders = verify_model_offsets(model, "orders");
    const int64_t *inventory = verify_model_offsets(model, "inventory");
    verify->timeline_until = verify_model_offsets(model, "order_timeline");

    return verify_log_read(verify, TOPIC_ORDERS_EVENTS, NULL, orders, err) &&
           verify_model_orders(model, verify, err) &&
           verify_log_read(verify, TOPIC_ORDERS_EVENTS, orders, NULL, err) &&
           verify_model_timeline(model, verify, err) && verify_model_sums(model, verify, err) &&
           verify_log_read(verify, TOPIC_INVENTORY_EVENTS, NULL, inventory, err) &&
           verify_model_inventory(model, verify, err) &&
           verify_model_customers(model, verify, err) &&
           verify_log_read(verify, TOPIC_INVENTORY_EVENTS, inventory, NULL, err) &&
           verify_log_read(verify, TOPIC_PAYMENTS_EVENTS, NULL, NULL, err) &&
           verify_log_read(verify, TOPIC_SHIPPING_EVENTS, NULL, NULL, err) &&
           verify_state(verify, err);
}

static void print_summary(const struct verify *verify, int64_t seconds_ms) {
    for (int i = 0; i < EVENTS_TOPICS_COUNT; i++) {
        const enum topic_id topic = events_topics[i];
        printf("%-18s %12lld records", topics[topic].name, (long long)verify->records[topic]);
        if (verify->foreign[topic] > 0)
            printf(", %lld of them no events of ours", (long long)verify->foreign[topic]);
        printf("\n");
    }
    printf("%u orders, %u SKUs, %.1f s\n\n", verify->order_ids.count, verify->sku_keys.count,
           (double)seconds_ms / 1000);
}

static int verify_all(const struct config *config, const struct schema_ids *ids, bool is_quiet,
                      struct error *err) {
    struct verify_report *report = calloc(1, sizeof(*report));
    struct verify_model *model = report ? verify_model_open(config, err) : NULL;
    if (!model) {
        free(report);
        return EXIT_UNAVAILABLE;
    }
    struct verify verify = {
        .config = config,
        .ids = ids,
        .report = report,
        .now_us = clock_now_us(),
        .is_quiet = is_quiet,
    };
    const int64_t started_ms = clock_monotonic_ms();
    int exit_code = EXIT_UNAVAILABLE;
    if (read_all(&verify, model, err)) {
        verify_books(&verify);
        print_summary(&verify, clock_monotonic_ms() - started_ms);
        const int64_t violations = verify_report_print(report, stdout);
        if (verify.in_flight > 0)
            printf("%lld orders are under way or wait for people: not judged across domains\n",
                   (long long)verify.in_flight);
        printf(violations == 0 ? "All promises hold.\n" : "%lld violations.\n",
               (long long)violations);
        exit_code = violations == 0 ? EXIT_OK : EXIT_FAILED;
    }
    verify_log_done(&verify);
    verify_model_close(model);
    free(report);
    return exit_code;
}

// Whatever may hold something personal, and the keys.
static const enum topic_id erased_topics[] = {
    TOPIC_CUSTOMERS,     TOPIC_CUSTOMERS_KEYS,     TOPIC_ORDERS_INBOX,
    TOPIC_ORDERS_EVENTS, TOPIC_ORDERS_DEADLETTERS, TOPIC_INVENTORY_DEADLETTERS};
enum { ERASED_TOPICS_COUNT = sizeof(erased_topics) / sizeof(erased_topics[0]) };

static int verify_one_erased(const struct config *config, const struct config_flag *flags,
                             struct error *err) {
    struct tool_schemas schemas = {0};
    bool is_erased = false;
    bool ok =
        tool_schemas_open(config, erased_topics, ERASED_TOPICS_COUNT, &schemas, err) &&
        verify_erased(config, schemas.ids, flags_value(flags, "shop"), flags_value(flags, "erased"),
                      flags_value(flags, "log-dirs"), &is_erased, err);
    tool_schemas_close(&schemas);
    if (!ok)
        return EXIT_UNAVAILABLE;
    return is_erased ? EXIT_OK : EXIT_FAILED;
}

int cmd_verify(int argc, char **argv) {
    struct config_flag flags[] = {
        {"wait", "SECONDS", "Wait so long for work under way to end; default 30", "30"},
        {"erased", "CUSTOMER", "Prove instead that nothing of this customer can be read", NULL},
        {"shop", "SHOP", "erased: the tenant; default main", "main"},
        {"log-dirs", "DIRS", "erased: log.dirs of brokers, with commas between: look into files",
         NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "verify [--wait SECONDS] | --erased CUSTOMER [--shop SHOP] [--log-dirs DIRS]",
        .about = "Folds the whole log and checks it against itself and against PostgreSQL: ids and "
                 "versions (I3), stock bounds (I7), rows of the read models (I9), snapshots of the "
                 "processors' memory (I11), money and stock (I13). Exit status 0: all hold; 1: "
                 "violations, which are listed; others: it "
                 "could not be checked.",
        .role = ROLE_TOOL,
        .flags = flags,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "verify", -1);

    struct error err = {0};
    struct tool_schemas schemas = {0};
    int64_t wait_s = 0;
    bool is_quiet = false;
    if (!flags_int(flags, "wait", 0, 86400, &wait_s)) {
        exit_code = EXIT_USAGE;
    } else if (flags_value(flags, "erased")) {
        exit_code = verify_one_erased(&config, flags, &err);
    } else if (!tool_schemas_open(&config, read_topics, READ_TOPICS_COUNT, &schemas, &err) ||
               !await_quiet(&config, wait_s * 1000, &is_quiet, &err)) {
        exit_code = EXIT_UNAVAILABLE;
    } else {
        exit_code = verify_all(&config, schemas.ids, is_quiet, &err);
    }
    if (err.what != DISP_NONE && exit_code != EXIT_FAILED && exit_code != EXIT_OK)
        (void)fprintf(stderr, "orderlog verify: %s\n", err.msg);
    tool_schemas_close(&schemas);
    config_free(&config);
    return exit_code;
}
