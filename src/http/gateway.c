// SPDX-License-Identifier: Apache-2.0
//
// The gateway's parts in the order they start, and its table of routes. It keeps nothing: prices
// and API keys are folds of the log, and a command is the log's business once it is acknowledged.
#include "http/gateway.h"

#include "gateway_state.h"
#include "http/admin.h"
#include "service/backoff.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "stream/topics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    REGISTRY_TIMEOUT_MS = 10000,
    DRAIN_RESERVE_MS = 2000,
    SERVE_MS = 100, // the writer's descriptor tells, this is for what it does not
    RETRY_AFTER_S_MAX = 30,
    START_PAUSE_US = 100000,
    START_PAUSE_US_MAX = 1000000,
};

// --- what the routes share ---------------------------------------------------------------------

static bool find_price(void *state, const char *shop, size_t shop_len, const char *sku,
                       size_t sku_len, struct catalogue_price *ret) {
    return catalogue_find(state, shop, shop_len, sku, sku_len, ret);
}

struct command_prices gateway_prices(struct gateway *gateway) {
    int64_t age_ms = catalogue_age_ms(gateway->catalogue);
    metrics_set(METRIC_GATEWAY_CATALOGUE_AGE, 0, age_ms * 1000);
    return (struct command_prices){
        .find = find_price,
        .state = gateway->catalogue,
        .fresh = age_ms <= gateway->config->gateway_catalogue_age_ms_max,
    };
}

struct gateway_link gateway_link(const char *folder, const struct id *id) {
    struct gateway_link link;
    char *at = stpcpy(stpcpy(stpcpy(link.text, "/v1/"), folder), "/");
    id_format(id, at);
    at[ID_TEXT_LEN] = '\0';
    return link;
}

void gateway_write_receipt(struct jsonout *out, const struct command *command,
                           const char *made_key) {
    bool about_order = !id_is_nil(&command->order_id);
    struct id_text command_id = id_text(&command->command_id);
    struct id_text order_id = id_text(&command->order_id);
    jsonout_object_begin(out, NULL);
    if (about_order)
        jsonout_string(out, "order_id", order_id.text);
    if (command->topic == TOPIC_CUSTOMERS) {
        const char *slash = memrchr(command->key, '/', command->key_len);
        jsonout_string_n(out, "customer_id", slash + 1,
                         (size_t)(command->key + command->key_len - slash - 1));
    }
    jsonout_string(out, "command_id", command_id.text);
    if (made_key)
        jsonout_string(out, "idempotency_key", made_key);
    jsonout_object_begin(out, "links");
    if (about_order)
        jsonout_string(out, "order", gateway_link("orders", &command->order_id).text);
    jsonout_string(out, "command", gateway_link("commands", &command->command_id).text);
    jsonout_object_end(out);
    jsonout_object_end(out);
    jsonout_newline(out);
}

void gateway_explain(enum writer_outcome outcome, struct problem *problem) {
    assert(outcome != WRITER_WRITTEN);
    if (outcome == WRITER_UNKNOWN) {
        (void)problem_set(problem, PROBLEM_OUTCOME_UNKNOWN,
                          "the brokers did not acknowledge the command in time");
        return;
    }
    problem->retry_after_s = 1;
    (void)problem_set(problem, PROBLEM_NOT_WRITTEN, "the brokers could not be reached in time");
}

void gateway_explain_backlog(const struct backlog *backlog, struct problem *problem) {
    int64_t lag_s = (backlog_lag_ms(backlog) + 999) / 1000;
    problem->retry_after_s = (int)(lag_s < RETRY_AFTER_S_MAX ? lag_s : RETRY_AFTER_S_MAX);
    (void)problem_set(problem, PROBLEM_BACKLOG, "what is in %s waits for %" PRId64 " s already",
                      backlog_inbox(backlog), lag_s);
}

// --- routes ------------------------------------------------------------------------------------

