// SPDX-License-Identifier: Apache-2.0
//
// The operator's listener of every long-running role, on metrics.host and metrics.port (loopback
// unless the operator says otherwise), away from the public one: /livez and /readyz are open,
// /metrics wants metrics.key, as not every role knows the keys of access.keys.
#ifndef ORDERLOG_HTTP_ADMIN_H
#define ORDERLOG_HTTP_ADMIN_H

#include "http/router.h"
#include "service/config.h"
#include "service/error.h"

struct http_server;

// *ret is NULL when metrics.port is 0. Free it with http_server_free(). One in a process.
bool admin_start(const struct config *config, struct http_server **ret, struct error *err);

// Rows for public tables: liveness and readiness are open, metrics needs the scope ops there.
void admin_handle_livez(struct http_request *request, void *state);
void admin_handle_readyz(struct http_request *request, void *state);
void admin_handle_metrics(struct http_request *request, void *state);

#endif
