// SPDX-License-Identifier: Apache-2.0
//
// How the rows of a large batch come to PostgreSQL: by COPY into tables of the session. As arrays
// in a statement's parameters each value is received, put into an array, taken out and stored in a
// row again, which for wide rows costs more than what the statement does with them. The values come
// from the same arrays: a column's elements are what COPY wants of a field.
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projection_set.h"
#include "service/log.h"

enum { CHUNK_BYTES = 64 << 10 };

void projection_copy_table(const struct relation *relation, char ret[COPY_TABLE_MAX]) {
    (void)snprintf(ret, COPY_TABLE_MAX, "pg_temp.\"batch_%s\"", relation->name);
}

// ---- the tables
// ----------------------------------------------------------------------------------

// Emptied by COMMIT. Nothing in them is compressed: they are read at once and then forgotten.
static void write_table(FILE *out, const struct relation *relation) {
    char table[COPY_TABLE_MAX];
    const char *separator = "";
    projection_copy_table(relation, table);
    (void)fprintf(out, "CREATE TEMPORARY TABLE IF NOT EXISTS %s (", table);
    for (size_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];
        if (!column->is_used)
            continue;
        (void)fprintf(out, "%s\"%s\" %s", separator, column->name, sql_type_name(column->type));
        separator = ", ";
    }
    (void)fputs(") WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS;", out);
    for (size_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];
        if (column->is_used && (column->type == SQL_TYPE_TEXT || column->type == SQL_TYPE_BYTES))
            (void)fprintf(out, "ALTER TABLE %s ALTER \"%s\" SET STORAGE EXTERNAL;", table,
                          column->name);
    }
}

static char *write_tables(const struct projection_set *set) {
    char *sql = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&sql, &size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < set->relations.count; i++)
        if (set->relations.items[i].is_used)
            write_table(out, &set->relations.items[i]);
    return fclose(out) == 0 ? sql : NULL;
}

bool projection_copy_prepare(struct projection_set *set, struct db *db, struct error *err) {
    char *sql = write_tables(set);
    if (!sql)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    struct error why;
    set->may_copy = db_exec(db, sql, &why);
    free(sql);
    if (!set->may_copy && !db_is_connected(db)) {
        *err = why;
        return false;
    }
    if (!set->may_copy)
        LOG(WARN,
            "no temporary tables for large batches, which take longer without: `orderlog setup` "
            "grants TEMPORARY",
            F_STR("topic", set->topic), F_ERR(&why));
    return true;
}

// ---- the rows
// ------------------------------------------------------------------------------------

struct copy {
    PGconn *conn;
    uint8_t *bytes; // owned
    size_t size;
    size_t length;
    bool ok;
};

static void flush(struct copy *copy) {
    if (copy->ok && copy->length > 0)
        copy->ok = PQputCopyData(copy->conn, (const char *)copy->bytes, (int)copy->length) == 1;
    copy->length = 0;
}

static uint8_t *extend(struct copy *copy, size_t length) {
    if (copy->length + length > copy->size) {
        const size_t size = (copy->length + length) * 2;
        uint8_t *bytes = realloc(copy->bytes, size);
        if (!bytes) {
            copy->ok = false;
            return NULL;
        }
        copy->bytes = bytes;
        copy->size = size;
    }
    uint8_t *at = copy->bytes + copy->length;
    copy->length += length;
    return at;
}

static void put(struct copy *copy, const void *bytes, size_t length) {
    uint8_t *at = extend(copy, length);
    if (at)
        memcpy(at, bytes, length);
}

static void put_rows(struct copy *copy, const struct relation *relation) {
    const uint8_t *cursors[RELATION_COLUMNS_MAX];
    uint16_t columns = 0;
    for (size_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].is_used)
            cursors[columns++] = pg_array_elements(&relation->columns[i].values);
    const uint16_t count = htobe16(columns);
    for (uint32_t row = 0; row < relation->rows && copy->ok; row++) {
        put(copy, &count, sizeof(count));
        for (uint16_t i = 0; i < columns; i++) {
            const size_t length = pg_array_element_length(cursors[i]);
            put(copy, cursors[i], length);
            cursors[i] += length;
        }
        if (copy->length >= CHUNK_BYTES)
            flush(copy);
    }
}

static bool begin_copy(struct db *db, const struct relation *relation, struct error *err) {
    char *sql = NULL;
    size_t size = 0;
    char table[COPY_TABLE_MAX];
    FILE *out = open_memstream(&sql, &size);
    if (!out)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    projection_copy_table(relation, table);
    (void)fprintf(out, "COPY %s FROM STDIN (FORMAT binary)", table);
    if (fclose(out) != 0)
        return error_set(err, DISP_RETRY, 0, "out of memory");
    DB_RESULT result = PQexec(db_conn(db), sql);
    free(sql);
    return PQresultStatus(result) == PGRES_COPY_IN || db_failed(db, result, err);
}

static bool copy_relation(struct db *db, const struct relation *relation, struct error *err) {
    static const char head[19] = "PGCOPY\n\377\r\n"; // a NUL, no flags, no extension
    static const uint8_t tail[] = {0xff, 0xff};
    struct copy copy = {.conn = db_conn(db), .ok = true};
    if (!begin_copy(db, relation, err))
        return false;
    put(&copy, head, sizeof(head));
    put_rows(&copy, relation);
    put(&copy, tail, sizeof(tail));
    flush(&copy);
    free(copy.bytes);
    (void)PQputCopyEnd(copy.conn, copy.ok ? NULL : "out of memory");
    DB_RESULT result = PQgetResult(copy.conn);
    const bool ok = PQresultStatus(result) == PGRES_COMMAND_OK || db_failed(db, result, err);
    if (db_is_connected(db))
        PQclear(PQgetResult(copy.conn));
    return ok;
}

static bool is_named(const struct projection_set *set, const struct relation *relation,
                     uint32_t mask) {
    for (size_t i = 0; i < set->statements_count; i++) {
        const struct projection_statement *statement = &set->statements[i];
        if (!(mask & 1u << statement->projection))
            continue;
        for (size_t r = 0; r < statement->relations_count; r++)
            if (statement->relations[r] == relation)
                return true;
    }
    return false;
}

bool projection_copy_rows(const struct projection_set *set, struct db *db, uint32_t mask,
                          struct error *err) {
    for (size_t i = 0; i < set->relations.count; i++) {
        const struct relation *relation = &set->relations.items[i];
        if (relation->rows > 0 && is_named(set, relation, mask) &&
            !copy_relation(db, relation, err))
            return false;
    }
    return true;
}
