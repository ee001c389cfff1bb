// SPDX-License-Identifier: Apache-2.0
//
// Spans as the JSON of an OTLP request (ExportTraceServiceRequest). Inner to the exporter.
#ifndef ORDERLOG_SERVICE_SPANS_OTLP_H
#define ORDERLOG_SERVICE_SPANS_OTLP_H

#include "service/spans.h"

struct otlp_resource {
    const char *role;
    int slot; // < 0: none
};

// An owned text and its length, NULL when memory is out.
char *otlp_render(const struct otlp_resource *resource, const struct span *spans, size_t count,
                  size_t *ret_length);

#endif
