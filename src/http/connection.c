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
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REAPER_PERIOD_MS = 200 };

void connection_set_deadline(struct http_connection *link, int64_t in_ms) {
    if (link)
        atomic_store_explicit(&link->deadline_ms, in_ms > 0 ? clock_coarse_ms() + in_ms : 0,
                              memory_order_relaxed);
}

// --- so many of one address --------------------------------------------------------------------

static struct connection_address address_of(const struct sockaddr *address) {
    struct connection_address ret = {.length = 0};
    if (address && address->sa_family == AF_INET) {
        ret.length = sizeof(struct in_addr);
        memcpy(ret.bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
               sizeof(struct in_addr));
    } else if (address && address->sa_family == AF_INET6) {
        ret.length = sizeof(struct in6_addr);
        memcpy(ret.bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
               sizeof(struct in6_addr));
    }
    return ret;
}

// libmicrohttpd's own limit is one of each thread.
enum MHD_Result connections_accept(void *state, const struct sockaddr *address, socklen_t length) {
    (void)length;
    struct http_server *server = state;
    const struct connection_address from = address_of(address);
    (void)pthread_mutex_lock(&server->lock);
    const size_t *count = strmap_find(&server->addresses, from.bytes, from.length);
    const bool room = !count || *count < (size_t)server->options.connections_per_ip_max;
    (void)pthread_mutex_unlock(&server->lock);
    return room ? MHD_YES : MHD_NO;
}

// Under the lock, as what follows. Without memory it is not counted.
static void count_in(struct http_server *server, struct http_connection *link) {
    size_t *count = link->address.length > 0
                        ? strmap_put(&server->addresses, link->address.bytes, link->address.length)
                        : NULL;
    if (count)
        ++*count;
    else
        link->address.length = 0;
}

static void count_out(struct http_server *server, const struct http_connection *link) {
    const struct connection_address *address = &link->address;
    size_t *count = address->length > 0
                        ? strmap_find(&server->addresses, address->bytes, address->length)
                        : NULL;
    if (count && --*count == 0)
        (void)strmap_remove(&server->addresses, address->bytes, address->length);
}

// --- the list ----------------------------------------------------------------------------------

static void opened(struct http_server *server, struct MHD_Connection *connection,
                   void **socket_context) {
    struct http_connection *link = calloc(1, sizeof(*link));
    if (!link)
        return; // served without a deadline of its own: better than not at all
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    link->fd = info ? info->connect_fd : -1;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    link->address = address_of(info ? info->client_addr : NULL);
    connection_set_deadline(link, server->options.read_timeout_ms);
    (void)pthread_mutex_lock(&server->lock);
    link->next = server->connections;
    if (link->next)
        link->next->previous = link;
    server->connections = link;
    count_in(server, link);
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
    count_out(server, link);
    (void)pthread_mutex_unlock(&server->lock);
    free(link);
    metrics_add(METRIC_HTTP_CONNECTIONS, 0, -1);
}

void connections_notify(void *state, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code) {
    struct http_loop *loop = state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(loop->server, connection, socket_context);
        return;
    }
    if (*socket_context)
        closed(loop->server, *socket_context);
    acceptor_ended(loop);
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
    strmap_init(&server->addresses, sizeof(size_t));
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
    strmap_done(&server->addresses);
    (void)pthread_mutex_destroy(&server->lock);
}
