// SPDX-License-Identifier: Apache-2.0
//
// The gateway role: takes commands over HTTP and acknowledges them once the log has them.
#ifndef ORDERLOG_HTTP_GATEWAY_H
#define ORDERLOG_HTTP_GATEWAY_H

#include "service/config.h"

// Runs until stopped; returns the process's exit code. Once in a process.
int gateway_run(const struct config *config);

// What it serves: for tests.
struct http_routes;
const struct http_routes *gateway_routes(void);

#endif
