// SPDX-License-Identifier: Apache-2.0
//
// An open-addressed table of ids. Readers take no lock: a slot is one 64-bit word that goes from
// empty to its final value, so a reader sees all of an entry or nothing.
#include "event/schema_ids.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "foreign.h"
#include "schema_lookup.h"

enum { SLOTS_BITS = 12, SLOTS = 1 << SLOTS_BITS, IDS_MAX = SLOTS / 2, RESOLUTIONS_MAX = 128 };

_Static_assert(RECORD_COUNT < UINT16_MAX, "a slot has 16 bits for the record");

// A resolution is in its place before the slot that names it is.
struct known {
    _Atomic uint64_t slots[SLOTS]; // id << 32 | resolution + 1 << 16 | record + 1; 0 = empty
    size_t count;                  // written by schema_ids_load, then under the lock of foreign
    struct resolution *resolutions[RESOLUTIONS_MAX]; // owned
    size_t resolutions_count;                        // likewise
};

struct schema_ids {
    struct known *known;
    struct foreign *foreign;
    struct registry *registry;
    int32_t of[SCHEMA_TOPICS_MAX][RECORD_COUNT]; // -1 = not on this topic
};

static size_t slot_of(int32_t id) {
    return (uint32_t)id * UINT32_C(2654435769) >> (32 - SLOTS_BITS);
}

static bool known_find(const struct known *known, int32_t id, enum record_id *ret_record,
                       const struct resolution **ret_resolution) {
    for (size_t slot = slot_of(id);; slot = (slot + 1) % SLOTS) {
        uint64_t entry = atomic_load_explicit(&known->slots[slot], memory_order_acquire);
        if (entry == 0)
            return false;
        if ((uint32_t)(entry >> 32) == (uint32_t)id) {
            uint32_t resolution = (uint32_t)entry >> 16;
            *ret_record = (enum record_id)(((uint32_t)entry & UINT16_MAX) - 1);
            *ret_resolution = resolution ? known->resolutions[resolution - 1] : NULL;
            return true;
        }
    }
}

static bool known_add(void *context, int32_t id, enum record_id record,
                      struct resolution *resolution) {
    struct known *known = context;
    enum record_id have;
    const struct resolution *have_resolution;
    bool is_known = known_find(known, id, &have, &have_resolution);
    if (is_known || known->count == IDS_MAX ||
        (resolution && known->resolutions_count == RESOLUTIONS_MAX)) {
        (void)resolution_free(resolution);
        return is_known && have == record;
    }
    uint64_t number = 0;
    if (resolution) {
        known->resolutions[known->resolutions_count++] = resolution;
        number = known->resolutions_count;
    }
    size_t slot = slot_of(id);
    while (atomic_load_explicit(&known->slots[slot], memory_order_relaxed) != 0)
        slot = (slot + 1) % SLOTS;
    uint64_t entry = (uint64_t)(uint32_t)id << 32 | number << 16 | ((uint32_t)record + 1);
    atomic_store_explicit(&known->slots[slot], entry, memory_order_release);
    known->count++;
    return true;
}

struct schema_ids *schema_ids_new(struct registry *registry, const struct clock *clock) {
    struct schema_ids *ids = calloc(1, sizeof(*ids));
    if (!ids)
        return NULL;
    ids->registry = registry;
    ids->known = calloc(1, sizeof(*ids->known));
    ids->foreign = foreign_new(registry, clock);
    if (!ids->known || !ids->foreign)
        return schema_ids_free(ids);
    for (size_t i = 0; i < SCHEMA_TOPICS_MAX; i++)
        for (size_t j = 0; j < RECORD_COUNT; j++)
            ids->of[i][j] = -1;
    return ids;
}

struct schema_ids *schema_ids_free(struct schema_ids *ids) {
    if (!ids)
        return NULL;
    foreign_free(ids->foreign);
    for (size_t i = 0; ids->known && i < ids->known->resolutions_count; i++)
        (void)resolution_free(ids->known->resolutions[i]);
    free(ids->known);
    free(ids);
    return NULL;
}

