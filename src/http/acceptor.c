// SPDX-License-Identifier: Apache-2.0
//
// Which thread serves a connection. The first HTTP thread takes connections from the listening
// socket and gives each to the thread that has the most room. Threads that all listened would take
// as many as they find: one may then have most of the work, and the others wait.
#include "request_state.h"

#include "service/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_MAX = 64, // in one round
    PAUSE_MS = 100,   // when there is no descriptor or no memory for one more
};

bool acceptor_init(struct http_loop *loop, int connections_max) {
    loop->connections_max = connections_max;
    loop->arrivals = calloc((size_t)connections_max, sizeof(*loop->arrivals));
    return loop->arrivals && pthread_mutex_init(&loop->arrivals_lock, NULL) == 0;
}

void acceptor_done(struct http_loop *loop) {
    for (size_t i = 0; i < loop->arrivals_count; i++)
        (void)close(loop->arrivals[i]);
    free(loop->arrivals);
    loop->arrivals = NULL;
    loop->arrivals_count = 0;
}

// NULL: all are full.
static struct http_loop *roomiest(const struct http_server *server) {
    struct http_loop *found = NULL;
    int most = 0;
    for (int i = 0; i < server->loops_count; i++) {
        struct http_loop *loop = &server->loops[i];
        const int room = loop->connections_max - atomic_load(&loop->connections);
        if (room > most) {
            most = room;
            found = loop;
        }
    }
    return found;
}

void acceptor_ended(struct http_loop *loop) {
    struct http_server *server = loop->server;
    (void)atomic_fetch_sub(&loop->connections, 1);
    if (!atomic_exchange(&server->is_full, false))
        return;
    loop_hold(server->loops);
    loop_wake(server->loops);
}

// libmicrohttpd has the descriptor from now on, and closes it.
static void begin(struct http_loop *loop, int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    const bool is_there = getpeername(fd, (struct sockaddr *)&address, &length) == 0;
    if (!is_there)
        (void)close(fd);
    if (!is_there ||
        MHD_add_connection(loop->daemon, fd, (struct sockaddr *)&address, length) != MHD_YES)
        acceptor_ended(loop); // too many of one address, or it has gone already
}

void acceptor_begin_arrived(struct http_loop *loop) {
    for (;;) {
        int fd = -1;
        (void)pthread_mutex_lock(&loop->arrivals_lock);
        if (loop->arrivals_count > 0)
            fd = loop->arrivals[--loop->arrivals_count];
        (void)pthread_mutex_unlock(&loop->arrivals_lock);
        if (fd < 0)
            return;
        begin(loop, fd);
    }
}

static void give(struct http_loop *loop, int fd) {
    (void)atomic_fetch_add(&loop->connections, 1);
    if (loop_is_here(loop)) {
        begin(loop, fd);
        return;
    }
    (void)pthread_mutex_lock(&loop->arrivals_lock);
    assert(loop->arrivals_count < (size_t)loop->connections_max);
    loop->arrivals[loop->arrivals_count++] = fd;
    (void)pthread_mutex_unlock(&loop->arrivals_lock);
    loop_hold(loop);
    loop_wake(loop);
}

int acceptor_fd(struct http_server *server) {
    if (atomic_load(&server->draining) && server->listen_fd >= 0)
        server_close_listening(server);
    if (server->accepts_again_ms != 0 && clock_monotonic_ms() >= server->accepts_again_ms)
        server->accepts_again_ms = 0;
    const bool waits = atomic_load(&server->is_full) || server->accepts_again_ms != 0;
    return waits ? -1 : atomic_load(&server->listen_fd);
}

int acceptor_pause_ms(const struct http_server *server) {
    return server->accepts_again_ms != 0 ? PAUSE_MS : -1;
}

void acceptor_accept(struct http_server *server) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct http_loop *loop = roomiest(server);
        if (!loop) {
            // One that ends now sees it, or is seen here.
            atomic_store(&server->is_full, true);
            loop = roomiest(server);
            if (!loop)
                return;
            atomic_store(&server->is_full, false);
        }
        const int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            give(loop, fd);
        else if (errno != ECONNABORTED && errno != EINTR) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                server->accepts_again_ms = clock_monotonic_ms() + PAUSE_MS;
            return;
        }
    }
}
