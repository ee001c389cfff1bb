// SPDX-License-Identifier: Apache-2.0
//
// `orderlog process order|inventory|payment|shipping`: one worker of one domain.
#include "cli/commands.h"
#include "cli/tool_schemas.h"
#include "http/admin.h"
#include "http/server.h"
#include "process/roles.h"
#include "service/service.h"
#include "stream/txn_loop.h"

#include <stdio.h>
#include <string.h>

struct processor {
    const char *name;
    enum domain domain;
    enum config_role config_role;
    const char *about;
    struct role *(*make)(const struct config *config, struct error *err);
    void (*unmake)(struct role *role);
};

static const struct processor processors[] = {
    {"order", DOMAIN_ORDER, ROLE_ORDER, "Decides the life of orders.", order_role_new,
     order_role_free},
    {"inventory", DOMAIN_INVENTORY, ROLE_INVENTORY, "Decides about products and stock.",
     inventory_role_new, inventory_role_free},
    {"payment", DOMAIN_PAYMENT, ROLE_PAYMENT, "Calls the payment provider.", payment_role_new,
     executor_role_free},
    {"shipping", DOMAIN_SHIPPING, ROLE_SHIPPING, "Calls the carrier.", shipping_role_new,
     executor_role_free},
};

enum { PROCESSORS_COUNT = sizeof(processors) / sizeof(processors[0]) };

struct worker {
    const struct config *config;
    const struct processor *processor;
    struct tool_schemas schemas;
    struct role *role;
    struct txn_loop *loop;
    struct http_server *admin;
};

// What is missing for good will not come by restarting quickly.
static bool missing(struct error *err) {
    if (err->what == DISP_FATAL)
        service_fail(EXIT_NOT_SET_UP, err);
    return false;
}

static bool schemas_start(void *state, struct error *err) {
    struct worker *worker = state;
    enum topic_id wanted[TOPIC_COUNT];
    size_t count = 0;
    // Only what it reads and writes: each record is a question to the registry, and a successor
    // is waited for.
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        if (topic_concerns((enum topic_id)i, worker->processor->domain))
            wanted[count++] = (enum topic_id)i;
    return tool_schemas_open(worker->config, wanted, count, &worker->schemas, err) || missing(err);
}

static void schemas_stop(void *state) {
    tool_schemas_close(&((struct worker *)state)->schemas);
}

static bool role_start(void *state, struct error *err) {
    struct worker *worker = state;
    worker->role = worker->processor->make(worker->config, err);
    return worker->role != NULL;
}

static void role_stop(void *state) {
    struct worker *worker = state;
    worker->processor->unmake(worker->role);
}

static bool loop_start(void *state, struct error *err) {
    struct worker *worker = state;
    worker->loop = txn_loop_start(worker->config, worker->role, worker->schemas.ids, err);
    return worker->loop || missing(err);
}

static void loop_stop(void *state) {
    txn_loop_stop(((struct worker *)state)->loop);
}

static bool listener_start(void *state, struct error *err) {
    struct worker *worker = state;
    return admin_start(worker->config, &worker->admin, err);
}

static void listener_stop(void *state) {
    http_server_free(((struct worker *)state)->admin);
}

static const struct service_part parts[] = {
    {"open listener", listener_start, listener_stop},
    {"schemas", schemas_start, schemas_stop},
    {"role", role_start, role_stop},
    {"transaction loop", loop_start, loop_stop},
    {NULL, NULL, NULL},
};

int cmd_process(int argc, char **argv) {
    const struct processor *processor = NULL;
    for (size_t i = 0; argc > 0 && i < PROCESSORS_COUNT; i++)
        if (strcmp(argv[0], processors[i].name) == 0)
            processor = &processors[i];
    if (!processor) {
        bool help = argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
        FILE *out = help ? stdout : stderr;
        if (!help)
            (void)fprintf(out, "orderlog process: %s%s%s\n", argc > 0 ? "no role '" : "which role",
                          argc > 0 ? argv[0] : "?", argc > 0 ? "'" : "");
        (void)fprintf(out, "usage: orderlog process ROLE [OPTION...]\n\n");
        for (size_t i = 0; i < PROCESSORS_COUNT; i++)
            (void)fprintf(out, "  %-10s %s\n", processors[i].name, processors[i].about);
        return help ? EXIT_OK : EXIT_USAGE;
    }
    char usage[64];
    (void)snprintf(usage, sizeof(usage), "process %s", processor->name);
    const struct config_command command = {
        .usage = usage, .about = processor->about, .role = processor->config_role};
    struct config config;
    int exit_code;
    if (!config_from_command_line(&command, argc - 1, argv + 1, &config, NULL, NULL, &exit_code))
        return exit_code;
    struct worker worker = {.config = &config, .processor = processor};
    exit_code = service_run(processor->name, &config, parts, &worker);
    config_free(&config);
    return exit_code;
}
