// SPDX-License-Identifier: Apache-2.0
//
// Figures of a shop and of a customer are those of its orders.
#include <curl/curl.h>
#include <pthread.h>

#include "http/query.h"
#include "query_fixture.h"

// ORDERS were placed, 600 each, yesterday; the second half are cancelled, three rejected.
static int begin_with_endings(void **state) {
    if (begin(state) != 0)
        return -1;
    for (uint64_t n = ORDERS / 2; n < ORDERS; n++) {
        struct order_cancelled cancelled = fixture_cancelled(n, 2);
        const struct projection_record record = {RECORD_ORDER_CANCELLED, &cancelled, 0, log_end++};
        feed(every_model(), &record, 1);
    }
    for (uint64_t n = 0; n < 3; n++) {
        struct order_cancelled head = fixture_cancelled(n, 2);
        struct order_rejected rejected = {.event_id = head.event_id,
                                          .shop_id = head.shop_id,
                                          .order_id = head.order_id,
                                          .version = 2,
                                          .occurred_at = head.occurred_at,
                                          .causation_id = head.causation_id,
                                          .correlation_id = head.correlation_id,
                                          .status = ORDER_STATUS_REJECTED,
                                          .reservation_status = RESERVATION_STATUS_REFUSED,
                                          .reason = n ? REJECT_REASON_OUT_OF_STOCK
                                                      : REJECT_REASON_PAYMENT_DECLINED};
        const struct projection_record record = {RECORD_ORDER_REJECTED, &rejected, 0, log_end++};
        feed(every_model(), &record, 1);
    }
    fixture_exec(db, "INSERT INTO sku_days SELECT 'main', 'sku' || i, date_trunc('day', now(), "
                     "'UTC'), i FROM generate_series(1, 20) i ON CONFLICT DO NOTHING");
    return 0;
}

static void assert_told(const char *text) {
    if (!strstr(reply.body, text))
        fprintf(stderr, "%s\nis not in %s\n", text, reply.body);
    assert_non_null(strstr(reply.body, text));
}

static void figures_of_a_shop_are_those_of_its_orders(void **state) {
    (void)state;
    assert_status("/v1/stats?unit=day", 200);
    assert_told("\"orders\" : 60");
    assert_told("\"by_status\" : { \"CANCELLED\" : 30, \"PLACED\" : 27, \"REJECTED\" : 3 }");
    assert_told("\"rejected\" : 3");
    assert_told("\"declined\" : 1");
    assert_told("\"out_of_stock\" : 2");
    assert_told("\"decline_rate\" : 0.0167");
    assert_told("\"out_of_stock_rate\" : 0.0333");
    assert_told("{\"sku\":\"sku20\",\"sold\":20}");
    assert_status("/v1/stats?unit=minute&from=2020-01-01T00:00:00Z&to=2020-01-01T01:00:00Z", 200);
    assert_told("\"orders\" : 0");
    assert_told("\"buckets\" : []");
    assert_status("/v1/stats?unit=hour&top=1", 200);
    get("ol_other_x", "/v1/stats?unit=day", NULL, &reply);
    assert_int_equal(reply.status, 200);
    assert_told("\"orders\" : 0");
    get("ol_shelf_x", "/v1/stats", NULL, &reply);
    assert_int_equal(reply.status, 403);
}

static void a_customers_summary_is_that_of_their_orders(void **state) {
    (void)state;
    assert_status("/v1/customers/odd/summary", 200);
    assert_told("\"customer_id\" : \"odd\"");
    assert_told("\"orders\" : 30");
    assert_told("\"open\" : 14");
    assert_told("\"cancelled\" : 15");
    assert_told("\"rejected\" : 1");
    assert_told("{\"currency\" : \"GBP\", \"total_minor\" : 18000, \"completed_minor\" : 0}");
    assert_status("/v1/customers/nobody/summary", 404);
    get("ol_other_x", "/v1/customers/odd/summary", NULL, &reply);
    assert_int_equal(reply.status, 404);
}

static void bad_parameters_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/v1/stats?unit=year",
        "/v1/stats?from=yesterday",
        "/v1/stats?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "/v1/stats?unit=minute&from=2020-01-01T00:00:00Z",
        "/v1/stats?top=0",
        "/v1/stats?top=101",
        "/v1/stats?colour=red",
        "/v1/customers/odd/summary?unit=day",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_status(paths[i], 400);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(figures_of_a_shop_are_those_of_its_orders, begin_with_endings),
        cmocka_unit_test_setup(a_customers_summary_is_that_of_their_orders, begin_with_endings),
        cmocka_unit_test_setup(bad_parameters_are_refused, begin),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
