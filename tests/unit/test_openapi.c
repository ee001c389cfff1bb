// SPDX-License-Identifier: Apache-2.0
//
// The OpenAPI document and the code say the same: routes, scopes, parameters, bodies, problem types
// and their statuses, currencies. (Limits cannot differ, they are made of the document; that every
// answer is named by its operation is checked where it is given, by respond.c, and by the tests of
// tests/http in the log.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/money.h"
#include "http/gateway.h"
#include "http/openapi.h"
#include "http/problem.h"
#include "http/query.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum openapi_service service;
    const char *name;
} services[] = {{OPENAPI_GATEWAY, "gateway"}, {OPENAPI_QUERY, "query"}};
enum { SERVICES = sizeof(services) / sizeof(services[0]) };

static const struct http_routes *routes_of(enum openapi_service service) {
    return service == OPENAPI_GATEWAY ? gateway_routes() : &query_routes;
}

static int failures;

#define DIFFERS(...)                                                                               \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        failures++;                                                                                \
    } while (0)

// --- routes ------------------------------------------------------------------------------------

static int scopes_of(const struct openapi_operation *operation) {
    int scopes = 0;
    for (const char *const *word = operation->scopes; *word; word++) {
        int scope = scopes_of_word(*word, strlen(*word));
        if (scope == 0)
            DIFFERS("%s %s: there is no scope %s\n", operation->method, operation->path, *word);
        scopes |= scope;
    }
    return scopes;
}

static bool lists_equal(const char *const *a, const char *const *b) {
    static const char *const none[] = {NULL};
    a = a ? a : none;
    b = b ? b : none;
    for (; *a && *b; a++, b++) {
        if (strcmp(*a, *b) != 0)
            return false;
    }
    return !*a && !*b;
}

static enum openapi_body body_of(const struct http_route *route) {
    if (route->flags & ROUTE_STREAM)
        return OPENAPI_STREAM;
    return route->flags & ROUTE_BODY ? OPENAPI_JSON : OPENAPI_NO_BODY;
}

static void every_route_is_in_the_document_as_it_is(void **state) {
    (void)state;
    failures = 0;
    for (size_t s = 0; s < SERVICES; s++) {
        const struct http_routes *routes = routes_of(services[s].service);
        for (size_t i = 0; i < routes->count; i++) {
            const struct http_route *route = &routes->routes[i];
            const struct openapi_operation *operation =
                openapi_find(services[s].service, route->method, route->pattern);
            const char *which = route->pattern;
            if (!operation) {
                DIFFERS("%s: the document has no %s %s\n", services[s].name, route->method, which);
                continue;
            }
            if (scopes_of(operation) != route->scope)
                DIFFERS("%s %s: another scope is needed\n", route->method, which);
            if (operation->customers != ((route->flags & ROUTE_CUSTOMERS) != 0))
                DIFFERS("%s %s: is open to customers in one of them\n", route->method, which);
            if (!lists_equal(operation->query, route->query))
                DIFFERS("%s %s: other query parameters are taken\n", route->method, which);
            if (operation->body != body_of(route))
                DIFFERS("%s %s: another kind of body is taken\n", route->method, which);
            if (strcmp(operation->summary, route->summary) != 0)
                DIFFERS("%s %s: has another summary\n", route->method, which);
        }
    }
    assert_int_equal(failures, 0);
}

static bool has_route(const struct http_routes *routes, const struct openapi_operation *operation) {
    for (size_t i = 0; i < routes->count; i++) {
        if (strcmp(routes->routes[i].method, operation->method) == 0 &&
            strcmp(routes->routes[i].pattern, operation->path) == 0)
            return true;
    }
    return false;
}

static void every_operation_has_its_route(void **state) {
    (void)state;
    failures = 0;
    assert_true(openapi_operations_count > 0);
    for (size_t i = 0; i < openapi_operations_count; i++) {
        const struct openapi_operation *operation = &openapi_operations[i];
        for (size_t s = 0; s < SERVICES; s++) {
            if ((operation->services & (int)services[s].service) &&
                !has_route(routes_of(services[s].service), operation))
                DIFFERS("%s has no route %s %s\n", services[s].name, operation->method,
                        operation->path);
        }
    }
    assert_int_equal(failures, 0);
}

// --- answers -----------------------------------------------------------------------------------

static enum problem_type problem_of(const char *name) {
    for (int type = PROBLEM_NONE + 1; type < PROBLEM_COUNT; type++) {
        if (strcmp(problem_name((enum problem_type)type), name) == 0)
            return (enum problem_type)type;
    }
    return PROBLEM_NONE;
}

static bool named[PROBLEM_COUNT];

static void check_answer(const struct openapi_operation *operation,
                         const struct openapi_answer *answer) {
    for (const char *const *name = answer->problems; name && *name; name++) {
        enum problem_type type = problem_of(*name);
        named[type] = true;
        if (type == PROBLEM_NONE)
            DIFFERS("%s %s: there is no problem '%s'\n", operation->method, operation->path, *name);
        else if (problem_status(type) != answer->status)
            DIFFERS("%s %s: '%s' has not status %d\n", operation->method, operation->path, *name,
                    answer->status);
    }
}

