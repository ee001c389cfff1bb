// SPDX-License-Identifier: Apache-2.0
#include "store/projection_control.h"

#include <stdio.h>
#include <string.h>

#include "projection_set.h"

static const char sql_pause[] = "SELECT projection_pause($1::text, $2::bool)";

static const char sql_load[] = "SELECT projection, paused, revision FROM projection_control";

// In the order in which a projector locks: positions first, then what is behind them.
static const char sql_lock[] = "SELECT 1 FROM projection_offsets WHERE projection = $1::text "
                               "ORDER BY projection, generation, topic, partition FOR UPDATE";
static const char sql_forget[] = "DELETE FROM projection_offsets WHERE projection = $1::text";
static const char sql_tell[] =
    "INSERT INTO projection_control AS c (projection, revision) VALUES ($1::text, 1) "
    "ON CONFLICT (projection) DO UPDATE SET revision = c.revision + 1, changed_at = now()";
static const char sql_forget_skipped[] =
    "DELETE FROM projection_skipped WHERE projection = $1::text";

bool projection_control_pause(struct db *db, const char *name, bool pause, bool *ret_changed,
                              struct error *err) {
    const char flag = pause ? 1 : 0;
    struct db_params params = {.count = 0};
    db_params_text(&params, name, strlen(name));
    db_params_bytes(&params, &flag, 1);
    DB_RESULT result = db_query(db, sql_pause, &params, err);
    if (!result)
        return false;
    *ret_changed = db_bool(result, 0, 0);
    return true;
}

static const struct projection_file *find_reset(const struct projection_file *files,
                                                size_t files_count, const char *name) {
    char wanted[PROJECTION_NAME_MAX + sizeof("/reset.sql")];
    (void)snprintf(wanted, sizeof(wanted), "%s/reset.sql", name);
    for (size_t i = 0; i < files_count; i++)
        if (strcmp(files[i].name, wanted) == 0)
            return &files[i];
    return NULL;
}

static bool run(struct db *db, const char *sql, const char *name, struct error *err) {
    struct db_params params = {.count = 0};
    db_params_text(&params, name, strlen(name));
    DB_RESULT result = db_query(db, sql, &params, err);
    return result != NULL;
}

bool projection_control_reset(struct db *db, const struct projection_file *files,
                              size_t files_count, const char *name, struct error *err) {
    const struct projection_file *reset = find_reset(files, files_count, name);
    if (!reset)
        return error_set(err, DISP_FATAL, 0,
                         "projections/%s has no reset.sql, which would say what to empty", name);
    bool ok = db_exec(db, "BEGIN", err) && run(db, sql_lock, name, err) &&
              db_exec(db, reset->text, err) && run(db, sql_forget, name, err) &&
              run(db, sql_forget_skipped, name, err) && run(db, sql_tell, name, err) &&
              db_exec(db, "COMMIT", err);
    if (!ok)
        db_disconnect(db); // rolls back
    return ok;
}

bool projection_control_load(struct db *db, const struct projection_set *set,
                             struct projection_control *ret, struct error *err) {
    DB_RESULT result = db_query(db, sql_load, NULL, err);
    if (!result)
        return false;
    *ret = (struct projection_control){0};
    for (int row = 0; row < PQntuples(result); row++)
        for (size_t i = 0; i < set->count; i++) {
            if (strcmp(PQgetvalue(result, row, 0), set->names[i]) != 0)
                continue;
            ret->paused |= db_bool(result, row, 1) ? 1u << i : 0;
            ret->revisions += db_int8(result, row, 2);
        }
    return true;
}
