// SPDX-License-Identifier: Apache-2.0
//
// One command, one answer: the request is suspended while the log is written and answered by the
// writer's thread.
#include "gateway_state.h"

#include "http/respond.h"
#include "service/clock.h"
#include "service/uninitialized.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCATION_MAX = 80 };

// What is needed to answer once the brokers have.
struct submission {
    struct http_request *request;
    char *body; // owned until answered
    size_t body_length;
    char location[LOCATION_MAX];
};

static void on_written(void *state, enum writer_outcome outcome) {
    struct submission *submission = state;
    struct http_request *request = submission->request;
    if (outcome == WRITER_WRITTEN) {
        respond_header(request, "Location", "%s", submission->location);
        respond_json_take(request, 202, submission->body, submission->body_length);
    } else {
        struct problem problem;
        problem_init(&problem);
        gateway_explain(outcome, &problem);
        free(submission->body);
        respond_problem(request, &problem);
    }
    free(submission);
}

static struct submission *new_submission(struct http_request *request,
                                         const struct command *command, const char *made_key) {
    struct submission *submission = calloc(1, sizeof(*submission));
    struct jsonout out;
    jsonout_init(&out);
    gateway_write_receipt(&out, command, made_key);
    char *body = jsonout_take(&out, submission ? &submission->body_length : &(size_t){0});
    if (!submission || !body) {
        free(submission);
        free(body);
        return NULL;
    }
    submission->request = request;
    submission->body = body;
    bool about_order = !id_is_nil(&command->order_id);
    struct id_text id = id_text(about_order ? &command->order_id : &command->command_id);
    (void)snprintf(submission->location, LOCATION_MAX, "/v1/%s/%s",
                   about_order ? "orders" : "commands", id.text);
    return submission;
}

static void submit(struct http_request *request, struct gateway *gateway, struct command *command,
                   const char *made_key) {
    struct submission *submission = new_submission(request, command, made_key);
    if (!submission) {
        command_done(command);
        respond_refuse(request, PROBLEM_NOT_WRITTEN, "out of memory");
        return;
    }
    const char *trace =
        http_request_header(request, "traceparent") ? http_request_traceparent(request) : NULL;
    http_request_suspend(request);
    command_writer_send(gateway->writer, command, trace, on_written, submission);
}

typedef bool build_fn(const struct command_context *context, struct http_request *request,
                      enum record_id type, const struct jsonin *root, struct command *ret,
                      struct problem *problem);

// The steps of every command: key, body, command, log.
static void take(struct http_request *request, struct gateway *gateway, enum record_id type,
                 bool body_optional, build_fn *build) {
    struct problem problem UNINITIALIZED;
    char key[COMMAND_KEY_MAX + 1] UNINITIALIZED;
    problem_init(&problem);
    const char *key_given = http_request_header(request, "Idempotency-Key");
    struct command_prices prices = gateway_prices(gateway);
    const struct command_context context = {
        .caller = http_request_caller(request),
        .ids = gateway->ids,
        .prices = &prices,
        .idempotency_key = key,
        .now_us = clock_now_us(),
    };
    struct command command;
    size_t length = 0;
    const char *body = http_request_body(request, &length);
    const struct jsonin *root = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    bool ok =
        command_key_parse(key_given, key, &problem) &&
        ((length == 0 && body_optional) || body_parse(&arena, body, length, &root, &problem)) &&
        build(&context, request, type, root, &command, &problem);
    // The command is encoded: nothing of the body is needed any more.
    arena_done(&arena);
    if (!ok)
        respond_problem(request, &problem);
    else
        submit(request, gateway, &command, key_given ? NULL : key);
}

static bool build_order(const struct command_context *context, struct http_request *request,
                        enum record_id type, const struct jsonin *root, struct command *ret,
                        struct problem *problem) {
    (void)request;
    (void)type;
    return command_place_order(context, root, ret, problem);
}

static bool build_about_order(const struct command_context *context, struct http_request *request,
                              enum record_id type, const struct jsonin *root, struct command *ret,
                              struct problem *problem) {
    return command_about_order(context, type, http_request_param(request, "id"), root, ret,
                               problem);
}

static bool build_about_sku(const struct command_context *context, struct http_request *request,
                            enum record_id type, const struct jsonin *root, struct command *ret,
                            struct problem *problem) {
    return command_about_sku(context, type, http_request_param(request, "sku"), root, ret, problem);
}

// Answered, if so much waits already that nothing is to be added.
static bool put_off(struct http_request *request, const struct backlog *backlog) {
    if (!backlog_over(backlog))
        return false;
    struct problem problem;
    problem_init(&problem);
    gateway_explain_backlog(backlog, &problem);
    respond_problem(request, &problem);
    return true;
}

static void take_about_sku(struct http_request *request, struct gateway *gateway,
                           enum record_id type) {
    if (!put_off(request, gateway->stock))
        take(request, gateway, type, /* body_optional= */ false, build_about_sku);
}

void gateway_handle_place(struct http_request *request, void *state) {
    struct gateway *gateway = state;
    if (!put_off(request, gateway->orders))
        take(request, gateway, RECORD_PLACE_ORDER, /* body_optional= */ false, build_order);
}

void gateway_handle_cancel(struct http_request *request, void *state) {
    take(request, state, RECORD_CANCEL_ORDER, /* body_optional= */ true, build_about_order);
}

void gateway_handle_dispatch(struct http_request *request, void *state) {
    take(request, state, RECORD_DISPATCH_ORDER, /* body_optional= */ true, build_about_order);
}

void gateway_handle_deliver(struct http_request *request, void *state) {
    take(request, state, RECORD_DELIVER_ORDER, /* body_optional= */ true, build_about_order);
}

void gateway_handle_product(struct http_request *request, void *state) {
    take_about_sku(request, state, RECORD_SET_PRODUCT);
}

void gateway_handle_receive(struct http_request *request, void *state) {
    take_about_sku(request, state, RECORD_RECEIVE_STOCK);
}

void gateway_handle_adjust(struct http_request *request, void *state) {
    take_about_sku(request, state, RECORD_ADJUST_STOCK);
}
