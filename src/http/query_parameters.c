// SPDX-License-Identifier: Apache-2.0
#include "query_parameters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/body.h"
#include "http/respond.h"
#include "service/clock.h"

bool query_parameter_number(struct http_request *request, const char *name, int64_t min,
                            int64_t max, int64_t *ret) {
    const char *text = http_request_query(request, name);
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!errno && *end == '\0' && text[0] >= '0' && text[0] <= '9' && number >= min &&
        number <= max) {
        *ret = number;
        return true;
    }
    respond_refuse(request, PROBLEM_INVALID_PARAMETER, "%s is a number from %lld to %lld", name,
                   (long long)min, (long long)max);
    return false;
}

bool query_parameter_time(struct http_request *request, const char *name, int64_t *ret_us) {
    const char *text = http_request_query(request, name);
    if (!text || clock_parse_us(text, ret_us))
        return true;
    respond_refuse(request, PROBLEM_INVALID_PARAMETER,
                   "%s is a time such as 2026-01-31T12:34:56Z (a + is sent as %%2B)", name);
    return false;
}

bool query_parameter_text(struct http_request *request, const char *name, size_t max,
                          const char **ret) {
    *ret = http_request_query(request, name);
    const size_t length = *ret ? body_characters(*ret, strlen(*ret)) : 1;
    if (length >= 1 && length <= max)
        return true;
    respond_refuse(request, PROBLEM_INVALID_PARAMETER, "%s has from 1 to %zu characters", name,
                   max);
    return false;
}
