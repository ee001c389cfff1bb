// SPDX-License-Identifier: Apache-2.0
//
// Every way a request can be refused, once: RFC 9457 type, status and title. The type is
// urn:orderlog:problem:NAME and never changes its meaning; titles may be reworded.
//
// A handler fills a struct problem and hands it to respond_problem(). A problem about the body
// carries what is wrong with which field; its type is that of the first such error.
#ifndef ORDERLOG_HTTP_PROBLEM_H
#define ORDERLOG_HTTP_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// PROBLEM(id, name, status, title)
#define PROBLEMS(PROBLEM)                                                                          \
    PROBLEM(MALFORMED_REQUEST, "malformed-request", 400, "The HTTP request is not well-formed")    \
    PROBLEM(MALFORMED_JSON, "malformed-json", 400, "The body is not valid JSON")                   \
    PROBLEM(DUPLICATE_KEY, "duplicate-key", 400, "An object in the body has a key twice")          \
    PROBLEM(INVALID_UTF8, "invalid-utf8", 400, "The body is not valid UTF-8")                      \
    PROBLEM(TOO_DEEP, "too-deep", 400, "The body is nested too deeply")                            \
    PROBLEM(INVALID_PARAMETER, "invalid-parameter", 400, "A path or query parameter is not valid") \
    PROBLEM(INVALID_IDEMPOTENCY_KEY, "invalid-idempotency-key", 400,                               \
            "The Idempotency-Key header is not valid")                                             \
    PROBLEM(UNAUTHENTICATED, "unauthenticated", 401, "A valid API key or token is needed")         \
    PROBLEM(FORBIDDEN, "forbidden", 403, "The API key or token does not allow this")               \
    PROBLEM(WRONG_SHOP, "wrong-shop", 403, "The API key or token belongs to another shop")         \
    PROBLEM(NOT_FOUND, "not-found", 404, "There is nothing here")                                  \
    PROBLEM(METHOD_NOT_ALLOWED, "method-not-allowed", 405, "The method is not allowed here")       \
    PROBLEM(CUSTOMER_ERASED, "customer-erased", 410, "The customer was erased")                    \
    PROBLEM(BODY_TOO_LARGE, "body-too-large", 413, "The body is too large")                        \
    PROBLEM(LINE_TOO_LARGE, "line-too-large", 413, "A line of the stream is too large")            \
    PROBLEM(UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", 415,                                 \
            "The Content-Type is not what this route takes")                                       \
    PROBLEM(RATE_LIMITED, "rate-limited", 429, "Too many requests; slow down")                     \
    PROBLEM(WRONG_TYPE, "wrong-type", 422, "A field has the wrong type")                           \
    PROBLEM(UNKNOWN_FIELD, "unknown-field", 422, "A field is not known")                           \
    PROBLEM(MISSING_FIELD, "missing-field", 422, "A field is missing")                             \
    PROBLEM(INVALID_VALUE, "invalid-value", 422, "A field has a value that is not allowed")        \
    PROBLEM(INVALID_QUANTITY, "invalid-quantity", 422, "A quantity is out of range")               \
    PROBLEM(INVALID_AMOUNT, "invalid-amount", 422, "An amount of money is out of range")           \
    PROBLEM(TOTAL_OVERFLOW, "total-overflow", 422, "The total is too large")                       \
    PROBLEM(TOTAL_DIFFERS, "total-differs", 422, "The total is not the expected one")              \
    PROBLEM(UNKNOWN_CURRENCY, "unknown-currency", 422, "The currency is not known")                \
    PROBLEM(CURRENCY_DIFFERS, "currency-differs", 422,                                             \
            "A product is not sold in the order's currency")                                       \
    PROBLEM(UNKNOWN_SKU, "unknown-sku", 422, "A SKU is not in the catalogue")                      \
    PROBLEM(NO_LINES, "no-lines", 422, "An order needs at least one line")                         \
    PROBLEM(TOO_MANY_LINES, "too-many-lines", 422, "The order has too many lines")                 \
    PROBLEM(MESSAGE_TOO_LARGE, "message-too-large", 422, "The command is too large for the log")   \
    PROBLEM(INTERNAL, "internal", 500, "Something is wrong on our side")                           \
    PROBLEM(NOT_WRITTEN, "not-written", 503, "The command was certainly not written; try again")   \
    PROBLEM(BACKLOG, "backlog", 503, "Too many commands are waiting; try again later")             \
    PROBLEM(CATALOGUE_STALE, "catalogue-stale", 503, "Prices are not known to be current")         \
    PROBLEM(PERSONAL_DATA_UNAVAILABLE, "personal-data-unavailable", 503,                           \
            "Personal data can be neither taken nor shown now")                                    \
    PROBLEM(UNAVAILABLE, "unavailable", 503, "The service cannot answer now; try again")           \
    PROBLEM(OUTCOME_UNKNOWN, "outcome-unknown", 504,                                               \
            "It is not known whether the command was written; retry with the same key")            \
    PROBLEM(NOT_YET, "not-yet", 504, "The read model has not got there in time; ask again")

#define PROBLEM_ID(id, ...) PROBLEM_##id,
enum problem_type { PROBLEM_NONE, PROBLEMS(PROBLEM_ID) PROBLEM_COUNT };
#undef PROBLEM_ID

enum { PROBLEM_ERRORS_MAX = 16, PROBLEM_FIELD_MAX = 96, PROBLEM_DETAIL_MAX = 240 };

struct problem_error {
    enum problem_type type;
    char field[PROBLEM_FIELD_MAX]; // "lines[3].quantity"; "" for the whole body
    char detail[PROBLEM_DETAIL_MAX];
};

struct problem {
    enum problem_type type; // PROBLEM_NONE: nothing is wrong
    char detail[PROBLEM_DETAIL_MAX];
    int retry_after_s; // > 0: sent as Retry-After
    uint32_t errors_count;
    uint32_t errors_more; // that did not fit
    struct problem_error errors[PROBLEM_ERRORS_MAX];
};

// Only the head is cleared: struct problem is big.
void problem_init(struct problem *problem);

// Sets type and detail and returns false, so that `return problem_set(...)` reads well.
bool problem_set(struct problem *problem, enum problem_type type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Adds an error about a field (the first one names the problem's type) and returns false.
bool problem_add(struct problem *problem, enum problem_type type, const char *field,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

int problem_status(enum problem_type type);
const char *problem_name(enum problem_type type); // "malformed-json"
const char *problem_title(enum problem_type type);

// The body as JSON (one line), an owned string or NULL when memory is out. line > 0 adds
// "line": for results of a stream.
char *problem_render(const struct problem *problem, const char *instance, uint64_t line,
                     size_t *ret_length);

#endif
