// SPDX-License-Identifier: Apache-2.0
//
// A batch of NDJSON, cut into pieces of any size, while brokers answer at once, late or in another
// order. Every line that is not blank has one result, in the order of the lines.
//
//   first byte   size of the pieces
//   second       what the parts of the gateway do
//   then         the lines
#include "fuzz/support/fuzz_http.h"

#include "http/gateway.h"
#include "service/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void __wrap_respond_file_take(struct http_request *request, int status, const char *content_type,
                              int fd_take, uint64_t length);

static uint64_t results_expected;

static uint64_t count_results(const char *text, size_t length) {
    uint64_t line_before = 0;
    uint64_t count = 0;
    for (size_t at = 0; at < length; count++) {
        const char *newline = memchr(text + at, '\n', length - at);
        assert(newline);
        struct problem problem;
        problem_init(&problem);
        const struct jsonin *result = NULL;
        struct arena arena;
        arena_init(&arena, 0);
        bool parsed =
            body_parse(&arena, text + at, (size_t)(newline - text) - at, &result, &problem);
        assert(parsed);
        const struct jsonin *line = jsonin_member(result, "line");
        assert(line && line->kind == JSONIN_INTEGER && (uint64_t)line->integer > line_before);
        line_before = (uint64_t)line->integer;
        arena_done(&arena);
        at = (size_t)(newline - text) + 1;
    }
    return count;
}

void __wrap_respond_file_take(struct http_request *request, int status, const char *content_type,
                              int fd_take, uint64_t length) {
    (void)content_type;
    assert(status == 200);
    char *text = malloc(length + 1);
    assert(text);
    ssize_t got = pread(fd_take, text, length, 0);
    assert(got == (ssize_t)length);
    assert(count_results(text, length) == results_expected);
    free(text);
    (void)close(fd_take);
    atomic_store(&request->stage, REQUEST_ANSWERED);
}

// A line counts unless it is empty but for blanks.
static uint64_t count_lines(const char *text, size_t length) {
    uint64_t count = 0;
    bool blank = true;
    for (size_t i = 0; i <= length; i++) {
        if (i == length || text[i] == '\n') {
            count += !blank;
            blank = true;
        } else if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') {
            blank = false;
        }
    }
    return count;
}

// Longer than any line may be, blanks alone are refused too: nobody looks at them.
static bool has_long_line(const char *text, size_t length, size_t bytes_max) {
    size_t line = 0;
    for (size_t i = 0; i < length; i++) {
        line = text[i] == '\n' ? 0 : line + 1;
        if (line > bytes_max)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started)
        log_init(LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz", 0);
    started = true;
    if (size < 2)
        return 0;
    struct gateway *gateway = fuzz_http_gateway();
    const char *text = (const char *)data + 2;
    size_t length = size - 2;
    if (has_long_line(text, length, (size_t)gateway->config->http_line_bytes_max))
        return 0;
    size_t piece = data[0] + 1U;
    fuzz_http = (struct fuzz_http){
        .outcome = data[1] % 3,
        .answers_after = data[1] >> 4,
        .backlog = data[1] & 4,
        .stale = data[1] & 8,
    };
    results_expected = count_lines(text, length);
    struct http_server server = {.options = {.routes = gateway_routes(), .state = gateway}};
    struct http_loop loop = {.server = &server, .woken = true}; // nobody runs it
    struct http_request *request = request_new(&loop, "/v1/orders:batch");
    assert(request);
    request->caller =
        (struct http_caller){.shop_id = "main", .scopes = SCOPE_ORDERS_WRITE | SCOPE_ORDERS_IMPORT};
    gateway_batch_begin(request, gateway);
    for (size_t at = 0; at < length;) {
        size_t given = length - at < piece ? length - at : piece;
        size_t taken = gateway_batch_chunk(request, gateway, text + at, given);
        assert(taken <= given);
        at += taken;
    }
    gateway_batch_handle(request, gateway);
    fuzz_http_settle();
    assert(atomic_load(&request->stage) == REQUEST_ANSWERED);
    assert(fuzz_http.written <= results_expected);
    gateway_batch_done(request, request->attachment, true);
    request_free(request);
    return 0;
}
