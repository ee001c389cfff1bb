// SPDX-License-Identifier: Apache-2.0
//
// The HTTP threads. libmicrohttpd is run from a loop of ours, so that whatever else a thread waits
// for (answers of other threads, the reports of those who are served besides) is taken between two
// of its rounds.
//
// A request that waits is not suspended: libmicrohttpd asks for its answer in every round, which
// costs next to nothing; to suspend and resume costs four system calls. What waits for long, or
// with too many others, is suspended after all, so that rounds stay short.
//
// While requests wait libmicrohttpd always believes that it has something to do, and cannot tell
// whether it is right. What it has besides is known from its callbacks, but for rare cases (a
// header that filled its buffer, a file that is being sent): for these a round comes after a pause
// that begins short and grows.
#include "request_state.h"

#include "service/clock.h"
#include "service/uninitialized.h"

#include <assert.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAITING_MAX = 256, WAITS_US_MAX = 100000 };

enum { PAUSE_MS_MAX = 4, ROUNDS_MAX = 4 };

static _Thread_local const struct http_loop *here;

bool loop_is_here(const struct http_loop *loop) {
    return here == loop;
}

// --- other threads -----------------------------------------------------------------------------

void loop_hold(struct http_loop *loop) {
    (void)atomic_fetch_add(&loop->holders, 1);
}

void loop_wake(struct http_loop *loop) {
    if (!atomic_exchange(&loop->woken, true))
        (void)eventfd_write(loop->wake_fd, 1);
    (void)atomic_fetch_sub(&loop->holders, 1);
}

void loop_resume(struct http_loop *loop, struct MHD_Connection *connection) {
    if (loop_is_here(loop)) {
        MHD_resume_connection(connection);
        loop->queued = true;
        return;
    }
    loop_hold(loop);
    MHD_resume_connection(connection);
    loop_wake(loop);
}

void http_server_add_work(struct http_server *server, int thread,
                          const struct http_side_work *work) {
    struct http_loop *loop = &server->loops[thread];
    atomic_store(&loop->work, work);
    loop_hold(loop);
    loop_wake(loop); // it waits without knowing of it
}

// --- requests that wait ------------------------------------------------------------------------

static void suspend(struct http_request *request) {
    int waits = REQUEST_WAITS;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    if (!atomic_compare_exchange_strong(&request->stage, &waits, REQUEST_SUSPENDED))
        loop_resume(request->loop, request->connection); // the answer was quicker
}

void loop_wait(struct http_loop *loop, struct http_request *request) {
    atomic_store(&request->stage, REQUEST_WAITS);
    if (loop->waiting >= WAITING_MAX) {
        suspend(request);
        return;
    }
    request->waits = true;
    request->waits_since_us = loop->round_us;
    loop->waiting++;
}

void loop_forget(struct http_loop *loop, struct http_request *request) {
    loop->waiting -= request->waits;
    request->waits = false;
}

void loop_look(struct http_loop *loop, struct http_request *request) {
    if (!request->waits || loop->round_us - request->waits_since_us < WAITS_US_MAX)
        return;
    loop_forget(loop, request);
    suspend(request);
}

// --- the thread --------------------------------------------------------------------------------

// -1: without end.
static int longest_pause_ms(const struct http_loop *loop, const struct http_side_work *work) {
    const int of_work_ms = work ? work->pause_ms_max : -1;
    const int of_acceptor_ms = loop == loop->server->loops ? acceptor_pause_ms(loop->server) : -1;
    if (of_work_ms < 0 || of_acceptor_ms < 0)
        return of_work_ms < 0 ? of_acceptor_ms : of_work_ms;
    return of_work_ms < of_acceptor_ms ? of_work_ms : of_acceptor_ms;
}

static int pause_ms(struct http_loop *loop, const struct http_side_work *work) {
    MHD_UNSIGNED_LONG_LONG left_ms = PAUSE_MS_MAX;
    const int longest_ms = longest_pause_ms(loop, work);
    if (loop->queued || (loop->moved && loop->arriving > 0))
        return 0;
    if (loop->waiting > 0) {
        loop->pause_ms = loop->pause_ms < PAUSE_MS_MAX / 2 ? loop->pause_ms * 2 : PAUSE_MS_MAX;
        return loop->pause_ms;
    }
    if (MHD_get_timeout(loop->daemon, &left_ms) == MHD_NO)
        return longest_ms;
    const int most_ms = longest_ms > 0 ? longest_ms : INT32_MAX;
    return left_ms < (unsigned)most_ms ? (int)left_ms : most_ms;
}

