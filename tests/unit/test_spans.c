// SPDX-License-Identifier: Apache-2.0
//
// Trace context as text, spans as OTLP, and an exporter whose collector is away.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/service/spans_otlp.h"
#include "service/clock.h"
#include "service/metrics.h"
#include "service/spans.h"

static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static void a_traceparent_is_read_and_written(void **state) {
    (void)state;
    struct trace_context trace;
    char text[TRACE_TEXT_LEN + 1];
    assert_true(trace_parse(parent, strlen(parent), &trace));
    assert_true(trace_is_sampled(&trace));
    trace_format(&trace, text);
    assert_string_equal(text, parent);
    static const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(trace_parse(bad[i], strlen(bad[i]), &trace));
        assert_false(trace.is_set);
    }
}

static void contexts_of_a_group_come_back_by_message(void **state) {
    (void)state;
    struct trace_context trace;
    assert_true(trace_parse(parent, strlen(parent), &trace));
    char text[3 * TRACE_ONE_MAX];
    size_t len = trace_put_one(text, true, 0, &trace);
    len += trace_put_one(text + len, false, 7, &trace);
    len += trace_put_one(text + len, false, UINT32_MAX, &trace);
    const char *at = text;
    uint32_t index;
    const uint32_t expected[] = {0, 7, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct trace_context found;
        assert_true(trace_next(&at, text + len, &index, &found));
        assert_int_equal(index, expected[i]);
        assert_memory_equal(found.trace_id, trace.trace_id, TRACE_ID_LEN);
    }
    assert_false(trace_next(&at, text + len, &index, &trace));
    static const char *const bad[] = {"=", "1", "1=", "1=00-", ",,", "99999999999=", "x=1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        at = bad[i];
        assert_false(trace_next(&at, at + strlen(at), &index, &trace));
    }
}

static void spans_are_rendered_as_otlp(void **state) {
    (void)state;
    struct trace_context trace;
    assert_true(trace_parse(parent, strlen(parent), &trace));
    struct span span;
    span_begin(&span, &trace, SPAN_CONSUMER, 1700000000000001);
    span.end_us = 1700000000000003;
    strcpy(span.name, "process \"PlaceOrder\"");
    span.topic = "orders.inbox";
    span.partition = 3;
    span.offset = INT64_MAX;
    const struct otlp_resource resource = {.role = "order", .slot = 2};
    size_t length;
    char *text = otlp_render(&resource, &span, 1, &length);
    assert_non_null(text);
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const char *trace_id, *span_id, *parent_id, *name, *start, *end;
    int kind;
    assert_int_equal(json_unpack(json, "{s[{s{s[]},s[{s[{ss,ss,ss,ss,si,ss,ss}]}]}]}",
                                 "resourceSpans", "resource", "attributes", "scopeSpans", "spans",
                                 "traceId", &trace_id, "spanId", &span_id, "parentSpanId",
                                 &parent_id, "name", &name, "kind", &kind, "startTimeUnixNano",
                                 &start, "endTimeUnixNano", &end),
                     0);
    assert_string_equal(trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(parent_id, "b7ad6b7169203331");
    assert_string_not_equal(span_id, parent_id);
    assert_string_equal(name, "process \"PlaceOrder\"");
    assert_string_equal(start, "1700000000000001000");
    assert_string_equal(end, "1700000000000003000");
    assert_int_equal(kind, 5);
    assert_non_null(strstr(text, "\"9223372036854775807\""));
    json_decref(json);
    free(text);
}

static void a_collector_that_is_away_holds_up_nothing(void **state) {
    (void)state;
    const struct config config = {
        .trace_otlp_url = "http://127.0.0.1:1/v1/traces",
        .trace_sample_every = 2,
        .trace_callers = true,
    };
    struct error err;
    struct trace_context trace;
    metrics_init("order", 0);
    const uint8_t chosen[16] = {2, 1}, other[16] = {3, 1};
    spans_of_order(chosen, &trace);
    assert_false(trace.is_set); // traces are off
    assert_true(spans_start(&config, "order", 0, &err));
    spans_of_order(other, &trace);
    assert_false(trace.is_set);
    spans_of_order(chosen, &trace);
    assert_true(trace_is_sampled(&trace));
    assert_memory_equal(trace.trace_id, chosen, sizeof(chosen));
    int64_t begun_ms = clock_monotonic_ms();
    struct span span;
    for (int i = 0; i < 100000; i++) {
        span_begin(&span, &trace, SPAN_INTERNAL, 1);
        spans_add(&span);
    }
    assert_true(clock_monotonic_ms() - begun_ms < 2000 || getenv("ORDERLOG_TEST_SLOW"));
    assert_true(metrics_value(METRIC_SPANS, 1) >= 100000 - 8192 - 512);
    begun_ms = clock_monotonic_ms();
    spans_stop();
    assert_true(clock_monotonic_ms() - begun_ms < 5000 || getenv("ORDERLOG_TEST_SLOW"));
    assert_int_equal(metrics_value(METRIC_SPANS, 0), 0);
    assert_int_equal(metrics_value(METRIC_SPANS, 1) + metrics_value(METRIC_SPANS, 2), 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read_and_written),
        cmocka_unit_test(contexts_of_a_group_come_back_by_message),
        cmocka_unit_test(spans_are_rendered_as_otlp),
        cmocka_unit_test(a_collector_that_is_away_holds_up_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
