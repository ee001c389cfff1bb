// SPDX-License-Identifier: Apache-2.0
//
// Looking up in the generated tables, and serving the texts.
#include "http/openapi.h"

#include "http/respond.h"
#include "request_state.h"

#include <assert.h>
#include <string.h>

const struct openapi_operation *openapi_find(enum openapi_service service, const char *method,
                                             const char *path) {
    for (size_t i = 0; i < openapi_operations_count; i++) {
        const struct openapi_operation *operation = &openapi_operations[i];
        if ((operation->services & (int)service) && strcmp(operation->method, method) == 0 &&
            strcmp(operation->path, path) == 0)
            return operation;
    }
    return NULL;
}

bool openapi_names(const struct openapi_operation *operation, int status, const char *problem) {
    const struct openapi_answer *answer = operation->answers;
    const struct openapi_answer *end = answer + operation->answers_count;
    while (answer < end && answer->status != status)
        answer++;
    if (answer == end)
        return false;
    if (!answer->problems || !problem)
        return !answer->problems && !problem;
    for (const char *const *name = answer->problems; *name; name++) {
        if (strcmp(*name, problem) == 0)
            return true;
    }
    return false;
}

static const struct openapi_texts *texts_of(const struct http_request *request) {
    enum openapi_service service = request->server->options.openapi;
    assert(service != OPENAPI_NONE);
    return &openapi_texts[service];
}

// It changes with the program only.
static void allow_caching(struct http_request *request) {
    respond_header_text(request, "Cache-Control", "public, max-age=300");
}

void openapi_handle_json(struct http_request *request, void *state) {
    (void)state;
    const struct openapi_texts *texts = texts_of(request);
    allow_caching(request);
    respond_static(request, 200, "application/json", texts->json, texts->json_length);
}

void openapi_handle_docs(struct http_request *request, void *state) {
    (void)state;
    const struct openapi_texts *texts = texts_of(request);
    allow_caching(request);
    respond_header_text(request, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    respond_static(request, 200, "text/html; charset=utf-8", texts->page, texts->page_length);
}
