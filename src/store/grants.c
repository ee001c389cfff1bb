// SPDX-License-Identifier: Apache-2.0
#include "store/grants.h"

#include <stdio.h>
#include <string.h>

// Only these connect to PostgreSQL at all.
const struct grant grants[] = {
    // Temporary tables hold a large batch: src/store/projection_copy.c.
    {"project", "CONNECT, TEMPORARY", "SELECT, INSERT, UPDATE, DELETE"},
    {"query", "CONNECT", "SELECT"},
    {"reader", "CONNECT", "SELECT"},
};
const size_t grants_count = sizeof(grants) / sizeof(grants[0]);

static const char sql_exists[] = "SELECT count(*)::int8 FROM pg_roles WHERE rolname = $1::text";

// What those who are named need stays with them; functions of others' making go.
static const char sql_public[] =
    "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()); "
    "REVOKE ALL ON SCHEMA public FROM PUBLIC; END $$";

enum { SQL_MAX = 2048, USER_MAX = 64 };

static bool check_exists(struct db *db, const char *user, struct error *err) {
    struct db_params params = {.count = 0};
    db_params_text(&params, user, strlen(user));
    DB_RESULT found = db_query(db, sql_exists, &params, err);
    if (!found)
        return false;
    return db_int8(found, 0, 0) == 1 ||
           error_set(err, DISP_FATAL, 0,
                     "there is no database role \"%s\": CREATE ROLE \"%s\" LOGIN PASSWORD '…', or "
                     "leave setup.users.prefix away",
                     user, user);
}

static bool grant_one(struct db *db, const struct grant *grant, const char *prefix,
                      struct error *err) {
    char user[USER_MAX], sql[SQL_MAX];
    (void)snprintf(user, sizeof(user), "%s%s", prefix, grant->user);
    if (!check_exists(db, user, err))
        return false;
    (void)snprintf(sql, sizeof(sql),
                   "DO $$ BEGIN EXECUTE format('GRANT %s ON DATABASE %%I TO \"%s\"', "
                   "current_database()); END $$;"
                   "GRANT USAGE ON SCHEMA public TO \"%s\";"
                   "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM \"%s\";"
                   "GRANT %s ON ALL TABLES IN SCHEMA public TO \"%s\";"
                   "REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM \"%s\";"
                   "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT %s ON TABLES TO \"%s\"",
                   grant->database, user, user, user, grant->privileges, user, user,
                   grant->privileges, user);
    return db_exec(db, sql, err);
}

bool store_grant(struct db *db, const char *prefix, struct error *err) {
    // It goes between quotes.
    if (strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
            strlen(prefix) ||
        strlen(prefix) > USER_MAX - 16)
        return error_set(err, DISP_FATAL, 0,
                         "setup.users.prefix has at most %d letters, digits and '_', '-', '.'",
                         USER_MAX - 16);
    bool ok = db_exec(db, "BEGIN", err) && db_exec(db, sql_public, err);
    for (size_t i = 0; i < grants_count && ok; i++)
        ok = grant_one(db, &grants[i], prefix, err);
    ok = ok && db_exec(db, "COMMIT", err);
    if (!ok)
        db_disconnect(db); // rolls back
    return ok;
}
