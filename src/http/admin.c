// SPDX-License-Identifier: Apache-2.0
//
// Liveness says that the process answers, readiness that it can do its work: a role that waits for
// a broker is alive and not ready, and must not be restarted for it.
#include "http/admin.h"

#include "http/respond.h"
#include "http/server.h"
#include "service/metrics.h"
#include "service/service.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_CONNECTIONS_MAX = 64, ADMIN_BODY_BYTES_MAX = 4096, ADMIN_TIMEOUT_MS = 10000 };
enum { SECRET_LENGTH_MIN = 16 };

static void answer_text(struct http_request *request, int status, const char *text) {
    char *body = strdup(text);
    if (!body) {
        respond_empty(request, status);
        return;
    }
    respond_bytes_take(request, status, "text/plain; charset=utf-8", body, strlen(body));
}

void admin_handle_livez(struct http_request *request, void *state) {
    (void)state;
    answer_text(request, 200, "ok\n");
}

void admin_handle_readyz(struct http_request *request, void *state) {
    (void)state;
    char reason[SERVICE_REASON_MAX + 64];
    if (service_ready(reason)) {
        answer_text(request, 200, "ok\n");
        return;
    }
    respond_refuse(request, PROBLEM_UNAVAILABLE, "%s", reason);
}

void admin_handle_metrics(struct http_request *request, void *state) {
    (void)state;
    size_t length = 0;
    char *text = metrics_render(&length);
    if (!text) {
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
        return;
    }
    respond_bytes_take(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, length);
}

static const struct http_route routes[] = {
    {.method = "GET", .pattern = "/livez", .summary = "Alive?", .handle = admin_handle_livez},
    {.method = "GET", .pattern = "/readyz", .summary = "Ready?", .handle = admin_handle_readyz},
    {.method = "GET",
     .pattern = "/metrics",
     .scope = SCOPE_OPS,
     .summary = "Metrics for Prometheus",
     .handle = admin_handle_metrics},
};
static const struct http_routes table = {routes, sizeof(routes) / sizeof(routes[0])};

// Of metrics.key; written before the listener starts.
static struct admin_key {
    const char *id; // borrowed from the configuration, as long as id_length says
    size_t id_length;
    uint8_t secret_sha256[SHA256_DIGEST_LENGTH];
} admin_key;

static bool read_key(const char *text, struct error *err) {
    const char *id = strncmp(text, "ol_", 3) == 0 ? text + 3 : "";
    const char *underscore = strchr(id, '_');
    if (!underscore || underscore == id || strlen(underscore + 1) < SECRET_LENGTH_MIN)
        return error_set(err, DISP_FATAL, 0,
                         "metrics.key is to be ol_ID_SECRET, the secret at least %d characters, as "
                         "'orderlog keys create' makes them",
                         SECRET_LENGTH_MIN);
    admin_key.id = id;
    admin_key.id_length = (size_t)(underscore - id);
    (void)SHA256((const uint8_t *)underscore + 1, strlen(underscore + 1), admin_key.secret_sha256);
    return true;
}

// The id is no secret; the secret is compared as a hash, in a time that tells nothing.
static bool check_key(void *state, const char *id, size_t id_length, const char *secret,
                      size_t secret_length, struct http_caller *ret_caller) {
    (void)state;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    (void)SHA256((const uint8_t *)secret, secret_length, hash);
    if (CRYPTO_memcmp(hash, admin_key.secret_sha256, sizeof(hash)) != 0 ||
        id_length != admin_key.id_length || memcmp(id, admin_key.id, id_length) != 0)
        return false;
    *ret_caller = (struct http_caller){.scopes = SCOPE_OPS};
    return true;
}

bool admin_start(const struct config *config, struct http_server **ret, struct error *err) {
    if (config->metrics_port == 0) {
        *ret = NULL;
        return true;
    }
    if (config->metrics_key && !read_key(config->metrics_key, err))
        return false;
    const struct http_server_options options = {
        .host = config->metrics_host,
        .port = (int)config->metrics_port,
        .threads = 1,
        .connections_max = ADMIN_CONNECTIONS_MAX,
        .connections_per_ip_max = ADMIN_CONNECTIONS_MAX,
        .body_bytes_max = ADMIN_BODY_BYTES_MAX,
        .idle_timeout_ms = ADMIN_TIMEOUT_MS,
        .read_timeout_ms = ADMIN_TIMEOUT_MS,
        .routes = &table,
        .access = {.check = config->metrics_key ? check_key : NULL},
    };
    if (!http_server_start(&options, ret, err))
        return error_wrap(err, "metrics.port");
    return true;
}
