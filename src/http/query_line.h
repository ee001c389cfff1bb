// SPDX-License-Identifier: Apache-2.0
//
// A connection to PostgreSQL for an HTTP thread, which asks and takes answers without waiting (the
// part of store/db.h that says so). Where it has to be made, a thread of the line's own does that
// and sleeps otherwise:
//
//   UP ──(it broke: query_line_call)──▶ COMES ──▶ UP      the HTTP thread has the connection
//                                        │ ▲
//                                        ▼ │ query_line_call, after a pause
//                                        DOWN
#ifndef ORDERLOG_HTTP_QUERY_LINE_H
#define ORDERLOG_HTTP_QUERY_LINE_H

#include "query_state.h"

struct query_line;

enum query_line_state { QUERY_LINE_UP, QUERY_LINE_COMES, QUERY_LINE_DOWN };

// Begins to connect. statements: literals, NULL-terminated; prepared on each connection.
bool query_line_open(const struct query_pulse *pulse, const char *name,
                     const char *const *statements, struct query_line **ret, struct error *err);
void query_line_close(struct query_line *line); // NULL is fine

// Readable when there is an answer, the state has changed, or it was rung.
int query_line_fd(const struct query_line *line);
void query_line_ring(struct query_line *line); // any thread

// What follows is for the HTTP thread alone.
void query_line_hush(struct query_line *line); // it has heard the bell

// DOWN: err, why.
enum query_line_state query_line_look(const struct query_line *line, struct error *err);

// Unless it is UP and stands: makes the connection, or makes it again. Does nothing where the last
// attempt failed a moment ago.
void query_line_call(struct query_line *line);

// UP: the connection. It may be found to be gone (db_is_connected), which the line has to be told.
struct db *query_line_db(const struct query_line *line);

#endif
