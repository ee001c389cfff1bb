// SPDX-License-Identifier: Apache-2.0
//
// How far processors and read models are behind. Transaction markers take offsets too, so that a
// difference of offsets overstates the lag: a small one is counted record by record.
#include "status_parts.h"

#include "stream/log_reader.h"
#include "stream/topic_admin.h"

#include <stdio.h>
#include <string.h>

enum { PARTITIONS_MAX = 1024, COUNT_MAX = 20000 };

struct lag {
    int64_t offsets; // difference of offsets, summed up over the partitions
    int64_t records; // committed records, where offsets is small enough to count
    bool counted;
};

static bool count_records(const struct config *config, enum topic_id topic, const int64_t *from,
                          int64_t *ret, struct error *err) {
    struct log_reader *reader = log_reader_open(config, topic, LOG_READER_ALL, err);
    if (!reader)
        return false;
    log_reader_bound(reader, from, NULL);
    int64_t count = 0;
    enum log_reader_result result = LOG_READER_RECORD;
    while (result == LOG_READER_RECORD) {
        struct log_record record;
        result = log_reader_next(reader, 0, &record, err);
        count += result == LOG_READER_RECORD;
    }
    log_reader_close(reader);
    *ret = count;
    return result == LOG_READER_END;
}

static bool measure(const struct config *config, enum topic_id topic, int32_t partitions,
                    const int64_t *from, const int64_t *ends, struct lag *ret, struct error *err) {
    struct lag lag = {0};
    for (int32_t p = 0; p < partitions; p++)
        lag.offsets += ends[p] > from[p] ? ends[p] - from[p] : 0;
    lag.counted = lag.offsets <= COUNT_MAX;
    if (lag.offsets > 0 && lag.counted && !count_records(config, topic, from, &lag.records, err))
        return false;
    *ret = lag;
    return true;
}

static struct status_reader *reader_add(struct status *status, const char *name,
                                        enum topic_id topic, int32_t partitions,
                                        const struct lag *lag) {
    if (status->readers_count == STATUS_READERS_MAX)
        return NULL;
    struct status_reader *reader = &status->readers[status->readers_count++];
    *reader = (struct status_reader){.topic = topics[topic].name,
                                     .partitions = partitions,
                                     .behind = lag->counted ? lag->records : lag->offsets,
                                     .counted = lag->counted};
    (void)snprintf(reader->name, sizeof(reader->name), "%.*s", PROJECTION_NAME_MAX - 1, name);
    return reader;
}

static bool add_processor(const struct config *config, struct topic_admin *admin,
                          enum domain domain, struct status *status, struct error *err) {
    const enum topic_id inbox = domains[domain].inbox;
    const int32_t partitions = topic_admin_existing(admin, inbox);
    if (partitions == 0)
        return error_set(err, DISP_FATAL, 0, "topic %s does not exist: run `orderlog setup`",
                         topics[inbox].name);
    struct topic_position positions[PARTITIONS_MAX];
    if (!topic_admin_positions(admin, domain, partitions, positions, err))
        return false;
    int64_t from[PARTITIONS_MAX];
    int64_t ends[PARTITIONS_MAX];
    for (int32_t p = 0; p < partitions; p++) {
        from[p] = positions[p].committed >= 0 ? positions[p].committed : positions[p].low;
        ends[p] = positions[p].end;
    }
    struct lag lag;
    if (!measure(config, inbox, partitions, from, ends, &lag, err))
        return false;
    (void)reader_add(status, domains[domain].name, inbox, partitions, &lag);
    return true;
}

static int find_topic(const char *name) {
    int topic = 0;
    while (topic < TOPIC_COUNT && strcmp(topics[topic].name, name) != 0)
        topic++;
    return topic;
}

struct projection_rows {
    const PGresult *result; // projection, topic, partition, next_offset, paused, in this order
    int count;
};

// Rows [first, ret) belong to one read model.
static bool add_projection(const struct config *config, struct topic_admin *admin,
                           const struct projection_rows *rows, int first, int *ret_next,
                           struct status *status, struct error *err) {
    const char *name = PQgetvalue(rows->result, first, 0);
    const int topic = find_topic(PQgetvalue(rows->result, first, 1));
    int64_t from[PARTITIONS_MAX] = {0};
    int64_t ends[PARTITIONS_MAX] = {0};
    int next = first;
    for (; next < rows->count && strcmp(PQgetvalue(rows->result, next, 0), name) == 0; next++)
        from[db_int4(rows->result, next, 2)] = db_int8(rows->result, next, 3);
    *ret_next = next;
    if (topic == TOPIC_COUNT)
        return true;

    const enum topic_id id = (enum topic_id)topic;
    const int32_t partitions = topic_admin_existing(admin, id);
    struct lag lag;
    if (!topic_admin_ends(admin, id, partitions, ends, err) ||
        !measure(config, id, partitions, from, ends, &lag, err))
        return false;
    struct status_reader *reader = reader_add(status, name, id, partitions, &lag);
    if (reader) {
        reader->is_projection = true;
        reader->paused = db_bool(rows->result, first, 4);
    }
    return true;
}

static bool add_projections(const struct config *config, struct topic_admin *admin, struct db *db,
                            struct status *status, struct error *err) {
    static const char sql[] =
        "SELECT projection, topic, partition, next_offset, coalesce(paused, false) "
        "FROM projection_offsets LEFT JOIN projection_control USING (projection) "
        "WHERE partition < 1024 ORDER BY projection, generation, partition";
    DB_RESULT result = db_query(db, sql, NULL, err);
    bool ok = result != NULL;
    const struct projection_rows rows = {.result = result, .count = ok ? PQntuples(result) : 0};
    for (int i = 0; ok && i < rows.count;)
        ok = add_projection(config, admin, &rows, i, &i, status, err);
    return ok;
}

bool status_gather_readers(const struct config *config, struct db *db, struct status *status,
                           struct error *err) {
    struct topic_admin *admin = topic_admin_open(config, err);
    if (!admin)
        return false;
    bool ok = true;
    for (int domain = 0; domain < DOMAIN_COUNT && ok; domain++)
        ok = add_processor(config, admin, (enum domain)domain, status, err);
    ok = ok && add_projections(config, admin, db, status, err);
    topic_admin_close(admin);
    return ok;
}
