// SPDX-License-Identifier: Apache-2.0
//
// What a tool needs to read or write messages: the registry and the ids of the records on the
// topics it works with.
#ifndef ORDERLOG_CLI_TOOL_SCHEMAS_H
#define ORDERLOG_CLI_TOOL_SCHEMAS_H

#include "event/registry.h"
#include "event/schema_ids.h"
#include "service/config.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stddef.h>

struct tool_schemas {
    struct registry *registry; // owned
    struct schema_ids *ids;    // owned; its topic indices are enum topic_id
};

bool tool_schemas_open(const struct config *config, const enum topic_id *topic_ids,
                       size_t topic_ids_count, struct tool_schemas *ret, struct error *err);
void tool_schemas_close(struct tool_schemas *schemas);

#endif
