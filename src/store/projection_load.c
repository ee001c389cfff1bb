// SPDX-License-Identifier: Apache-2.0
//
// From files to statements. A statement is looked through for names of relations; those it names
// are put before it as common table expressions over array parameters, with the columns it may use:
//
//   WITH "order_placed" AS (SELECT * FROM unnest($1::uuid[], $2::text[]) AS t ("order_id", …))
//   INSERT …
//
// A column counts as used when its name occurs anywhere in the statement; all but `body` do when
// there is a `*` that is not an aggregate's, such as count(*).
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projection_set.h"
#include "sql_scan.h"

static bool file_is(const struct projection_file *file, const char *base) {
    const char *slash = strchr(file->name, '/');
    return slash && strcmp(slash + 1, base) == 0 &&
           (size_t)(slash - file->name) < PROJECTION_NAME_MAX;
}

// What the leading comments say: `-- NAME: text`. NULL: nothing.
static const char *heading_of(const struct projection_file *file, const char *name,
                              size_t *ret_length) {
    const char *line = file->text;
    const size_t name_length = strlen(name);
    while (line && strncmp(line, "-- ", 3) == 0) {
        const char *at = line + 3;
        if (strncmp(at, name, name_length) == 0 && at[name_length] == ':') {
            at += name_length + 1;
            at += strspn(at, " \t");
            *ret_length = strcspn(at, "\r\n");
            return at;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return NULL;
}

static bool topic_of(const struct projection_file *file, const char **ret, size_t *ret_length) {
    *ret = heading_of(file, "topic", ret_length);
    return *ret && *ret_length > 0;
}

const char *projection_topic_of(const struct projection_file *files, size_t files_count,
                                const char *name, size_t name_length, size_t *ret_length) {
    for (size_t i = 0; i < files_count; i++) {
        const char *topic;
        if (file_is(&files[i], "apply.sql") && strncmp(files[i].name, name, name_length) == 0 &&
            files[i].name[name_length] == '/' && topic_of(&files[i], &topic, ret_length))
            return topic;
    }
    return NULL;
}

static bool is_wanted(const char *const *names, const char *name) {
    if (!names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

// --- one statement --------------------------------------------------------------------------

static bool statement_uses_relation(const char *text, size_t length, const char *name) {
    struct sql_scan scan = {text, text + length};
    struct sql_token token;
    while (sql_scan_next(&scan, &token))
        if (token.kind == SQL_WORD && sql_token_is(&token, name))
            return true;
    return false;
}

// A `*` after a word, a comma or a point is SELECT *, RETURNING *, e.*, or a product, where a
// column too many costs little; count(*) is none of these.
static bool is_star(const struct sql_token *token, char before) {
    return token->kind == SQL_SYMBOL && *token->text == '*' &&
           (before == 'w' || before == ',' || before == '.');
}

static bool statement_uses_column(const char *text, size_t length,
                                  const struct relation_column *column) {
    struct sql_scan scan = {text, text + length};
    struct sql_token token;
    char before = '\0';
    while (sql_scan_next(&scan, &token)) {
        if (token.kind == SQL_WORD && sql_token_is(&token, column->name))
            return true;
        // Making a record's JSON is dear: only for who asks for it by name.
        if (is_star(&token, before) && column->source != COLUMN_BODY)
            return true;
        before = token.kind == SQL_WORD ? 'w' : *token.text;
    }
    return false;
}

// Columns of `latest` that are made as they are named: RECORD__FIELD.
static bool name_columns(struct projection_set *set, const char *text, size_t length,
                         struct error *err) {
    struct sql_scan scan = {text, text + length};
    struct sql_token token;
    if (!set->relations.latest || !statement_uses_relation(text, length, "latest"))
        return true;
    while (sql_scan_next(&scan, &token)) {
        if (token.kind != SQL_WORD || !memmem(token.text, token.length, "__", 2) ||
            latest_add_column(&set->relations, token.text, token.length))
            continue;
        return error_set(err, DISP_FATAL, 0, "\"%.*s\" is no RECORD__FIELD of %s",
                         (int)token.length, token.text, set->topic);
    }
    return true;
}

static bool choose_columns(struct projection_set *set, struct projection_statement *statement,
                           const char *text, size_t length) {
    statement->relations = calloc(set->relations.count, sizeof(*statement->relations));
    statement->params = calloc(STATEMENT_PARAMS_MAX, sizeof(*statement->params));
    if (!statement->relations || !statement->params)
        return false;
    for (size_t i = 0; i < set->relations.count; i++) {
        struct relation *relation = &set->relations.items[i];
        if (!statement_uses_relation(text, length, relation->name))
            continue;
        relation->is_used = true;
        statement->relations[statement->relations_count++] = relation;
        size_t params_before = statement->params_count;
        for (size_t c = 0; c < relation->columns_count; c++) {
            if (!statement_uses_column(text, length, &relation->columns[c]))
                continue;
            assert(statement->params_count < STATEMENT_PARAMS_MAX);
            relation->columns[c].is_used = true;
            statement->params[statement->params_count++] = &relation->columns[c];
        }
        if (statement->params_count == params_before) { // SELECT count(*) FROM event
            relation->columns[0].is_used = true;
            statement->params[statement->params_count++] = &relation->columns[0];
        }
    }
    return true;
}

static bool is_of(const struct relation_column *column, const struct relation *relation) {
    return column >= relation->columns && column < relation->columns + relation->columns_count;
}

static void write_columns(FILE *out, const struct projection_statement *statement,
                          const struct relation *relation) {
    const char *separator = "";
    for (size_t i = 0; i < statement->params_count; i++) {
        if (!is_of(statement->params[i], relation))
            continue;
        fprintf(out, "%s\"%s\"", separator, statement->params[i]->name);
        separator = ", ";
    }
}

static void write_unnested(FILE *out, const struct projection_statement *statement,
                           const struct relation *relation) {
    const char *separator = "";
    fprintf(out, "\"%s\" AS (SELECT * FROM unnest(", relation->name);
    for (size_t i = 0; i < statement->params_count; i++) {
        const struct relation_column *column = statement->params[i];
        if (!is_of(column, relation))
            continue;
        fprintf(out, "%s$%zu::%s[]", separator, i + 1, sql_type_name(column->type));
        separator = ", ";
    }
    fputs(") AS t (", out);
    write_columns(out, statement, relation);
    fputs("))", out);
}

static void write_copied(FILE *out, const struct projection_statement *statement,
                         const struct relation *relation) {
    char table[COPY_TABLE_MAX];
    projection_copy_table(relation, table);
    fprintf(out, "\"%s\" AS NOT MATERIALIZED (SELECT ", relation->name);
    write_columns(out, statement, relation);
    fprintf(out, " FROM %s)", table);
}

typedef void write_relation(FILE *out, const struct projection_statement *statement,
                            const struct relation *relation);

static char *write_statement(const struct projection_statement *statement, const char *text,
                             size_t length, write_relation *write) {
    char *sql = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&sql, &size);
    if (!out)
        return NULL;
    struct sql_scan scan = {text, text + length};
    struct sql_token token;
    const char *rest = text;
    const char *keyword = "WITH ";
    const char *closing = "\n";
    struct sql_scan after = scan;
    if (sql_scan_next(&after, &token) && sql_token_is(&token, "WITH")) {
        rest = after.at;
        closing = ",";
        if (sql_scan_next(&after, &token) && sql_token_is(&token, "RECURSIVE")) {
            rest = after.at;
            keyword = "WITH RECURSIVE ";
        }
    }
    fputs(keyword, out);
    for (size_t i = 0; i < statement->relations_count; i++) {
        fputs(i > 0 ? ",\n" : "", out);
        write(out, statement, statement->relations[i]);
    }
    fputs(closing, out);
    fwrite(rest, 1, (size_t)(text + length - rest), out);
    return fclose(out) == 0 ? sql : NULL;
}

static bool add_statement(struct projection_set *set, const struct projection_file *file,
                          const char *text, size_t length, bool is_purge, struct error *err) {
    if (set->statements_count == STATEMENTS_MAX)
        return error_set(err, DISP_FATAL, 0, "more than %d statements", STATEMENTS_MAX);
    struct projection_statement *statement = &set->statements[set->statements_count++];
    statement->projection = (uint32_t)set->count;
    statement->is_purge = is_purge;
    snprintf(statement->name, sizeof(statement->name), "s%zu", set->statements_count);
    if (is_purge) {
        statement->sql = strndup(text, length);
    } else {
        if (!name_columns(set, text, length, err))
            return error_wrap(err, "projections/%s", file->name);
        if (!choose_columns(set, statement, text, length))
            return error_set(err, DISP_FATAL, 0, "out of memory");
        if (statement->relations_count == 0)
            return error_set(err, DISP_FATAL, 0,
                             "projections/%s: the statement \"%.40s…\" names no relation of %s",
                             file->name, text, set->topic);
        statement->sql = write_statement(statement, text, length, write_unnested);
        statement->sql_of_copies = write_statement(statement, text, length, write_copied);
    }
    return statement->sql && (is_purge || statement->sql_of_copies)
               ? true
               : error_set(err, DISP_FATAL, 0, "out of memory");
}

static bool add_file(struct projection_set *set, const struct projection_file *file, bool is_purge,
                     struct error *err) {
    struct sql_scan scan = {file->text, file->text + file->length};
    const char *text;
    size_t length;
    size_t before = set->statements_count;
    while (sql_scan_statement(&scan, &text, &length))
        if (!add_statement(set, file, text, length, is_purge, err))
            return false;
    return set->statements_count > before ||
           error_set(err, DISP_FATAL, 0, "projections/%s has no statement", file->name);
}

// --- the set ----------------------------------------------------------------------------------

static const struct projection_file *find_purge(const struct projection_file *files,
                                                size_t files_count, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < files_count; i++)
        if (file_is(&files[i], "purge.sql") && strncmp(files[i].name, name, length) == 0 &&
            files[i].name[length] == '/')
            return &files[i];
    return NULL;
}

static bool add_projection(struct projection_set *set, const struct projection_file *apply,
                           const struct projection_file *files, size_t files_count,
                           struct error *err) {
    if (set->count == PROJECTIONS_MAX)
        return error_set(err, DISP_FATAL, 0, "more than %d read models of %s", PROJECTIONS_MAX,
                         set->topic);
    size_t history_length;
    const char *history = heading_of(apply, "history", &history_length);
    if (history && !latest_set_history(&set->relations, history, history_length, err))
        return error_wrap(err, "projections/%s", apply->name);
    const struct projection_file *purge = find_purge(files, files_count, set->names[set->count]);
    if (!add_file(set, apply, false, err) || (purge && !add_file(set, purge, true, err)))
        return false;
    set->count++;
    return true;
}

struct projection_set *projection_set_new(const char *topic, const struct projection_file *files,
                                          size_t files_count, const char *const *names,
                                          struct error *err) {
    struct projection_set *set = calloc(1, sizeof(*set));
    if (!set || !relations_init(&set->relations, topic)) {
        free(set);
        error_set(err, DISP_FATAL, 0, "topic %s has no records in schemas/", topic);
        return NULL;
    }
    set->topic = topic;
    for (size_t i = 0; i < files_count; i++) {
        const char *of;
        size_t of_length;
        if (!file_is(&files[i], "apply.sql"))
            continue;
        if (!topic_of(&files[i], &of, &of_length)) {
            error_set(err, DISP_FATAL, 0,
                      "projections/%s does not say its topic: begin it with `-- topic: NAME`",
                      files[i].name);
            projection_set_free(set);
            return NULL;
        }
        if (strlen(topic) != of_length || strncmp(topic, of, of_length) != 0)
            continue;
        if (set->count < PROJECTIONS_MAX) {
            size_t length = strcspn(files[i].name, "/");
            memcpy(set->names[set->count], files[i].name, length);
            set->names[set->count][length] = '\0';
            if (!is_wanted(names, set->names[set->count]))
                continue;
        }
        if (!add_projection(set, &files[i], files, files_count, err)) {
            projection_set_free(set);
            return NULL;
        }
    }
    return set;
}

void projection_set_free(struct projection_set *set) {
    if (!set)
        return;
    for (size_t i = 0; i < set->statements_count; i++) {
        free(set->statements[i].sql);
        free(set->statements[i].sql_of_copies);
        free(set->statements[i].relations);
        free(set->statements[i].params);
    }
    relations_done(&set->relations);
    free(set);
}

size_t projection_set_count(const struct projection_set *set) {
    return set->count;
}

const char *projection_set_name(const struct projection_set *set, size_t index) {
    assert(index < set->count);
    return set->names[index];
}

const char *projection_set_topic(const struct projection_set *set) {
    return set->topic;
}

const char *projection_set_statement(const struct projection_set *set, size_t index) {
    return index < set->statements_count ? set->statements[index].sql : NULL;
}
