// SPDX-License-Identifier: Apache-2.0
//
// What is stored about how far each read model is.
#include <assert.h>
#include <string.h>

#include "projection_set.h"
#include "store/pg_array.h"

// A read model that has never seen the partition begins at 0, in the generation that it is in.
static const char sql_create[] =
    "INSERT INTO projection_offsets (projection, generation, topic, partition, next_offset, "
    "topic_id) "
    "SELECT name, COALESCE((SELECT max(o.generation) FROM projection_offsets o "
    "WHERE o.projection = name AND o.topic = $1::text), $3::int4), $1::text, partition, 0, "
    "$2::text "
    "FROM unnest($4::text[]) AS n (name), unnest($5::int4[]) AS p (partition) "
    "WHERE NOT EXISTS (SELECT 1 FROM projection_offsets o WHERE o.projection = name "
    "AND o.topic = $1::text AND o.partition = p.partition) "
    "ORDER BY name, partition "
    "ON CONFLICT DO NOTHING";

static const char sql_read[] =
    "SELECT o.partition, o.next_offset, o.topic_id = $2::text, o.generation "
    "FROM unnest($5::int4[]) WITH ORDINALITY AS p (partition, nth) "
    "CROSS JOIN unnest($4::text[]) WITH ORDINALITY AS n (name, nth) "
    "JOIN projection_offsets o ON o.projection = n.name AND $3::int4 IS NOT NULL "
    "AND o.topic = $1::text AND o.partition = p.partition "
    "ORDER BY p.nth, n.nth";

static bool read_positions(struct projection_set *set, const PGresult *result, size_t expected,
                           struct projection_position *ret, struct error *err) {
    if ((size_t)PQntuples(result) != expected)
        return error_set(err, DISP_RETRY, 0, "positions of %s changed while they were read",
                         set->topic);
    for (size_t i = 0; i < expected; i++) {
        int row = (int)i;
        uint32_t projection = (uint32_t)(i % set->count);
        if (!db_bool(result, row, 2))
            return error_set(
                err, DISP_FATAL, PROJECTION_ERROR_RECREATED,
                "read model %s was made from another topic named %s, which was deleted since: "
                "empty its tables, delete its rows in projection_offsets, and start again",
                set->names[projection], set->topic);
        set->generations[projection] = db_int4(result, row, 3);
        ret[i] = (struct projection_position){.projection = projection,
                                              .partition = db_int4(result, row, 0),
                                              .next_offset = db_int8(result, row, 1)};
    }
    return true;
}

bool projection_positions_load(struct db *db, struct projection_set *set, const char *topic_id,
                               const int32_t *partitions, size_t partitions_count,
                               struct projection_position *ret, struct error *err) {
    struct pg_array names = {0};
    struct pg_array numbers = {0};
    for (size_t i = 0; i < set->count; i++)
        pg_array_add(&names, set->names[i], strlen(set->names[i]));
    for (size_t i = 0; i < partitions_count; i++)
        pg_array_add_int4(&numbers, partitions[i]);
    bool ok = pg_array_finish(&names, PG_TEXT) && pg_array_finish(&numbers, PG_INT4);
    if (!ok)
        error_set(err, DISP_RETRY, 0, "out of memory");

    struct db_params params = {.count = 0};
    db_params_text(&params, set->topic, strlen(set->topic));
    db_params_text(&params, topic_id, strlen(topic_id));
    db_params_int4(&params, PROJECTION_GENERATION_FIRST);
    db_params_bytes(&params, names.bytes, names.length);
    db_params_bytes(&params, numbers.bytes, numbers.length);
    DB_RESULT created = ok ? db_query(db, sql_create, &params, err) : NULL;
    DB_RESULT read = created ? db_query(db, sql_read, &params, err) : NULL;
    ok = read && read_positions(set, read, partitions_count * set->count, ret, err);
    pg_array_done(&names);
    pg_array_done(&numbers);
    return ok;
}
