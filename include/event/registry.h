// SPDX-License-Identifier: Apache-2.0
//
// Client of a schema registry with the Confluent REST API (Apicurio: .../apis/ccompat/v7). Getting
// a schema blocks for at most the time-out; what is asked while starting for up to three times
// that, as it is asked again when no answer comes. One thread at a time. Errors say what was asked,
// of whom, what came back and what to do; their code is the HTTP status, 0 if there was no answer.
// No answer and server errors are DISP_RETRY, refusals DISP_FATAL.
#ifndef ORDERLOG_EVENT_REGISTRY_H
#define ORDERLOG_EVENT_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"

struct registry;

// url is copied; user and password in it are used but never printed. NULL on failure. The first
// call in a process must happen before other threads start (libcurl's global set-up).
struct registry *registry_new(const char *url, long timeout_ms, struct error *err);
struct registry *registry_free(struct registry *registry);

// Another client of the same registry, for another thread.
struct registry *registry_again(const struct registry *registry, struct error *err);

// The address for messages, without credentials.
const char *registry_url(const struct registry *registry);

// Registers the schema text as it is, byte for byte; known already is success.
bool registry_register(struct registry *registry, const char *subject, const char *schema,
                       size_t schema_len, int32_t *ret_id, struct error *err);

// The id under which this schema is registered for the subject.
bool registry_lookup(struct registry *registry, const char *subject, const char *schema,
                     size_t schema_len, int32_t *ret_id, struct error *err);

// The schema with this id. The caller frees *ret_schema.
bool registry_get(struct registry *registry, int32_t id, char **ret_schema, struct error *err);

// Asks that new versions of the subject be checked, such as "FULL_TRANSITIVE". A registry that
// does not offer this is no error.
bool registry_set_compatibility(struct registry *registry, const char *subject, const char *level,
                                struct error *err);

#endif