// NULL: as long as it takes.
static const struct timespec *rest_of(struct http_loop *loop, const struct http_side_work *work,
                                      struct timespec *ret) {
    const int ms = pause_ms(loop, work);
    int64_t us = ms < 0 ? INT64_MAX : (int64_t)ms * 1000;
    if (us > 0 && work && work->due_us != 0) {
        const int64_t left_us = work->due_us - clock_monotonic_us();
        us = left_us < us ? left_us > 0 ? left_us : 0 : us;
    }
    *ret = (struct timespec){us / 1000000, us % 1000000 * 1000};
    return us == INT64_MAX ? NULL : ret;
}

static void await(struct http_loop *loop, const struct http_side_work *work) {
    const bool serves = work && work->serve;
    const bool accepts = loop == loop->server->loops;
    struct pollfd fds[] = {{.fd = loop->daemon_fd, .events = POLLIN},
                           {.fd = loop->wake_fd, .events = POLLIN},
                           {.fd = serves ? work->fd : -1, .events = POLLIN},
                           {.fd = accepts ? acceptor_fd(loop->server) : -1, .events = POLLIN}};
    eventfd_t ignored;
    struct timespec pause UNINITIALIZED;
    const int ready = ppoll(fds, 4, rest_of(loop, work, &pause), NULL);
    if (ready > 0)
        loop->pause_ms = 1;
    if (ready > 0 && fds[1].revents) {
        (void)eventfd_read(loop->wake_fd, &ignored);
        atomic_store(&loop->woken, false);
        acceptor_begin_arrived(loop);
    }
    if (ready > 0 && fds[3].revents)
        acceptor_accept(loop->server);
    if (serves && (ready <= 0 || fds[2].revents))
        work->serve(work->state);
}

static void run_round(struct http_loop *loop, const struct http_side_work *work) {
    loop->rounds++;
    loop->moved = loop->queued = false;
    if (work && work->round_begins)
        work->round_begins(work->state);
    (void)MHD_run(loop->daemon);
    if (work && work->round_ends)
        work->round_ends(work->state);
}

static void *run(void *arg) {
    struct http_loop *loop = arg;
    here = loop;
    while (!atomic_load(&loop->server->stopping)) {
        const struct http_side_work *work = atomic_load(&loop->work);
        await(loop, work);
        loop->round_us = clock_monotonic_us();
        run_round(loop, work);
        // An answer is sent in the round after the one that queued it.
        for (int more = 1; loop->queued && more < ROUNDS_MAX; more++)
            run_round(loop, work);
    }
    return NULL;
}

static bool start(struct http_loop *loop) {
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->daemon = loop->wake_fd >= 0 ? server_start_daemon(loop) : NULL;
    const union MHD_DaemonInfo *info =
        loop->daemon ? MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info)
        return false;
    loop->daemon_fd = info->epoll_fd;
    loop->pause_ms = 1;
    loop->running = pthread_create(&loop->thread, NULL, run, loop) == 0;
    return loop->running;
}

// All of them together, and each at least one.
static int share_of(const struct http_server *server, int i) {
    const int threads = server->options.threads;
    const int share =
        server->options.connections_max / threads + (i < server->options.connections_max % threads);
    return share > 0 ? share : 1;
}

bool loops_start(struct http_server *server) {
    const int threads = server->options.threads;
    server->loops = calloc((size_t)threads, sizeof(*server->loops));
    if (!server->loops)
        return false;
    // Before the first thread runs: they look at each other's. Nobody is let in until the last one
    // does.
    atomic_store(&server->is_full, true);
    for (int i = 0; i < threads; i++) {
        server->loops[i].server = server;
        server->loops[i].wake_fd = -1;
    }
    while (server->loops_count < threads) {
        const int i = server->loops_count++;
        if (!acceptor_init(&server->loops[i], share_of(server, i)) || !start(&server->loops[i])) {
            loops_stop(server);
            return false;
        }
    }
    atomic_store(&server->is_full, false);
    loop_hold(server->loops);
    loop_wake(server->loops);
    return true;
}

void loops_stop(struct http_server *server) {
    atomic_store(&server->stopping, true);
    for (int i = 0; i < server->loops_count; i++) {
        struct http_loop *loop = &server->loops[i];
        if (!loop->running)
            continue;
        loop_hold(loop);
        loop_wake(loop);
        (void)pthread_join(loop->thread, NULL);
    }
    atomic_store(&server->is_full, false); // connections that end wake nobody
    for (int i = 0; i < server->loops_count; i++) {
        struct http_loop *loop = &server->loops[i];
        if (loop->daemon)
            MHD_stop_daemon(loop->daemon);
        acceptor_done(loop);
        while (atomic_load(&loop->holders) > 0) // a few instructions of another thread
            (void)sched_yield();
        if (loop->wake_fd >= 0)
            (void)close(loop->wake_fd);
    }
    free(server->loops);
    server->loops = NULL;
    server->loops_count = 0;
}
