// SPDX-License-Identifier: Apache-2.0
//
// One command, one answer: the request waits while the log is written, and is answered by who takes
// the brokers' answers.
#include "gateway_state.h"

#include "http/respond.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/uninitialized.h"

#include <stdlib.h>
#include <string.h>

// What is needed to answer once the brokers have.
struct submission {
    struct http_request *request;
    char *body; // owned until answered
    size_t body_length;
    struct gateway_link location;
};

static void on_written(void *state, enum writer_outcome outcome) {
    struct submission *submission = state;
    struct http_request *request = submission->request;
    if (outcome == WRITER_WRITTEN) {
        respond_header_text(request, "Location", submission->location.text);
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
    submission->location = about_order ? gateway_link("orders", &command->order_id)
                                       : gateway_link("commands", &command->command_id);
    return submission;
}

static struct submission *submit_begin(struct http_request *request, struct command *command,
                                       const char *made_key) {
    struct submission *submission = new_submission(request, command, made_key);
    if (submission)
        return submission;
    command_done(command);
    respond_refuse(request, PROBLEM_NOT_WRITTEN, "out of memory");
    return NULL;
}

static void submit(struct http_request *request, struct gateway *gateway, struct command *command,
                   const char *made_key, bool suspended) {
    struct submission *submission = submit_begin(request, command, made_key);
    if (!submission)
        return;
    const bool about_order = !id_is_nil(&command->order_id);
    const struct trace_context trace =
        *http_request_trace(request, about_order ? command->order_id.bytes : NULL);
    if (!suspended)
        LOG(DEBUG, "command goes to the log", F_STR("type", record_types[command->type]->name),
            F_STR("order_id", about_order ? id_text(&command->order_id).text : NULL));
    http_request_wait(request);
    command_writer_send(gateway->writer, command, &trace, on_written, submission);
}

typedef bool build_fn(const struct command_context *context, struct http_request *request,
                      enum record_id type, const struct jsonin *root, struct command *ret,
                      struct problem *problem);

// A command that waits for the key of its customer.
struct waiting {
    struct http_request *request; // suspended
    struct gateway *gateway;
    enum record_id type;
    build_fn *build;
};

static void take_suspended(const struct waiting *waiting);

static void on_key(void *state, enum writer_outcome outcome) {
    struct waiting waiting = *(struct waiting *)state;
    free(state);
    if (outcome == WRITER_WRITTEN) {
        take_suspended(&waiting);
        return;
    }
    struct problem problem;
    problem_init(&problem);
    gateway_explain(outcome, &problem);
    respond_problem(waiting.request, &problem);
}

static void wait_for_key(struct http_request *request, struct gateway *gateway, enum record_id type,
                         build_fn *build, const char *customer_id) {
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (!waiting) {
        respond_refuse(request, PROBLEM_NOT_WRITTEN, "out of memory");
        return;
    }
    *waiting = (struct waiting){request, gateway, type, build};
    http_request_suspend(request);
    customer_desk_make_key(gateway->desk, http_request_caller(request)->shop_id, customer_id,
                           on_key, waiting);
}

// The steps of every command: key, body, command, log. suspended: it has waited for its customer's
// key already.
static void take_step(struct http_request *request, struct gateway *gateway, enum record_id type,
                      bool body_optional, build_fn *build, bool suspended) {
    struct problem problem UNINITIALIZED;
    char key[COMMAND_KEY_MAX + 1] UNINITIALIZED;
    problem_init(&problem);
    const char *key_given = http_request_header(request, "Idempotency-Key");
    struct command_prices prices = gateway_prices(gateway);
    struct command_wants_key wants_key = {.wanted = false};
    const struct command_context context = {
        .caller = http_request_caller(request),
        .ids = gateway->ids,
        .prices = &prices,
        .people = &gateway->people,
        .idempotency_key = key,
        .now_us = clock_now_us(),
        .wants_key = &wants_key,
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
    if (ok)
        submit(request, gateway, &command, key_given ? NULL : key, suspended);
    else if (problem.type != PROBLEM_NONE)
        respond_problem(request, &problem);
    else if (!suspended)
        wait_for_key(request, gateway, type, build, wants_key.customer_id);
    else
        respond_refuse(request, PROBLEM_NOT_WRITTEN, "the customer's key came and went");
}

static void take(struct http_request *request, struct gateway *gateway, enum record_id type,
                 bool body_optional, build_fn *build) {
    take_step(request, gateway, type, body_optional, build, /* suspended= */ false);
}

static void take_suspended(const struct waiting *waiting) {
    take_step(waiting->request, waiting->gateway, waiting->type, /* body_optional= */ false,
              waiting->build, /* suspended= */ true);
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
    struct command_context conditional = *context;
    return command_version_parse(http_request_header(request, "If-Match"),
                                 &conditional.expected_version, problem) &&
           command_about_order(&conditional, type, http_request_param(request, "id"), root, ret,
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

// --- customers ---------------------------------------------------------------------------------

static bool build_customer(const struct command_context *context, struct http_request *request,
                           enum record_id type, const struct jsonin *root, struct command *ret,
                           struct problem *problem) {
    (void)type;
    return command_customer(context, http_request_param(request, "id"), root, ret, problem);
}

// A customer is nobody else, and nobody else is there for them.
static bool is_somebody_else(struct http_request *request) {
    const struct http_caller *caller = http_request_caller(request);
    if (http_caller_owns(caller, caller->shop_id, http_request_param(request, "id")))
        return false;
    respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such customer");
    return true;
}

void gateway_handle_customer(struct http_request *request, void *state) {
    if (!is_somebody_else(request))
        take(request, state, RECORD_CUSTOMER, /* body_optional= */ false, build_customer);
}

void gateway_handle_erase(struct http_request *request, void *state) {
    struct gateway *gateway = state;
    struct problem problem;
    char key[COMMAND_KEY_MAX + 1];
    const char *customer_id = http_request_param(request, "id");
    const char *key_given = http_request_header(request, "Idempotency-Key");
    if (is_somebody_else(request))
        return;
    problem_init(&problem);
    const struct command_context context = {
        .caller = http_request_caller(request),
        .ids = gateway->ids,
        .idempotency_key = key,
        .now_us = clock_now_us(),
    };
    struct command command;
    if (!gateway->desk)
        (void)problem_set(&problem, PROBLEM_PERSONAL_DATA_UNAVAILABLE,
                          "customers.master.key.file is not set here");
    if (problem.type != PROBLEM_NONE || !command_key_parse(key_given, key, &problem) ||
        !command_erase_customer(&context, customer_id, &command, &problem)) {
        respond_problem(request, &problem);
        return;
    }
    struct submission *submission = submit_begin(request, &command, key_given ? NULL : key);
    if (!submission)
        return;
    http_request_suspend(request);
    customer_desk_erase(gateway->desk, context.caller->shop_id, customer_id, &command, on_written,
                        submission);
}
