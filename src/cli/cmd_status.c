// SPDX-License-Identifier: Apache-2.0
//
// `orderlog status`: how far behind the processors and the read models are. Transaction markers
// take offsets too, so that a difference of offsets overstates the lag: a small one is counted
// record by record.
#include "cli/commands.h"
#include "service/config.h"
#include "service/log.h"
#include "service/service.h"
#include "store/db.h"
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

static void print_row(const char *who, const char *topic, int32_t partitions,
                      const struct lag *lag) {
    printf("%-28s %-22s %10d %s%lld\n", who, topic, partitions, lag->counted ? "" : "about ",
           (long long)(lag->counted ? lag->records : lag->offsets));
}

static bool print_processor(const struct config *config, struct topic_admin *admin,
                            enum domain domain, struct error *err) {
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
    char who[64];
    (void)snprintf(who, sizeof(who), "process %s", domains[domain].name);
    print_row(who, topics[inbox].name, partitions, &lag);
    return true;
}

static int find_topic(const char *name) {
    int topic = 0;
    while (topic < TOPIC_COUNT && strcmp(topics[topic].name, name) != 0)
        topic++;
    return topic;
}

struct projection_rows {
    const PGresult *result; // projection, topic, partition, next_offset, in this order
    int count;
};

// Rows [first, ret) belong to one read model. Prints it.
static bool print_projection(const struct config *config, struct topic_admin *admin,
                             const struct projection_rows *rows, int first, int *ret_next,
                             struct error *err) {
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
    char who[96];
    (void)snprintf(who, sizeof(who), "project %.80s", name);
    print_row(who, topics[topic].name, partitions, &lag);
    return true;
}

static bool print_projections(const struct config *config, struct topic_admin *admin,
                              struct error *err) {
    static const char sql[] =
        "SELECT projection, topic, partition, next_offset FROM projection_offsets "
        "WHERE partition < 1024 ORDER BY projection, generation, partition";
    struct db *db = db_new(config->postgres_dsn, "orderlog status", NULL);
    if (!db)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    DB_RESULT result = db_connect(db, err) ? db_query(db, sql, NULL, err) : NULL;
    bool ok = result != NULL;
    const struct projection_rows rows = {.result = result, .count = ok ? PQntuples(result) : 0};
    for (int i = 0; ok && i < rows.count;)
        ok = print_projection(config, admin, &rows, i, &i, err);
    db_free(db);
    return ok;
}

static bool print_status(const struct config *config, struct error *err) {
    struct topic_admin *admin = topic_admin_open(config, err);
    if (!admin)
        return false;
    printf("%-28s %-22s %10s %s\n", "WHO", "READS", "PARTITIONS", "RECORDS BEHIND");
    bool ok = true;
    for (int domain = 0; domain < DOMAIN_COUNT && ok; domain++)
        ok = print_processor(config, admin, (enum domain)domain, err);
    ok = ok && print_projections(config, admin, err);
    topic_admin_close(admin);
    return ok;
}

int cmd_status(int argc, char **argv) {
    const struct config_command command = {
        .usage = "status",
        .about = "Prints how many records each processor and each read model is behind.",
        .role = ROLE_TOOL,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "status", -1);
    struct error err = {0};
    if (!print_status(&config, &err)) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "orderlog status: %s\n", err.msg);
        exit_code = err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
    }
    config_free(&config);
    return exit_code;
}
