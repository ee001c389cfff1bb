// SPDX-License-Identifier: Apache-2.0
//
// The API keys, folded from the compacted topic access.keys: gateway and query hold all of them in
// memory, hashed, and see a new or revoked one within moments.
#ifndef ORDERLOG_HTTP_ACCESS_KEYS_H
#define ORDERLOG_HTTP_ACCESS_KEYS_H

#include "event/schema_ids.h"
#include "http/server.h"
#include "service/config.h"
#include "service/error.h"

struct access_keys;

// Returns true when the topic has been read to its end for the first time. config and ids are
// borrowed.
bool access_keys_start(const struct config *config, const struct schema_ids *ids,
                       struct access_keys **ret, struct error *err);
void access_keys_stop(struct access_keys *keys); // NULL is fine

// For struct http_server_options: keys must outlive the server.
struct http_access access_keys_access(struct access_keys *keys);

#endif
