// SPDX-License-Identifier: Apache-2.0
//
// The route table and what all reads have in common: waiting.
// To add a read: write its query_read_… function, a handler of three lines and a row.
#include "query_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/admin.h"
#include "http/respond.h"

// "2s", "500ms"; false when it is neither.
static bool parse_wait(const char *text, int64_t *ret_ms) {
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || number > 86400000)
        return false;
    if (strcmp(end, "s") == 0)
        *ret_ms = number * 1000;
    else if (strcmp(end, "ms") == 0)
        *ret_ms = number;
    else
        return false;
    return true;
}

// waits_for: the command that a wait without after= means, NULL where it means none.
static void serve(struct http_request *request, struct query *query, query_read_fn *read,
                  const char *waits_for) {
    const char *after = http_request_query(request, "after");
    const char *wait = http_request_query(request, "wait");
    int64_t wait_ms = 0;
    struct id command_id;
    if (!after && wait)
        after = waits_for;
    if (wait && (!parse_wait(wait, &wait_ms) || wait_ms > query->config->query_wait_ms_max)) {
        respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                       "wait is a time such as 2s or 500ms, at most %lld ms",
                       (long long)query->config->query_wait_ms_max);
        return;
    }
    if (!after) {
        query_serve(request, query, read);
        return;
    }
    if (!id_parse(after, strlen(after), &command_id)) {
        respond_refuse(request, PROBLEM_INVALID_PARAMETER, "after is the id of a command");
        return;
    }
    query_serve_after(request, query, read, &command_id, wait_ms);
}

static const char *const waiting_names[] = {"after", "wait", NULL};
static const char *const list_names[] = {"customer",  "status", "reference", "placed_from",
                                         "placed_to", "cursor", "limit",     "after",
                                         "wait",      NULL};
static const char *const sample_names[] = {"per_second", NULL};
static const char *const stats_names[] = {"unit", "from", "to", "top", "after", "wait", NULL};
static const char *const events_names[] = {"cursor", "limit", "after", "wait", NULL};

static void handle_order(struct http_request *request, void *state) {
    if (http_request_has_query(request))
        serve(request, state, query_read_order, NULL);
    else if (!query_answer_unchanged(request, state))
        query_lookup_order(request, state);
}

static void handle_orders(struct http_request *request, void *state) {
    serve(request, state, query_read_orders, NULL);
}

static void handle_order_events(struct http_request *request, void *state) {
    serve(request, state, query_read_order_events, NULL);
}

static void handle_order_stream(struct http_request *request, void *state) {
    serve(request, state, query_read_stream, NULL);
}

static void handle_sample(struct http_request *request, void *state) {
    serve(request, state, query_read_sample, NULL);
}

static void handle_stats(struct http_request *request, void *state) {
    serve(request, state, query_read_stats, NULL);
}

static void handle_customer_summary(struct http_request *request, void *state) {
    serve(request, state, query_read_customer_summary, NULL);
}

static void handle_inventory(struct http_request *request, void *state) {
    serve(request, state, query_read_inventory, NULL);
}

static void handle_command(struct http_request *request, void *state) {
    serve(request, state, query_read_command, http_request_param(request, "id"));
}

static void handle_customer(struct http_request *request, void *state) {
    serve(request, state, query_read_customer, NULL);
}

static void handle_customers(struct http_request *request, void *state) {
    serve(request, state, query_read_customers, NULL);
}

static const struct http_route routes[] = {
    {.method = "GET",
     .pattern = "/v1/orders",
     .scope = SCOPE_ORDERS_READ,
     .query = list_names,
     .flags = ROUTE_CUSTOMERS,
     .summary = "Orders, latest first; by customer, status, reference and time",
     .handle = handle_orders},
    {.method = "GET",
     .pattern = "/v1/orders/{id}",
     .scope = SCOPE_ORDERS_READ,
     .query = waiting_names,
     .flags = ROUTE_CUSTOMERS,
     .summary = "One order with its lines",
     .handle = handle_order},
    {.method = "GET",
     .pattern = "/v1/orders/{id}/events",
     .scope = SCOPE_ORDERS_READ,
     .query = events_names,
     .flags = ROUTE_CUSTOMERS,
     .summary = "What happened to an order, event by event",
     .handle = handle_order_events},
    {.method = "GET",
     .pattern = "/v1/orders/{id}/stream",
     .scope = SCOPE_ORDERS_READ,
     .query = waiting_names,
     .flags = ROUTE_EVENTS | ROUTE_CUSTOMERS,
     .summary = "What happens to an order, as server-sent events; Last-Event-ID resumes",
     .handle = handle_order_stream},
    {.method = "GET",
     .pattern = "/v1/stream",
     .scope = SCOPE_ORDERS_READ | SCOPE_OPS,
     .query = sample_names,
     .flags = ROUTE_EVENTS,
     .summary = "A sample of the orders that change, as server-sent events",
     .handle = handle_sample},
    {.method = "GET",
     .pattern = "/v1/stats",
     .scope = SCOPE_ORDERS_READ | SCOPE_OPS,
     .query = stats_names,
     .summary = "What orders came to by minute, hour or day; by status; top SKUs; refusals",
     .handle = handle_stats},
    {.method = "GET",
     .pattern = "/v1/customers/{id}/summary",
     .scope = SCOPE_ORDERS_READ,
     .query = waiting_names,
     .flags = ROUTE_CUSTOMERS,
     .summary = "What a customer's orders came to",
     .handle = handle_customer_summary},
    {.method = "GET",
     .pattern = "/v1/inventory/{sku}",
     .scope = SCOPE_INVENTORY_READ,
     .query = waiting_names,
     .summary = "Product and stock of a SKU",
     .handle = handle_inventory},
    {.method = "GET",
     .pattern = "/v1/customers",
     .scope = SCOPE_CUSTOMERS_READ,
     .flags = ROUTE_CUSTOMERS,
     .query = events_names,
     .summary = "Customers, by id",
     .handle = handle_customers},
    {.method = "GET",
     .pattern = "/v1/customers/{id}",
     .scope = SCOPE_CUSTOMERS_READ,
     .flags = ROUTE_CUSTOMERS,
     .query = waiting_names,
     .summary = "Name, e-mail and addresses of a customer",
     .handle = handle_customer},
    {.method = "GET",
     .pattern = "/v1/commands/{id}",
     .scope = QUERY_SCOPES_ORDERS | QUERY_SCOPES_STOCK | QUERY_SCOPES_CUSTOMERS,
     .query = waiting_names,
     .flags = ROUTE_CUSTOMERS,
     .summary = "What became of a command",
     .handle = handle_command},
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

const struct http_routes query_routes = {routes, sizeof(routes) / sizeof(routes[0])};
