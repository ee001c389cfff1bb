// SPDX-License-Identifier: Apache-2.0
//
// The beginning of a stream: is the order there, and which of its events has the client seen.
#include "query_streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/openapi_limits.h"
#include "http/respond.h"
#include "query_parameters.h"
#include "query_sample.h"

_Static_assert(OPENAPI_SAMPLE_RATE_MAX <= SAMPLE_RATE_MAX, "a sample has room for a second");

static const char sql_exists[] =
    "SELECT 1 FROM orders WHERE order_id = $1::uuid AND shop_id = $2::text "
    "AND ($3::text IS NULL OR customer_id = $3::text)";

static bool parse_last_event_id(const struct http_request *request, int64_t *ret) {
    const char *text = http_request_header(request, "Last-Event-ID");
    char *end;
    *ret = 0;
    if (!text || !*text)
        return true;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !errno && *end == '\0' && text[0] >= '0' && text[0] <= '9';
}

bool query_read_sample(struct http_request *request, struct query *query, struct db *db,
                       struct error *err) {
    int64_t rate = OPENAPI_SAMPLE_RATE_DEFAULT;
    if (!db_connect(db, err)) // a sample of nothing is none
        return false;
    if (query_parameter_number(request, "per_second", OPENAPI_SAMPLE_RATE_MIN,
                               OPENAPI_SAMPLE_RATE_MAX, &rate))
        query_streams_open_sample(query->streams, request, rate);
    return true;
}

bool query_read_stream(struct http_request *request, struct query *query, struct db *db,
                       struct error *err) {
    struct id order_id;
    int64_t version;
    const char *text = http_request_param(request, "id");
    if (!parse_last_event_id(request, &version)) {
        respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                       "Last-Event-ID is the id of an event of this order: its version");
        return true;
    }
    struct db_params params = {.count = 0};
    bool found = id_parse(text, strlen(text), &order_id);
    if (found) {
        db_params_uuid(&params, &order_id);
        query_add_caller(&params, request);
        DB_RESULT result = db_query(db, sql_exists, &params, err);
        if (!result)
            return false;
        found = PQntuples(result) == 1;
    }
    if (found)
        query_streams_open(query->streams, request, &order_id, version);
    else
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
    return true;
}
