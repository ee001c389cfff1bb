// SPDX-License-Identifier: Apache-2.0
//
// Routes: every path finds its row or is told what is wrong with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/router.h"

#include <string.h>

static void handle(struct http_request *request, void *state) {
    (void)request;
    (void)state;
}

static const struct http_route rows[] = {
    {.method = "POST", .pattern = "/v1/orders", .summary = "s", .handle = handle},
    {.method = "GET", .pattern = "/v1/orders", .summary = "s", .handle = handle},
    {.method = "POST", .pattern = "/v1/orders:batch", .summary = "s", .handle = handle},
    {.method = "GET", .pattern = "/v1/orders/{id}", .summary = "s", .handle = handle},
    {.method = "POST", .pattern = "/v1/orders/{id}/cancel", .summary = "s", .handle = handle},
    {.method = "PUT", .pattern = "/v1/products/{sku}", .summary = "s", .handle = handle},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

static void a_path_finds_its_route_and_parameters(void **state) {
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        int row;
        const char *param;
    } cases[] = {
        {"POST", "/v1/orders", 0, NULL},
        {"GET", "/v1/orders", 1, NULL},
        {"HEAD", "/v1/orders", 1, NULL},
        {"POST", "/v1/orders:batch", 2, NULL},
        {"POST", "/v1/orders%3Abatch", 2, NULL},
        {"GET", "/v1/orders/7", 3, "7"},
        {"POST", "/v1/orders/7/cancel", 4, "7"},
        {"PUT", "/v1/products/BANK%20CHARGES", 5, "BANK CHARGES"},
        {"PUT", "/v1/products/a+b", 5, "a+b"},
        {"PUT", "/v1/products/a%2Fb", 5, "a/b"},
        {"PUT", "/v1/products/%C3%A4", 5, "\xC3\xA4"},
    };
    struct http_match match;
    router_check(&routes);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(router_match(&routes, cases[i].method, cases[i].path, &match));
        assert_ptr_equal(match.route, &rows[cases[i].row]);
        assert_int_equal(match.params_count, cases[i].param ? 1 : 0);
        if (cases[i].param)
            assert_string_equal(match.params[0].value, cases[i].param);
    }
}

static void an_unknown_path_matches_nothing(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/",
        "/v1",
        "/v1/orders/",
        "/v1/orders//cancel",
        "/v1/orders/7/cancel/",
        "/v1/orders/7/x",
        "/v1/ordersx",
        "//v1/orders",
        "/V1/orders",
        "/v1/orders/1/2/3/4/5/6/7/8/9/10/11/12",
    };
    struct http_match match;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_true(router_match(&routes, "POST", paths[i], &match));
        assert_null(match.route);
        assert_false(match.path_known);
    }
}

static void a_wrong_method_is_told_the_right_ones(void **state) {
    (void)state;
    struct http_match match;
    assert_true(router_match(&routes, "DELETE", "/v1/orders", &match));
    assert_null(match.route);
    assert_true(match.path_known);
    assert_string_equal(match.allow, "POST, GET, HEAD");
}

static void a_malformed_path_is_refused(void **state) {
    (void)state;
    char longest[ROUTE_PARAM_BYTES_MAX + 32] = "/v1/orders/";
    memset(longest + 11, 'x', ROUTE_PARAM_BYTES_MAX);
    longest[11 + ROUTE_PARAM_BYTES_MAX] = '\0';
    const char *const paths[] = {
        "",          "v1/orders",      "http://h/v1", "*",       "/v1/%", "/v1/%4",  "/v1/%zz",
        "/v1/a%00b", "/v1/a%0Ab",      "/v1/a\tb",    "/v1/%FF", longest, "/%C0%AF", "/%ED%A0%80",
        "/%E2%82",   "/v1/orders/%7F",
    };
    struct http_match match;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (router_match(&routes, "GET", paths[i], &match))
            fail_msg("taken: %s", paths[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_finds_its_route_and_parameters),
        cmocka_unit_test(an_unknown_path_matches_nothing),
        cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
        cmocka_unit_test(a_malformed_path_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
