// SPDX-License-Identifier: Apache-2.0
//
// Metrics: what is counted is what a scrape shows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/metrics.h"

#include <stdlib.h>
#include <string.h>

static void expect(const char *text, const char *line) {
    if (!strstr(text, line))
        fail_msg("not found: %s\n%s", line, text);
}

static void a_scrape_shows_what_was_counted(void **state) {
    (void)state;
    metrics_add(METRIC_RECORDS_IN, 0, 3);
    metrics_add(METRIC_RECORDS_IN, 0, 4);
    metrics_add(METRIC_HTTP_REQUESTS, 202, 1);
    metrics_set(METRIC_LAG_RECORDS, 7, 12);
    metrics_name_series(METRIC_TRANSACTIONS, 1, "aborted");
    metrics_add(METRIC_TRANSACTIONS, 1, 5);
    size_t length = 0;
    char *text = metrics_render(&length);
    assert_non_null(text);
    assert_int_equal(strlen(text), length);
    expect(text, "# TYPE orderlog_records_in_total counter\norderlog_records_in_total 7\n");
    expect(text, "orderlog_http_requests_total{status=\"202\"} 1\n");
    expect(text, "orderlog_lag_records{partition=\"7\"} 12\n");
    expect(text, "orderlog_transactions_total{outcome=\"aborted\"} 5\n");
    expect(text, "process_cpu_seconds_total ");
    assert_null(strstr(text, "status=\"404\""));
    free(text);
}

static void buckets_of_a_histogram_are_cumulative(void **state) {
    (void)state;
    metrics_observe_us(METRIC_COMMIT, 0, 100);      // on a limit: counts as at most that
    metrics_observe_us(METRIC_COMMIT, 0, 3000);     // 0.005
    metrics_observe_us(METRIC_COMMIT, 0, 60000000); // beyond the last
    size_t length = 0;
    char *text = metrics_render(&length);
    assert_non_null(text);
    expect(text, "orderlog_commit_seconds_bucket{le=\"0.0001\"} 1\n");
    expect(text, "orderlog_commit_seconds_bucket{le=\"0.0025\"} 1\n");
    expect(text, "orderlog_commit_seconds_bucket{le=\"0.005\"} 2\n");
    expect(text, "orderlog_commit_seconds_bucket{le=\"10\"} 2\n");
    expect(text, "orderlog_commit_seconds_bucket{le=\"+Inf\"} 3\n");
    expect(text, "orderlog_commit_seconds_count 3\n");
    expect(text, "orderlog_commit_seconds_sum 60.003100\n");
    free(text);
}

static void seconds_are_shown_as_seconds_and_steps_by_role(void **state) {
    (void)state;
    metrics_init("order", 3);
    metrics_set(METRIC_LAG, 1, 1500000);
    metrics_observe_us(METRIC_STEP, STEP_FLUSH, 200);
    size_t length = 0;
    char *text = metrics_render(&length);
    assert_non_null(text);
    expect(text, "orderlog_lag_seconds{partition=\"1\"} 1.500000\n");
    expect(text, "orderlog_step_seconds_count{role=\"order\",step=\"flush\"} 1\n");
    expect(text, "orderlog_info{role=\"order\",slot=\"3\",version=\"" ORDERLOG_VERSION "\"} 1\n");
    expect(text, "process_open_fds ");
    // There before anything has failed.
    expect(text, "orderlog_errors_total{kind=\"fatal\"} 0\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scrape_shows_what_was_counted),
        cmocka_unit_test(buckets_of_a_histogram_are_cumulative),
        cmocka_unit_test(seconds_are_shown_as_seconds_and_steps_by_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