static bool topic_carries(const struct schema_topic *topic, enum record_id record) {
    for (size_t i = 0; i < sizeof(topic->dirs) / sizeof(topic->dirs[0]); i++)
        if (topic->dirs[i] && strcmp(topic->dirs[i], record_dirs[record]) == 0)
            return true;
    return false;
}

static bool subject_of(const struct schema_topic *topic, enum record_id record, char *subject,
                       size_t size, struct error *err) {
    int len = snprintf(subject, size, "%s-%s", topic->name, record_types[record]->full_name);
    if (len < 0 || (size_t)len >= size)
        return error_set(err, DISP_FATAL, 0, "the name of topic %.100s is too long", topic->name);
    return true;
}

bool schema_ids_register(struct registry *registry, const struct schema_topic *topics,
                         size_t topics_count, struct error *err) {
    char subject[SCHEMA_SUBJECT_SIZE];
    for (size_t i = 0; i < topics_count; i++) {
        for (int j = 0; topics[i].name && j < RECORD_COUNT; j++) {
            const struct record_type *type = record_types[j];
            int32_t id;
            if (!topic_carries(&topics[i], (enum record_id)j))
                continue;
            // First the rule, so that it already holds for this registration.
            if (!subject_of(&topics[i], (enum record_id)j, subject, sizeof(subject), err) ||
                !registry_set_compatibility(registry, subject, "FULL_TRANSITIVE", err) ||
                !registry_register(registry, subject, type->schema, type->schema_len, &id, err))
                return false;
        }
    }
    return true;
}

bool schema_ids_add(struct schema_ids *ids, size_t topic, enum record_id record, int32_t id,
                    struct error *err) {
    if (topic >= SCHEMA_TOPICS_MAX)
        return error_set(err, DISP_FATAL, 0, "more than %d topics", SCHEMA_TOPICS_MAX);
    if (!known_add(ids->known, id, record, NULL))
        return error_set(err, DISP_FATAL, 0,
                         "schema id %d of %s already means another record: is the registry sound?",
                         id, record_types[record]->name);
    ids->of[topic][record] = id;
    return true;
}

static bool lookups_of(const struct schema_topic *topics, size_t topics_count,
                       struct schema_lookup *ret, size_t *ret_count, struct error *err) {
    *ret_count = 0;
    for (size_t i = 0; i < topics_count; i++) {
        for (int j = 0; topics[i].name && j < RECORD_COUNT; j++) {
            enum record_id record = (enum record_id)j;
            if (!topic_carries(&topics[i], record))
                continue;
            struct schema_lookup *lookup = &ret[(*ret_count)++];
            *lookup = (struct schema_lookup){.topic = i, .record = record};
            if (!subject_of(&topics[i], record, lookup->subject, sizeof(lookup->subject), err))
                return false;
        }
    }
    return true;
}

bool schema_ids_load(struct schema_ids *ids, const struct schema_topic *topics, size_t topics_count,
                     struct error *err) {
    size_t count = 0;
    struct schema_lookup *lookups = calloc(topics_count * RECORD_COUNT + 1, sizeof(*lookups));
    if (!lookups)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    bool good = lookups_of(topics, topics_count, lookups, &count, err) &&
                schema_lookup_all(ids->registry, lookups, count, err);
    for (size_t i = 0; good && i < count; i++)
        good = schema_ids_add(ids, lookups[i].topic, lookups[i].record, lookups[i].id, err);
    free(lookups);
    return good;
}

int32_t schema_ids_of(const struct schema_ids *ids, size_t topic, enum record_id record) {
    return topic < SCHEMA_TOPICS_MAX ? ids->of[topic][record] : -1;
}

bool schema_ids_resolve(const struct schema_ids *ids, int32_t id, enum record_id *ret_record,
                        const struct resolution **ret_resolution, struct error *err) {
    return known_find(ids->known, id, ret_record, ret_resolution) ||
           (foreign_resolve(ids->foreign, id, known_add, ids->known, err) &&
            known_find(ids->known, id, ret_record, ret_resolution));
}

char *schema_ids_foreign_text(const struct schema_ids *ids, int32_t id) {
    return foreign_text(ids->foreign, id);
}
