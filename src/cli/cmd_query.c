// SPDX-License-Identifier: Apache-2.0
//
// `orderlog query`: answers reads over HTTP.
#include <stdio.h>

#include "cli/commands.h"
#include "cli/tool_schemas.h"
#include "http/access_keys.h"
#include "http/access_tokens.h"
#include "http/admin.h"
#include "http/query.h"
#include "http/server.h"
#include "service/config.h"
#include "service/log.h"
#include "service/service.h"

struct service {
    const struct config *config;
    struct tool_schemas schemas;
    struct http_server *admin;
    struct access_keys *keys;
    struct access_tokens *tokens; // NULL: none are taken
    struct customer_keys *customers; // NULL: no master key
    struct query *query;
};

static bool schemas_start(void *state, struct error *err) {
    struct service *service = state;
    const enum topic_id topic_ids[] = {TOPIC_ACCESS_KEYS, TOPIC_CUSTOMERS_KEYS};
    return tool_schemas_open(service->config, topic_ids, 2, &service->schemas, err);
}

static void schemas_stop(void *state) {
    tool_schemas_close(&((struct service *)state)->schemas);
}

static bool keys_start(void *state, struct error *err) {
    struct service *service = state;
    return access_keys_start(service->config, service->schemas.ids, &service->keys, err);
}

static void keys_stop(void *state) {
    access_keys_stop(((struct service *)state)->keys);
}

static bool tokens_start(void *state, struct error *err) {
    struct service *service = state;
    bool ok = access_tokens_start(service->config, &service->tokens, err);
    if (!ok)
        service_fail(EXIT_CONFIG, err);
    return ok;
}

static void tokens_stop(void *state) {
    access_tokens_stop(((struct service *)state)->tokens);
}

static bool customers_start(void *state, struct error *err) {
    struct service *service = state;
    return !service->config->customers_master_key_file[0] ||
           customer_keys_start(service->config, service->schemas.ids, NULL, &service->customers,
                               err);
}

static void customers_stop(void *state) {
    customer_keys_stop(((struct service *)state)->customers);
}

static bool is_answering(void *state, char reason[SERVICE_REASON_MAX]) {
    const struct service *service = state;
    if (query_is_ready(service->query))
        return true;
    (void)snprintf(reason, SERVICE_REASON_MAX, "PostgreSQL did not answer the last read");
    return false;
}

static bool query_begin(void *state, struct error *err) {
    struct service *service = state;
    const struct customer_keys_view people = {
        .keys = service->customers,
        .keys_age_ms_max = service->config->customers_keys_age_ms_max,
    };
    struct http_access access = access_keys_access(service->keys);
    access_tokens_add(service->tokens, &access);
    if (!query_start(service->config, access, &people, &service->query, err))
        return false;
    service_check_add("reads", is_answering, service);
    LOG(INFO, "answering reads", F_STR("host", service->config->query_host),
        F_INT("port", query_port(service->query)));
    return true;
}

static void query_end(void *state) {
    struct service *service = state;
    service_check_remove("reads");
    query_stop(service->query);
}

static bool listener_start(void *state, struct error *err) {
    struct service *service = state;
    return admin_start(service->config, &service->admin, err);
}

static void listener_stop(void *state) {
    http_server_free(((struct service *)state)->admin);
}

static const struct service_part parts[] = {
    {"open listener", listener_start, listener_stop},
    {"schemas", schemas_start, schemas_stop},
    {"tokens", tokens_start, tokens_stop},
    {"access keys", keys_start, keys_stop},
    {"keys of customers", customers_start, customers_stop},
    {"reads", query_begin, query_end},
    {NULL, NULL, NULL},
};

int cmd_query(int argc, char **argv) {
    const struct config_command command = {
        .usage = "query",
        .about = "Answers reads over HTTP: orders, their events, stock, outcomes of commands.",
        .role = ROLE_QUERY};
    struct config config;
    int exit_code;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    struct service service = {.config = &config};
    exit_code = service_run("query", &config, parts, &service);
    config_free(&config);
    return exit_code;
}
