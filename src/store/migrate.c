// SPDX-License-Identifier: Apache-2.0
//
// Which files were applied is a table; that they are still the same is checked by their MD5, which
// PostgreSQL computes itself.
#include "store/migrate.h"

#include <fnmatch.h>
#include <string.h>

#include "service/log.h"

// Held until the end of the transaction: others wait here, then find nothing to do.
static const char sql_begin[] = "BEGIN;"
                                "SELECT pg_advisory_xact_lock(7161205830114902);"
                                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                "    file text PRIMARY KEY,"
                                "    md5 text NOT NULL,"
                                "    applied_at timestamptz NOT NULL DEFAULT now())";

static const char sql_record[] =
    "INSERT INTO schema_migrations (file, md5) VALUES ($1::text, md5($2::text)) "
    "ON CONFLICT DO NOTHING RETURNING true";

static const char sql_same[] =
    "SELECT md5 = md5($2::text) FROM schema_migrations WHERE file = $1::text";

static bool is_migration(const char *name) {
    return !strchr(name, '/') || fnmatch("*/table*.sql", name, FNM_PATHNAME) == 0;
}

static bool apply_file(struct db *db, const struct projection_file *file, int *applied,
                       struct error *err) {
    struct db_params params = {.count = 0};
    db_params_text(&params, file->name, strlen(file->name));
    db_params_text(&params, file->text, file->length);
    DB_RESULT recorded = db_query(db, sql_record, &params, err);
    if (!recorded)
        return false;
    if (PQntuples(recorded) == 1) {
        if (!db_exec(db, file->text, err))
            return error_wrap(err, "projections/%s", file->name);
        LOG(INFO, "tables created or changed", F_STR("file", file->name));
        (*applied)++;
        return true;
    }
    DB_RESULT same = db_query(db, sql_same, &params, err);
    if (!same)
        return false;
    if (PQntuples(same) == 1 && db_bool(same, 0, 0))
        return true;
    return error_set(err, DISP_FATAL, 0,
                     "projections/%s has changed since it was applied: put the change into a "
                     "further file (table_2.sql) instead",
                     file->name);
}

static bool apply_files(struct db *db, const struct projection_file *files, size_t files_count,
                        int *applied, struct error *err) {
    if (!db_exec(db, sql_begin, err))
        return false;
    for (size_t i = 0; i < files_count; i++)
        if (is_migration(files[i].name) && !apply_file(db, &files[i], applied, err))
            return false;
    return db_exec(db, "COMMIT", err);
}

bool store_migrate_files(struct db *db, const struct projection_file *files, size_t files_count,
                         int *ret_applied, struct error *err) {
    int applied = 0;
    if (!apply_files(db, files, files_count, &applied, err)) {
        db_disconnect(db); // rolls back
        return error_wrap(err, "migrating the database");
    }
    if (ret_applied)
        *ret_applied = applied;
    return true;
}

bool store_migrate(struct db *db, int *ret_applied, struct error *err) {
    return store_migrate_files(db, projection_files, projection_files_count, ret_applied, err);
}
