// SPDX-License-Identifier: Apache-2.0
//
// Which registry id means which record, and which id a record is written with on a topic.
// Filled once at the start of a role; afterwards any thread may look ids up without a lock.
#ifndef ORDERLOG_EVENT_SCHEMA_IDS_H
#define ORDERLOG_EVENT_SCHEMA_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/registry.h"
#include "event/resolution.h"
#include "event/types.h"
#include "service/clock.h"
#include "service/error.h"

struct schema_ids;

// A topic and the schema directories whose records it carries. An entry without a name is skipped,
// so that the index can be an enum.
struct schema_topic {
    const char *name;
    const char *dirs[2]; // the second may be NULL
};

// registry and clock are borrowed. Without a registry (NULL) unknown ids stay unknown.
// NULL when memory is out.
struct schema_ids *schema_ids_new(struct registry *registry, const struct clock *clock);
struct schema_ids *schema_ids_free(struct schema_ids *ids);

// Registers every record of every topic as it stands in schemas/, under the subject
// "<topic>-<full name>", and asks the registry to keep that subject's versions compatible.
// Idempotent. Needs no schema_ids.
bool schema_ids_register(struct registry *registry, const struct schema_topic *topics,
                         size_t topics_count, struct error *err);

// Looks up the ids of every record of every topic. Once, before other threads use ids.
bool schema_ids_load(struct schema_ids *ids, const struct schema_topic *topics, size_t topics_count,
                     struct error *err);

// Makes one id known without a registry: for tools and tests. topic is below SCHEMA_TOPICS_MAX.
enum { SCHEMA_TOPICS_MAX = 32 };
bool schema_ids_add(struct schema_ids *ids, size_t topic, enum record_id record, int32_t id,
                    struct error *err);

// The id to write this record with on topics[topic] of schema_ids_load; -1 if the topic does not
// carry the record.
int32_t schema_ids_of(const struct schema_ids *ids, size_t topic, enum record_id record);

// The record written with this id, and how to read it: *ret_resolution is NULL when it stands in
// our own form, else it must be turned over first (resolution_apply; valid as long as ids). An id
// that nobody loaded is asked of the registry: a few times a second at most, each id once, or again
// after 10 seconds if there was no answer; for that time a registry that is down is not asked at
// all. Fails with DISP_POISON, naming the id and, if the registry knows it, the schema.
bool schema_ids_resolve(const struct schema_ids *ids, int32_t id, enum record_id *ret_record,
                        const struct resolution **ret_resolution, struct error *err);

// What the registry holds for an id that was asked for and cannot be read: a copy to be freed by
// the caller, or NULL.
char *schema_ids_foreign_text(const struct schema_ids *ids, int32_t id);

#endif
