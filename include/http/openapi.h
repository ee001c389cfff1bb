// SPDX-License-Identifier: Apache-2.0
//
// What src/http/openapi.yaml says, as the program was built with it: a row per operation, and the
// texts that are served. Limits of what callers send are in http/openapi_limits.h, as
// OPENAPI_SCHEMA_FIELD_MAX and the like. tests/unit/test_openapi.c holds the tables of routes and
// problems against the rows; an answer that its operation does not name is logged (respond.c).
#ifndef ORDERLOG_HTTP_OPENAPI_H
#define ORDERLOG_HTTP_OPENAPI_H

#include <stdbool.h>
#include <stddef.h>

struct http_request;

enum openapi_service { OPENAPI_NONE = 0, OPENAPI_GATEWAY = 1 << 0, OPENAPI_QUERY = 1 << 1 };
enum openapi_body { OPENAPI_NO_BODY, OPENAPI_JSON, OPENAPI_STREAM };

struct openapi_answer {
    int status;
    const char *const *problems; // names of problem types, NULL at the end; NULL: no problem
};

struct openapi_operation {
    const char *method;
    const char *path; // as in http_route.pattern
    const char *summary;
    int services;              // enum openapi_service, those that answer it
    const char *const *scopes; // NULL at the end; none: open to everybody
    bool customers;            // their tokens are taken
    const char *const *query;  // names of query parameters, NULL at the end
    enum openapi_body body;
    const struct openapi_answer *answers;
    size_t answers_count;
};

// One service's part of the document.
struct openapi_texts {
    const char *json;
    size_t json_length;
    const char *page; // HTML
    size_t page_length;
};

extern const struct openapi_operation openapi_operations[];
extern const size_t openapi_operations_count;
extern const struct openapi_texts openapi_texts[]; // by enum openapi_service

// NULL: the document has no such operation of this service.
const struct openapi_operation *openapi_find(enum openapi_service service, const char *method,
                                             const char *path);

// The operation names this answer. problem: the name of its type, NULL for what is no problem.
bool openapi_names(const struct openapi_operation *operation, int status, const char *problem);

// For the tables of routes: /openapi.json and /docs of the server's service.
void openapi_handle_json(struct http_request *request, void *state);
void openapi_handle_docs(struct http_request *request, void *state);

#endif
