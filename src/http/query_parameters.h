// SPDX-License-Identifier: Apache-2.0
//
// Query parameters of reads. Each leaves *ret as it is where the parameter is absent; false: it was
// refused, and the request is answered.
#ifndef ORDERLOG_HTTP_QUERY_PARAMETERS_H
#define ORDERLOG_HTTP_QUERY_PARAMETERS_H

#include "query_state.h"

bool query_parameter_number(struct http_request *request, const char *name, int64_t min,
                            int64_t max, int64_t *ret);

// RFC 3339; microseconds since 1970, within what PostgreSQL can tell.
bool query_parameter_time(struct http_request *request, const char *name, int64_t *ret_us);

// 1 to max characters; NULL: absent.
bool query_parameter_text(struct http_request *request, const char *name, size_t max,
                          const char **ret);

#endif
