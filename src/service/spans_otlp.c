// SPDX-License-Identifier: Apache-2.0
//
// Names of attributes are those of OpenTelemetry's semantic conventions, where there is one.
#include "spans_otlp.h"

#include "service/jsonout.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put_text(struct jsonout *json, const char *key, const char *text) {
    jsonout_object_begin(json, NULL);
    jsonout_string(json, "key", key);
    jsonout_object_begin(json, "value");
    jsonout_string(json, "stringValue", text);
    jsonout_object_end(json);
    jsonout_object_end(json);
}

// 64-bit numbers are strings in JSON.
static void put_number(struct jsonout *json, const char *key, int64_t number) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    jsonout_object_begin(json, NULL);
    jsonout_string(json, "key", key);
    jsonout_object_begin(json, "value");
    jsonout_string(json, "intValue", text);
    jsonout_object_end(json);
    jsonout_object_end(json);
}

static void put_time(struct jsonout *json, const char *name, int64_t us) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld000", (long long)us);
    jsonout_string(json, name, text);
}

static void put_resource(struct jsonout *json, const struct otlp_resource *resource) {
    char name[64], instance[128], host[64] = "";
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(name, sizeof(name), "orderlog-%s", resource->role);
    if (resource->slot >= 0)
        (void)snprintf(instance, sizeof(instance), "%s-%d", resource->role, resource->slot);
    else
        (void)snprintf(instance, sizeof(instance), "%s@%s:%d", resource->role, host, (int)getpid());
    jsonout_object_begin(json, "resource");
    jsonout_array_begin(json, "attributes");
    put_text(json, "service.name", name);
    put_text(json, "service.namespace", "orderlog");
    put_text(json, "service.instance.id", instance);
    put_text(json, "service.version", ORDERLOG_VERSION);
    put_text(json, "host.name", host);
    jsonout_array_end(json);
    jsonout_object_end(json);
}

static void put_attributes(struct jsonout *json, const struct span *span) {
    jsonout_array_begin(json, "attributes");
    if (span->has_order_id) {
        const uint8_t *b = span->order_id;
        char id[37];
        (void)snprintf(id, sizeof(id),
                       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
                       b[13], b[14], b[15]);
        put_text(json, "orderlog.order_id", id);
    }
    if (span->topic) {
        char partition[16];
        (void)snprintf(partition, sizeof(partition), "%d", span->partition);
        put_text(json, "messaging.system", "kafka");
        put_text(json, "messaging.destination.name", span->topic);
        put_text(json, "messaging.destination.partition.id", partition);
        put_text(json, "messaging.operation.type",
                 span->kind == SPAN_PRODUCER ? "send" : "process");
        if (span->offset >= 0)
            put_number(json, "messaging.kafka.offset", span->offset);
    }
    if (span->method) {
        put_text(json, "http.request.method", span->method);
        put_text(json, "http.route", span->route);
        put_number(json, "http.response.status_code", span->status);
    }
    jsonout_array_end(json);
}

static void put_span(struct jsonout *json, const struct span *span) {
    static const uint8_t none[TRACE_SPAN_ID_LEN] = {0};
    char text[TRACE_TEXT_LEN + 1];
    trace_format(&span->self, text);
    jsonout_object_begin(json, NULL);
    jsonout_string_n(json, "traceId", text + 3, 2 * TRACE_ID_LEN);
    jsonout_string_n(json, "spanId", text + 36, 2 * TRACE_SPAN_ID_LEN);
    if (memcmp(span->parent, none, sizeof(none)) != 0) {
        struct trace_context parent = span->self;
        memcpy(parent.span_id, span->parent, sizeof(parent.span_id));
        trace_format(&parent, text);
        jsonout_string_n(json, "parentSpanId", text + 36, 2 * TRACE_SPAN_ID_LEN);
    }
    jsonout_string(json, "name", span->name);
    jsonout_int(json, "kind", span->kind);
    put_time(json, "startTimeUnixNano", span->start_us);
    put_time(json, "endTimeUnixNano",
             span->end_us < span->start_us ? span->start_us : span->end_us);
    put_attributes(json, span);
    jsonout_object_begin(json, "status");
    if (span->failed)
        jsonout_int(json, "code", 2); // STATUS_CODE_ERROR
    jsonout_object_end(json);
    jsonout_object_end(json);
}

char *otlp_render(const struct otlp_resource *resource, const struct span *spans, size_t count,
                  size_t *ret_length) {
    struct jsonout json;
    jsonout_init(&json);
    jsonout_object_begin(&json, NULL);
    jsonout_array_begin(&json, "resourceSpans");
    jsonout_object_begin(&json, NULL);
    put_resource(&json, resource);
    jsonout_array_begin(&json, "scopeSpans");
    jsonout_object_begin(&json, NULL);
    jsonout_object_begin(&json, "scope");
    jsonout_string(&json, "name", "orderlog");
    jsonout_string(&json, "version", ORDERLOG_VERSION);
    jsonout_object_end(&json);
    jsonout_array_begin(&json, "spans");
    for (size_t i = 0; i < count; i++)
        put_span(&json, &spans[i]);
    jsonout_array_end(&json);
    jsonout_object_end(&json);
    jsonout_array_end(&json);
    jsonout_object_end(&json);
    jsonout_array_end(&json);
    jsonout_object_end(&json);
    return jsonout_take(&json, ret_length);
}
