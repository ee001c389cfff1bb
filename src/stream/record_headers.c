// SPDX-License-Identifier: Apache-2.0
#include "record_headers.h"

#include "stream/trace_headers.h"

#include <assert.h>
#include <string.h>

static void add(struct record_headers *headers, const char *name, const void *value, size_t len) {
    const size_t name_len = strlen(name);
    assert(headers->len + name_len + len + WIRE_HEADER_ROOM <= sizeof(headers->bytes));
    const uint8_t *end = wire_header_put(headers->bytes + headers->len, name, name_len, value, len);
    headers->len = (size_t)(end - headers->bytes);
    headers->count++;
}

static void add_trace(struct record_headers *headers, const struct trace_context *trace) {
    if (!trace || !trace->is_set)
        return;
    char text[TRACE_TEXT_LEN + 1];
    trace_format(trace, text);
    add(headers, TRACE_HEADER, text, TRACE_TEXT_LEN);
}

void record_headers_of_type(enum domain domain, enum record_id type, struct record_headers *ret) {
    static const char *const sources[DOMAIN_COUNT] = {"/orderlog/order", "/orderlog/inventory",
                                                      "/orderlog/payment", "/orderlog/shipping"};
    static const char version[] = "1.0", content[] = "application/avro";
    const char *name = record_types[type]->full_name;
    ret->len = ret->count = 0;
    add(ret, "ce_specversion", version, sizeof(version) - 1);
    add(ret, "ce_type", name, strlen(name));
    add(ret, "ce_source", sources[domain], strlen(sources[domain]));
    add(ret, "content-type", content, sizeof(content) - 1);
}

void record_headers_of_event(const struct record_headers *of_type, const struct id *event_id,
                             const struct trace_context *trace, struct record_headers *ret) {
    char id[ID_TEXT_LEN];
    id_format(event_id, id);
    memcpy(ret->bytes, of_type->bytes, of_type->len);
    ret->len = of_type->len;
    ret->count = of_type->count;
    add(ret, "ce_id", id, ID_TEXT_LEN);
    add_trace(ret, trace);
}

void record_headers_of_trace(const struct trace_context *trace, struct record_headers *ret) {
    ret->len = ret->count = 0;
    add_trace(ret, trace);
}