static const struct http_route rows[] = {
    {.method = "POST",
     .pattern = "/v1/orders",
     .scope = SCOPE_ORDERS_WRITE,
     .flags = ROUTE_BODY | ROUTE_CUSTOMERS,
     .summary = "Place an order",
     .handle = gateway_handle_place},
    {.method = "POST",
     .pattern = "/v1/orders:batch",
     .scope = SCOPE_ORDERS_WRITE,
     .flags = ROUTE_STREAM | ROUTE_CUSTOMERS,
     .summary = "Place orders, one per line",
     .begin = gateway_batch_begin,
     .chunk = gateway_batch_chunk,
     .handle = gateway_batch_handle,
     .done = gateway_batch_done},
    {.method = "POST",
     .pattern = "/v1/orders/{id}/cancel",
     .scope = SCOPE_ORDERS_WRITE,
     .flags = ROUTE_BODY | ROUTE_CUSTOMERS | ROUTE_IF_MATCH,
     .summary = "Cancel an order before dispatch",
     .handle = gateway_handle_cancel},
    {.method = "POST",
     .pattern = "/v1/orders/{id}/dispatch",
     .scope = SCOPE_SHIPMENTS_WRITE,
     .flags = ROUTE_BODY | ROUTE_IF_MATCH,
     .summary = "Ask to dispatch an order",
     .handle = gateway_handle_dispatch},
    {.method = "POST",
     .pattern = "/v1/orders/{id}/deliver",
     .scope = SCOPE_SHIPMENTS_WRITE,
     .flags = ROUTE_BODY | ROUTE_IF_MATCH,
     .summary = "Report an order as delivered",
     .handle = gateway_handle_deliver},
    {.method = "PUT",
     .pattern = "/v1/products/{sku}",
     .scope = SCOPE_CATALOG_WRITE,
     .flags = ROUTE_BODY,
     .summary = "Create a product, or change its name and price",
     .handle = gateway_handle_product},
    {.method = "POST",
     .pattern = "/v1/inventory/{sku}/receive",
     .scope = SCOPE_INVENTORY_WRITE,
     .flags = ROUTE_BODY,
     .summary = "Add units that arrived",
     .handle = gateway_handle_receive},
    {.method = "POST",
     .pattern = "/v1/inventory/{sku}/adjust",
     .scope = SCOPE_INVENTORY_WRITE,
     .flags = ROUTE_BODY,
     .summary = "Correct a stock level",
     .handle = gateway_handle_adjust},
    {.method = "PUT",
     .pattern = "/v1/customers/{id}",
     .scope = SCOPE_CUSTOMERS_WRITE,
     .flags = ROUTE_BODY | ROUTE_CUSTOMERS,
     .summary = "Set name, e-mail and addresses of a customer",
     .handle = gateway_handle_customer},
    {.method = "DELETE",
     .pattern = "/v1/customers/{id}",
     .scope = SCOPE_CUSTOMERS_WRITE,
     .flags = ROUTE_CUSTOMERS,
     .summary = "Erase what is personal of a customer, for ever",
     .handle = gateway_handle_erase},
    {.method = "GET", .pattern = "/livez", .summary = "Alive?", .handle = admin_handle_livez},
    {.method = "GET", .pattern = "/readyz", .summary = "Ready?", .handle = admin_handle_readyz},
    {.method = "GET",
     .pattern = "/metrics",
     .scope = SCOPE_OPS,
     .summary = "Metrics for Prometheus",
     .handle = admin_handle_metrics},
    {.method = "GET",
     .pattern = "/openapi.json",
     .summary = "This document",
     .handle = openapi_handle_json},
    {.method = "GET",
     .pattern = "/docs",
     .summary = "This document as a page for people",
     .handle = openapi_handle_docs},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

const struct http_routes *gateway_routes(void) {
    return &routes;
}

// --- parts -------------------------------------------------------------------------------------

// Brokers or a registry that do not answer are waited for: meanwhile the server says 503, which a
// port where nobody listens does not. What is missing for good does not come by waiting.
static bool started(bool (*start)(struct gateway *gateway, struct error *err), void *state,
                    struct error *err) {
    uint64_t dice = backoff_dice();
    for (int tries = 0; !start(state, err); tries++) {
        if (err->what == DISP_FATAL)
            service_fail(EXIT_NOT_SET_UP, err);
        if (service_stopping())
            return false;
        LOG(WARN, "cannot start yet, trying again", F_ERR(err));
        int64_t pause_us = backoff_us(&dice, START_PAUSE_US, START_PAUSE_US_MAX, tries);
        if (service_wait_stop((int)(pause_us / 1000)))
            return false;
    }
    return true;
}

static bool admin_part_start(void *state, struct error *err) {
    struct gateway *gateway = state;
    return admin_start(gateway->config, &gateway->admin, err);
}

static void admin_part_stop(void *state) {
    http_server_free(((struct gateway *)state)->admin);
}

static bool load_schemas(struct gateway *gateway, struct error *err) {
    static const enum topic_id used[] = {TOPIC_ORDERS_INBOX, TOPIC_INVENTORY_INBOX,
                                         TOPIC_PRODUCTS,     TOPIC_ACCESS_KEYS,
                                         TOPIC_CUSTOMERS,    TOPIC_CUSTOMERS_KEYS};
    struct schema_topic all[TOPIC_COUNT];
    struct schema_topic wanted[TOPIC_COUNT] = {{0}};
    topics_for_schemas(all);
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
        wanted[used[i]] = all[used[i]];
    gateway->registry = registry_new(gateway->config->registry_url, REGISTRY_TIMEOUT_MS, err);
    gateway->ids = gateway->registry ? schema_ids_new(gateway->registry, &clock_system) : NULL;
    if (gateway->registry && !gateway->ids)
        (void)error_set(err, DISP_RETRY, 0, "out of memory");
    if (gateway->ids && schema_ids_load(gateway->ids, wanted, TOPIC_COUNT, err))
        return true;
    gateway->ids = schema_ids_free(gateway->ids);
    gateway->registry = registry_free(gateway->registry);
    return false;
}

static bool schemas_start(void *state, struct error *err) {
    return started(load_schemas, state, err);
}

static void schemas_stop(void *state) {
    struct gateway *gateway = state;
    gateway->ids = schema_ids_free(gateway->ids);
    gateway->registry = registry_free(gateway->registry);
}

static bool read_keys(struct gateway *gateway, struct error *err) {
    return access_keys_start(gateway->config, gateway->ids, &gateway->keys, err);
}

static bool keys_start(void *state, struct error *err) {
    return started(read_keys, state, err);
}

static void keys_stop(void *state) {
    access_keys_stop(((struct gateway *)state)->keys);
}

static bool tokens_start(void *state, struct error *err) {
    struct gateway *gateway = state;
    bool ok = access_tokens_start(gateway->config, &gateway->tokens, err);
    if (!ok)
        service_fail(EXIT_CONFIG, err);
    return ok;
}

static void tokens_stop(void *state) {
    access_tokens_stop(((struct gateway *)state)->tokens);
}

static bool check_catalogue(void *state, char reason[SERVICE_REASON_MAX]) {
    struct gateway *gateway = state;
    int64_t age_ms = catalogue_age_ms(gateway->catalogue);
    if (age_ms <= gateway->config->gateway_catalogue_age_ms_max)
        return true;
    (void)snprintf(reason, SERVICE_REASON_MAX, "not known to be complete for %" PRId64 " ms",
                   age_ms);
    return false;
}

static bool read_catalogue(struct gateway *gateway, struct error *err) {
    return catalogue_start(gateway->config, gateway->ids, &gateway->catalogue, err);
}

static bool catalogue_part_start(void *state, struct error *err) {
    if (!started(read_catalogue, state, err))
        return false;
    service_check_add("catalogue", check_catalogue, state);
    return true;
}

static void catalogue_part_stop(void *state) {
    service_check_remove("catalogue");
    catalogue_stop(((struct gateway *)state)->catalogue);
}

static bool open_writer(struct gateway *gateway, struct error *err) {
    return command_writer_start(gateway->config, &gateway->writer, err);
}

static bool writer_start(void *state, struct error *err) {
    return started(open_writer, state, err);
}

static void writer_stop(void *state) {
    command_writer_stop(((struct gateway *)state)->writer);
}

static bool open_desk(struct gateway *gateway, struct error *err) {
    return customer_desk_start(gateway->config, gateway->ids, gateway->writer, &gateway->desk, err);
}

// Without a master key there is nothing personal: neither the desk nor the keys are there.
static bool desk_start(void *state, struct error *err) {
    struct gateway *gateway = state;
    gateway->people.keys_age_ms_max = gateway->config->customers_keys_age_ms_max;
    if (!gateway->config->customers_master_key_file[0])
        return true;
    if (!started(open_desk, state, err))
        return false;
    gateway->people.keys = customer_desk_keys(gateway->desk);
    return true;
}

static void desk_stop(void *state) {
    struct gateway *gateway = state;
    gateway->people.keys = NULL;
    customer_desk_stop(gateway->desk);
    gateway->desk = NULL;
}

static bool watch_orders(struct gateway *gateway, struct error *err) {
    return backlog_start(gateway->config, DOMAIN_ORDER, &gateway->orders, err);
}

static bool orders_start(void *state, struct error *err) {
    return started(watch_orders, state, err);
}

static void orders_stop(void *state) {
    backlog_stop(((struct gateway *)state)->orders);
}

static bool watch_stock(struct gateway *gateway, struct error *err) {
    return backlog_start(gateway->config, DOMAIN_INVENTORY, &gateway->stock, err);
}

static bool stock_start(void *state, struct error *err) {
    return started(watch_stock, state, err);
}

static void stock_stop(void *state) {
    backlog_stop(((struct gateway *)state)->stock);
}

static bool server_start(void *state, struct error *err) {
    struct gateway *gateway = state;
    const struct config *config = gateway->config;
    const struct http_server_options options = {
        .host = config->gateway_host,
        .port = (int)config->gateway_port,
        .threads = (int)config->gateway_threads,
        .connections_max = (int)config->http_connections_max,
        .connections_per_ip_max = (int)config->http_connections_per_ip_max,
        .requests_max = config->http_requests_max,
        .body_bytes_max = config->http_body_bytes_max,
        .bodies_bytes_max = config->http_bodies_bytes_max,
        .rate_per_second = config->http_rate_per_second,
        .rate_burst = config->http_rate_burst,
        .tls_certificate_file = config->http_tls_certificate_file,
        .tls_key_file = config->http_tls_key_file,
        .tls_1_2 = config->http_tls_1_2,
        .idle_timeout_ms = config->http_idle_timeout_ms,
        .read_timeout_ms = config->http_read_timeout_ms,
        .routes = &routes,
        .state = gateway,
        .openapi = OPENAPI_GATEWAY,
        .closed = true,
        .measured = true,
    };
    return http_server_start(&options, &gateway->server, err);
}

static void server_stop(void *state) {
    http_server_free(((struct gateway *)state)->server);
}

static bool requests_start(void *state, struct error *err) {
    (void)err;
    struct gateway *gateway = state;
    struct http_access access = access_keys_access(gateway->keys);
    access_tokens_add(gateway->tokens, &access);
    gateway->work = (struct http_side_work){.fd = -1,
                                            .pause_ms_max = -1,
                                            .round_begins = command_writer_together_begin,
                                            .round_ends = command_writer_together_end,
                                            .state = gateway->writer};
    gateway->serving = gateway->work;
    gateway->serving.serve = command_writer_serve;
    gateway->serving.fd = command_writer_lend(gateway->writer);
    gateway->serving.pause_ms_max = SERVE_MS;
    for (int i = 0; i < (int)gateway->config->gateway_threads; i++)
        http_server_add_work(gateway->server, i, i == 0 ? &gateway->serving : &gateway->work);
    http_server_open(gateway->server, access);
    return true;
}

// Every request that waits is answered by the writer within its time-out, so that a drain that does
// not end within the limit has only slow clients left, who are cut off.
static void requests_stop(void *state) {
    struct gateway *gateway = state;
    int64_t limit_ms = gateway->config->shutdown_timeout_ms - DRAIN_RESERVE_MS;
    if (!http_server_drain(gateway->server, limit_ms > 0 ? limit_ms : 0))
        LOG(WARN, "requests are still open, cutting them off");
    command_writer_take_back(gateway->writer);
    http_server_free(gateway->server);
    gateway->server = NULL;
}

int gateway_run(const struct config *config) {
    static const struct service_part parts[] = {
        {"metrics listener", admin_part_start, admin_part_stop},
        {"server", server_start, server_stop}, // answers 503 until the last part has started
        {"schemas", schemas_start, schemas_stop},
        {"tokens", tokens_start, tokens_stop},
        {"API keys", keys_start, keys_stop},
        {"catalogue", catalogue_part_start, catalogue_part_stop},
        {"writer", writer_start, writer_stop},
        {"keys of customers", desk_start, desk_stop},
        {"backlog of orders", orders_start, orders_stop},
        {"backlog of stock", stock_start, stock_stop},
        {"requests", requests_start, requests_stop},
        {0},
    };
    static struct gateway gateway;
    gateway.config = config;
    return service_run("gateway", config, parts, &gateway);
}