// What every route answers before its handler sees the request.
static void check_common(const struct openapi_operation *operation) {
    const enum problem_type always[] = {PROBLEM_MALFORMED_REQUEST, PROBLEM_INVALID_PARAMETER,
                                        PROBLEM_UNAVAILABLE};
    const enum problem_type with_scope[] = {PROBLEM_UNAUTHENTICATED, PROBLEM_FORBIDDEN,
                                            PROBLEM_RATE_LIMITED};
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (!openapi_names(operation, problem_status(always[i]), problem_name(always[i])))
            DIFFERS("%s %s: does not name '%s'\n", operation->method, operation->path,
                    problem_name(always[i]));
    }
    for (size_t i = 0; operation->scopes[0] && i < sizeof(with_scope) / sizeof(with_scope[0]);
         i++) {
        if (!openapi_names(operation, problem_status(with_scope[i]), problem_name(with_scope[i])))
            DIFFERS("%s %s: does not name '%s'\n", operation->method, operation->path,
                    problem_name(with_scope[i]));
    }
    bool stream = operation->body == OPENAPI_STREAM;
    if (openapi_names(operation, 413, "body-too-large") == stream)
        DIFFERS("%s %s: 'body-too-large' is for all but streams\n", operation->method,
                operation->path);
    if (openapi_names(operation, 415, "unsupported-media-type") !=
        (operation->body != OPENAPI_NO_BODY))
        DIFFERS("%s %s: 'unsupported-media-type' is for those with bodies\n", operation->method,
                operation->path);
}

static void problems_are_the_same_with_the_same_status(void **state) {
    (void)state;
    failures = 0;
    memset(named, 0, sizeof(named));
    for (size_t i = 0; i < openapi_operations_count; i++) {
        const struct openapi_operation *operation = &openapi_operations[i];
        for (size_t a = 0; a < operation->answers_count; a++)
            check_answer(operation, &operation->answers[a]);
        check_common(operation);
    }
    named[PROBLEM_INTERNAL] = true;           // of the simulators
    named[PROBLEM_METHOD_NOT_ALLOWED] = true; // of paths, not of operations
    named[PROBLEM_LINE_TOO_LARGE] = true;     // of lines, not of answers
    for (int type = PROBLEM_NONE + 1; type < PROBLEM_COUNT; type++) {
        if (!named[type])
            DIFFERS("no operation names '%s'\n", problem_name((enum problem_type)type));
    }
    assert_int_equal(failures, 0);
}

static void an_answer_is_named_with_its_status_and_problem_only(void **state) {
    (void)state;
    const struct openapi_operation *operation = openapi_find(OPENAPI_GATEWAY, "POST", "/v1/orders");
    assert_non_null(operation);
    assert_true(openapi_names(operation, 202, NULL));
    assert_true(openapi_names(operation, 422, "unknown-sku"));
    assert_false(openapi_names(operation, 200, NULL));
    assert_false(openapi_names(operation, 422, NULL));
    assert_false(openapi_names(operation, 422, "not-yet"));
    assert_false(openapi_names(operation, 202, "not-yet"));
    assert_null(openapi_find(OPENAPI_QUERY, "POST", "/v1/orders"));
}

// --- what is served ----------------------------------------------------------------------------

static json_t *load(enum openapi_service service) {
    json_error_t error;
    const struct openapi_texts *texts = &openapi_texts[service];
    json_t *root = json_loadb(texts->json, texts->json_length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d: %s", error.line, error.text);
    return root;
}

static void each_service_serves_its_own_operations(void **state) {
    (void)state;
    for (size_t s = 0; s < SERVICES; s++) {
        json_t *root = load(services[s].service);
        assert_string_equal(json_string_value(json_object_get(root, "openapi")), "3.1.0");
        size_t count = 0;
        const char *path;
        json_t *item;
        json_object_foreach(json_object_get(root, "paths"), path, item) {
            const char *method;
            json_t *operation;
            json_object_foreach(item, method, operation) {
                char upper[8] = "";
                for (size_t i = 0; method[i] && i < sizeof(upper) - 1; i++)
                    upper[i] = (char)(method[i] - 'a' + 'A');
                assert_non_null(openapi_find(services[s].service, upper, path));
                count++;
            }
        }
        assert_int_equal(count, routes_of(services[s].service)->count);
        json_decref(root);
    }
}

static void the_page_needs_nothing_from_elsewhere(void **state) {
    (void)state;
    for (size_t s = 0; s < SERVICES; s++) {
        const char *page = openapi_texts[services[s].service].page;
        assert_int_equal(strlen(page), openapi_texts[services[s].service].page_length);
        assert_null(strstr(page, "<script"));
        assert_null(strstr(page, "src="));
        assert_null(strstr(page, "<link"));
        assert_null(strstr(page, "url("));
    }
}

static void currencies_are_those_that_are_known(void **state) {
    (void)state;
    json_t *root = load(OPENAPI_GATEWAY);
    json_t *codes = json_object_get(
        json_object_get(json_object_get(json_object_get(root, "components"), "schemas"),
                        "Currency"),
        "enum");
    size_t known = 0;
    for (int code = 0; code < 26 * 26 * 26; code++) {
        const char text[] = {(char)('A' + code / 676), (char)('A' + code / 26 % 26),
                             (char)('A' + code % 26), '\0'};
        known += money_currency_known(text, 3);
    }
    assert_int_equal(json_array_size(codes), known);
    size_t index;
    json_t *code;
    json_array_foreach(codes, index, code)
        assert_true(money_currency_known(json_string_value(code), json_string_length(code)));
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_the_document_as_it_is),
        cmocka_unit_test(every_operation_has_its_route),
        cmocka_unit_test(problems_are_the_same_with_the_same_status),
        cmocka_unit_test(an_answer_is_named_with_its_status_and_problem_only),
        cmocka_unit_test(each_service_serves_its_own_operations),
        cmocka_unit_test(the_page_needs_nothing_from_elsewhere),
        cmocka_unit_test(currencies_are_those_that_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
