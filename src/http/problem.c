// SPDX-License-Identifier: Apache-2.0
//
// The table of problems as rows, and problems as JSON.
#include "http/problem.h"

#include "service/jsonout.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    const char *title;
} rows[PROBLEM_COUNT] = {[PROBLEM_NONE] = {"none", 200, "Nothing is wrong"},
#define ROW(id, name_, status_, title_) [PROBLEM_##id] = {name_, status_, title_},
                         PROBLEMS(ROW)
#undef ROW
};

void problem_init(struct problem *problem) {
    problem->type = PROBLEM_NONE;
    problem->detail[0] = '\0';
    problem->retry_after_s = 0;
    problem->errors_count = 0;
    problem->errors_more = 0;
}

int problem_status(enum problem_type type) {
    assert(type > PROBLEM_NONE && type < PROBLEM_COUNT);
    return rows[type].status;
}

const char *problem_name(enum problem_type type) {
    assert(type < PROBLEM_COUNT);
    return rows[type].name;
}

const char *problem_title(enum problem_type type) {
    assert(type < PROBLEM_COUNT);
    return rows[type].title;
}

bool problem_set(struct problem *problem, enum problem_type type, const char *fmt, ...) {
    problem->type = type;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(problem->detail, sizeof(problem->detail), fmt, args);
    va_end(args);
    return false;
}

bool problem_add(struct problem *problem, enum problem_type type, const char *field,
                 const char *fmt, ...) {
    if (problem->type == PROBLEM_NONE)
        problem->type = type;
    if (problem->errors_count == PROBLEM_ERRORS_MAX) {
        problem->errors_more++;
        return false;
    }
    struct problem_error *error = &problem->errors[problem->errors_count++];
    error->type = type;
    (void)snprintf(error->field, sizeof(error->field), "%s", field);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error->detail, sizeof(error->detail), fmt, args);
    va_end(args);
    return false;
}

static void write_type(struct jsonout *out, enum problem_type type) {
    char urn[96];
    (void)snprintf(urn, sizeof(urn), "urn:orderlog:problem:%s", problem_name(type));
    jsonout_string(out, "type", urn);
}

static void write_errors(struct jsonout *out, const struct problem *problem) {
    if (problem->errors_count == 0)
        return;
    jsonout_array_begin(out, "errors");
    for (uint32_t i = 0; i < problem->errors_count; i++) {
        const struct problem_error *error = &problem->errors[i];
        jsonout_object_begin(out, NULL);
        write_type(out, error->type);
        jsonout_string(out, "field", error->field);
        jsonout_string(out, "detail", error->detail);
        jsonout_object_end(out);
    }
    jsonout_array_end(out);
    if (problem->errors_more > 0)
        jsonout_int(out, "errors_more", problem->errors_more);
}

char *problem_render(const struct problem *problem, const char *instance, uint64_t line,
                     size_t *ret_length) {
    struct jsonout out;
    jsonout_init(&out);
    jsonout_object_begin(&out, NULL);
    if (line > 0)
        jsonout_int(&out, "line", (int64_t)line);
    write_type(&out, problem->type);
    jsonout_string(&out, "title", problem_title(problem->type));
    jsonout_int(&out, "status", problem_status(problem->type));
    if (problem->detail[0])
        jsonout_string(&out, "detail", problem->detail);
    if (instance)
        jsonout_string(&out, "instance", instance);
    write_errors(&out, problem);
    jsonout_object_end(&out);
    jsonout_newline(&out);
    return jsonout_take(&out, ret_length);
}
