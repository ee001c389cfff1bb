// SPDX-License-Identifier: Apache-2.0
#include "cli/tool_schemas.h"

enum { REGISTRY_TIMEOUT_MS = 10000 };

bool tool_schemas_open(const struct config *config, const enum topic_id *topic_ids,
                       size_t topic_ids_count, struct tool_schemas *ret, struct error *err) {
    struct schema_topic all[TOPIC_COUNT];
    struct schema_topic wanted[TOPIC_COUNT] = {{0}};
    topics_for_schemas(all);
    for (size_t i = 0; i < topic_ids_count; i++)
        wanted[topic_ids[i]] = all[topic_ids[i]];

    struct tool_schemas schemas = {0};
    schemas.registry = registry_new(config->registry_url, REGISTRY_TIMEOUT_MS, err);
    if (!schemas.registry)
        return false;
    schemas.ids = schema_ids_new(schemas.registry, &clock_system);
    if (!schemas.ids) {
        tool_schemas_close(&schemas);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    if (!schema_ids_load(schemas.ids, wanted, TOPIC_COUNT, err)) {
        tool_schemas_close(&schemas);
        return false;
    }
    *ret = schemas;
    return true;
}

void tool_schemas_close(struct tool_schemas *schemas) {
    schemas->ids = schema_ids_free(schemas->ids);
    schemas->registry = registry_free(schemas->registry);
}
