// SPDX-License-Identifier: Apache-2.0
//
// Requests without a server: what is checked and read of a request, its handler and its answer are
// ours; libmicrohttpd, the brokers and PostgreSQL are played. One request at a time.
#ifndef ORDERLOG_TESTS_FUZZ_HTTP_H
#define ORDERLOG_TESTS_FUZZ_HTTP_H

#include "../../../src/http/gateway_state.h"
#include "../../../src/http/request_state.h"

enum { FUZZ_HEADERS_MAX = 16 };

struct fuzz_header {
    const char *name;
    const char *value;
};

// What the played parts do.
struct fuzz_http {
    struct fuzz_header headers[FUZZ_HEADERS_MAX]; // of the request
    size_t headers_count;
    uint32_t rows;          // that PostgreSQL has for any question
    uint32_t outcome;       // of the brokers, for every command: enum writer_outcome
    uint32_t answers_after; // so many commands wait for the brokers before one is answered
    bool backlog;           // orders have to wait, the first time that is asked
    bool stale;             // the catalogue is too old
    uint64_t written;       // commands that were sent
};

extern struct fuzz_http fuzz_http;

// A gateway whose parts are played; the same for the whole process.
struct gateway *fuzz_http_gateway(void);

// The brokers answer whatever is still waiting.
void fuzz_http_settle(void);

#endif
