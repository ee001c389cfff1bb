// SPDX-License-Identifier: Apache-2.0
//
// Deadlines of connections. libmicrohttpd only knows inactivity: a client that sends one byte now
// and then could hold a connection for ever. A thread looks through the connections a few times a
// second and shuts down those past their deadline; libmicrohttpd then closes them as if the client
// had gone. Under the lock a descriptor cannot be closed and reused, because it is taken off the
// list, under the same lock, before libmicrohttpd closes it.
#include "request_state.h"

#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REAPER_PERIOD_MS = 200 };

void connection_set_deadline(struct http_connection *link, int64_t in_ms) {
    if (link)
        atomic_store_explicit(&link->deadline_ms, in_ms > 0 ? clock_coarse_ms() + in_ms : 0,
                              memory_order_relaxed);
}

static void opened(struct http_server *server, struct MHD_Connection *connection,
                   void **socket_context) {
    struct http_connection *link = calloc(1, sizeof(*link));
    if (!link)
        return; // served without a deadline of its own: better than not at all
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    link->fd = info ? info->connect_fd : -1;
    connection_set_deadline(link, server->options.read_timeout_ms);
    (void)pthread_mutex_lock(&server->lock);
    link->next = server->connections;
    if (link->next)
        link->next->previous = link;
    server->connections = link;
    (void)pthread_mutex_unlock(&server->lock);
    *socket_context = link;
    metrics_add(METRIC_HTTP_CONNECTIONS, 0, 1);
}

static void closed(struct http_server *server, struct http_connection *link) {
    (void)pthread_mutex_lock(&server->lock);
    if (link->previous)
        link->previous->next = link->next;
    else
        server->connections = link->next;
    if (link->next)
        link->next->previous = link->previous;
    (void)pthread_mutex_unlock(&server->lock);
    free(link);
    metrics_add(METRIC_HTTP_CONNECTIONS, 0, -1);
}

void connections_notify(void *state, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        opened(state, connection, socket_context);
    else if (*socket_context)
        closed(state, *socket_context);
}

static void reap(struct http_server *server, int64_t now_ms) {
    (void)pthread_mutex_lock(&server->lock);
    for (struct http_connection *link = server->connections; link; link = link->next) {
        int64_t deadline_ms = atomic_load_explicit(&link->deadline_ms, memory_order_relaxed);
        if (deadline_ms == 0 || now_ms <= deadline_ms || link->fd < 0)
            continue;
        (void)shutdown(link->fd, SHUT_RDWR);
        atomic_store_explicit(&link->deadline_ms, 0, memory_order_relaxed);
        LOG(DEBUG, "request took too long to arrive, connection closed");
    }
    (void)pthread_mutex_unlock(&server->lock);
}

static void *run_reaper(void *arg) {
    struct http_server *server = arg;
    struct pollfd stop = {.fd = server->stop_fd, .events = POLLIN};
    while (poll(&stop, 1, REAPER_PERIOD_MS) <= 0) {
        reap(server, clock_monotonic_ms());
        http_server_reload(server);
    }
    return NULL;
}

bool connections_start(struct http_server *server) {
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop_fd < 0)
        return false;
    if (pthread_mutex_init(&server->lock, NULL) == 0 &&
        pthread_create(&server->reaper, NULL, run_reaper, server) == 0)
        return true;
    (void)close(server->stop_fd);
    server->stop_fd = -1;
    return false;
}

void connections_stop(struct http_server *server) {
    if (server->stop_fd < 0)
        return;
    (void)eventfd_write(server->stop_fd, 1);
    (void)pthread_join(server->reaper, NULL);
    (void)close(server->stop_fd);
    server->stop_fd = -1;
    assert(!server->connections);
    (void)pthread_mutex_destroy(&server->lock);
}
