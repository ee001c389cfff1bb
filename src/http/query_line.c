// SPDX-License-Identifier: Apache-2.0
//
// Who has the connection is said by the state: the HTTP thread while it is UP, the line's own while
// it COMES, nobody while it is DOWN.
#include "query_line.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "query_pulse.h"
#include "service/clock.h"

enum { PAUSE_MS_MIN = 50 };

struct query_line {
    struct db *db;
    const char *const *statements; // borrowed
    int epoll_fd;                  // of the connection's socket and the bell
    int bell_fd;
    _Atomic int state;
    struct error err;    // of DOWN
    int64_t retry_at_ms; // likewise
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    pthread_t thread;
    bool running;
};

// Sockets leave the set as they are closed.
static bool watch(struct query_line *line, int fd) {
    struct epoll_event readable = {.events = EPOLLIN};
    return epoll_ctl(line->epoll_fd, EPOLL_CTL_ADD, fd, &readable) == 0;
}

static bool make(struct query_line *line, struct error *err) {
    if (!db_connect(line->db, err))
        return false;
    for (const char *const *sql = line->statements; *sql; sql++)
        if (!db_prepare(line->db, *sql, err))
            return false;
    if (watch(line, PQsocket(db_conn(line->db))))
        return true;
    db_disconnect(line->db);
    return error_set(err, DISP_RETRY, 0, "out of memory");
}

static void *run(void *arg) {
    struct query_line *line = arg;
    (void)pthread_mutex_lock(&line->lock);
    while (!line->stopping) {
        if (atomic_load(&line->state) != QUERY_LINE_COMES) {
            (void)pthread_cond_wait(&line->changed, &line->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&line->lock);
        const bool made = make(line, &line->err);
        if (!made) {
            db_disconnect(line->db); // it may stand without its statements
            const int64_t pause_ms = db_retry_in_ms(line->db);
            line->retry_at_ms =
                clock_monotonic_ms() + (pause_ms > PAUSE_MS_MIN ? pause_ms : PAUSE_MS_MIN);
        }
        atomic_store(&line->state, made ? QUERY_LINE_UP : QUERY_LINE_DOWN);
        query_line_ring(line);
        (void)pthread_mutex_lock(&line->lock);
    }
    (void)pthread_mutex_unlock(&line->lock);
    return NULL;
}

int query_line_fd(const struct query_line *line) {
    return line->epoll_fd;
}

void query_line_ring(struct query_line *line) {
    (void)eventfd_write(line->bell_fd, 1);
}

void query_line_hush(struct query_line *line) {
    eventfd_t ignored;
    (void)eventfd_read(line->bell_fd, &ignored);
}

enum query_line_state query_line_look(const struct query_line *line, struct error *err) {
    const enum query_line_state state =
        (enum query_line_state)atomic_load(&((struct query_line *)line)->state);
    if (state == QUERY_LINE_DOWN)
        *err = line->err;
    return state;
}

void query_line_call(struct query_line *line) {
    const enum query_line_state state = (enum query_line_state)atomic_load(&line->state);
    if (state == QUERY_LINE_COMES || (state == QUERY_LINE_UP && db_is_connected(line->db)) ||
        (state == QUERY_LINE_DOWN && clock_monotonic_ms() < line->retry_at_ms))
        return;
    (void)pthread_mutex_lock(&line->lock);
    atomic_store(&line->state, QUERY_LINE_COMES);
    (void)pthread_cond_signal(&line->changed);
    (void)pthread_mutex_unlock(&line->lock);
}

struct db *query_line_db(const struct query_line *line) {
    return line->db;
}

bool query_line_open(const struct query_pulse *pulse, const char *name,
                     const char *const *statements, struct query_line **ret, struct error *err) {
    struct query_line *line = calloc(1, sizeof(*line));
    if (!line)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    line->statements = statements;
    line->state = QUERY_LINE_COMES;
    (void)pthread_mutex_init(&line->lock, NULL);
    (void)pthread_cond_init(&line->changed, NULL);
    line->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    line->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    line->db = query_pulse_connection(pulse, name, query_session_settings);
    line->running = line->db && line->epoll_fd >= 0 && line->bell_fd >= 0 &&
                    watch(line, line->bell_fd) &&
                    pthread_create(&line->thread, NULL, run, line) == 0;
    if (line->running) {
        *ret = line;
        return true;
    }
    query_line_close(line);
    return error_set(err, DISP_FATAL, 0, "out of memory, descriptors or threads");
}

void query_line_close(struct query_line *line) {
    if (!line)
        return;
    (void)pthread_mutex_lock(&line->lock);
    line->stopping = true;
    (void)pthread_cond_signal(&line->changed);
    (void)pthread_mutex_unlock(&line->lock);
    if (line->running)
        (void)pthread_join(line->thread, NULL);
    db_free(line->db);
    if (line->epoll_fd >= 0)
        (void)close(line->epoll_fd);
    if (line->bell_fd >= 0)
        (void)close(line->bell_fd);
    (void)pthread_cond_destroy(&line->changed);
    (void)pthread_mutex_destroy(&line->lock);
    free(line);
}
