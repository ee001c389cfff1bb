// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_connection.h"

#include "service/clock.h"
#include "wire_api.h"
#include "wire_login.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LENGTH_SIZE = 4, IN_CAPACITY = 16384 };

void wire_connection_init(struct wire_connection *connection, const struct wire_settings *settings,
                          struct wire_tls *tls, const char *host, int port) {
    *connection =
        (struct wire_connection){.settings = settings, .tls = tls, .fd = -1, .port = port};
    (void)snprintf(connection->host, sizeof(connection->host), "%s", host);
}

void wire_connection_close(struct wire_connection *connection) {
    wire_tls_close(connection->session);
    connection->session = NULL;
    if (connection->fd >= 0)
        (void)close(connection->fd);
    connection->fd = -1;
    connection->sent = connection->received = 0;
    connection->in_begin = connection->in_end = 0;
}

void wire_connection_done(struct wire_connection *connection) {
    wire_connection_close(connection);
    free(connection->in);
    connection->in = NULL;
}

int wire_connection_in_flight(const struct wire_connection *connection) {
    return connection->sent - connection->received;
}

bool wire_connection_is_alive(const struct wire_connection *connection) {
    char byte;
    const ssize_t got = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

// ---- waiting -----------------------------------------------------------------------------------

static bool lost(struct wire_connection *connection, const char *why, struct error *err) {
    char copy[256];
    (void)snprintf(copy, sizeof(copy), "%s", why);
    wire_connection_close(connection);
    return error_set(err, DISP_RETRY, 0, "broker %s:%d: %s", connection->host, connection->port,
                     copy);
}

static bool wait_for(struct wire_connection *connection, short events, int64_t deadline_ms,
                     struct error *err) {
    for (;;) {
        const int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0)
            return lost(connection, "no answer in time", err);
        struct pollfd one = {.fd = connection->fd, .events = events};
        const int found = poll(&one, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (found > 0)
            return true;
        if (found < 0 && errno != EINTR)
            return lost(connection, strerror(errno), err);
    }
}

// What a call on the socket or the session has come to. True: it goes on.
static bool go_on(struct wire_connection *connection, ssize_t done, short events,
                  int64_t deadline_ms, struct error *err) {
    if (done > 0)
        return true;
    if (!connection->session) {
        if (done < 0 && errno == EINTR)
            return true;
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return wait_for(connection, events, deadline_ms, err);
        return lost(connection, done < 0 ? strerror(errno) : "closed the connection", err);
    }
    if (done == WIRE_TLS_WANT_READ)
        return wait_for(connection, POLLIN, deadline_ms, err);
    if (done == WIRE_TLS_WANT_WRITE)
        return wait_for(connection, POLLOUT, deadline_ms, err);
    char reason[256];
    wire_tls_reason(connection->session, reason, sizeof(reason));
    return lost(connection, reason, err);
}

// ---- connecting --------------------------------------------------------------------------------

static bool try_address(struct wire_connection *connection, const struct addrinfo *address,
                        int64_t deadline_ms, struct error *err) {
    connection->fd =
        socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (connection->fd < 0)
        return lost(connection, strerror(errno), err);
    const int on = 1;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (connect(connection->fd, address->ai_addr, address->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS)
        return lost(connection, strerror(errno), err);
    if (!wait_for(connection, POLLOUT, deadline_ms, err))
        return false;
    int failed = 0;
    socklen_t size = sizeof(failed);
    (void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    return !failed || lost(connection, strerror(failed), err);
}

static bool reach(struct wire_connection *connection, int64_t deadline_ms, struct error *err) {
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", connection->port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(connection->host, port, &hints, &found);
    if (failed)
        return lost(connection, gai_strerror(failed), err);
    bool reached = false;
    for (const struct addrinfo *at = found; at && !reached; at = at->ai_next)
        reached = try_address(connection, at, deadline_ms, err);
    freeaddrinfo(found);
    return reached;
}

static bool secure(struct wire_connection *connection, int64_t deadline_ms, struct error *err) {
    if (!connection->tls)
        return true;
    connection->session = wire_tls_open(connection->tls, connection->fd, connection->host, err);
    if (!connection->session) {
        wire_connection_close(connection);
        return false;
    }
    for (;;) {
        const ssize_t done = wire_tls_handshake(connection->session);
        if (done > 0)
            return true;
        if (!go_on(connection, done, POLLIN, deadline_ms, err))
            return error_wrap(err, "TLS");
    }
}

static bool ask_versions(struct wire_connection *connection, int64_t deadline_ms,
                         struct error *err) {
    struct wire_writer writer = {0};
    wire_connection_request(connection, WIRE_API_VERSIONS, &writer);
    wire_put_string(&writer, "orderlog");
    wire_put_string(&writer, ORDERLOG_VERSION);
    wire_put_no_tags(&writer);
    struct wire_reader reader;
    const bool answered =
        wire_connection_send_writer(connection, WIRE_API_VERSIONS, &writer, deadline_ms, err) &&
        wire_connection_receive(connection, &reader, deadline_ms, err);
    wire_writer_done(&writer);
    if (!answered || wire_api_suffices(&reader))
        return answered;
    wire_connection_close(connection);
    return error_set(err, DISP_FATAL, 0,
                     "broker %s:%d is too old: Kafka 4.0 is needed, with `kafka-features.sh "
                     "upgrade --feature transaction.version=2` where the cluster was made by an "
                     "older one",
                     connection->host, connection->port);
}

bool wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                          struct error *err) {
    if (connection->fd >= 0)
        return true;
    connection->renew_ms = INT64_MAX;
    return reach(connection, deadline_ms, err) && secure(connection, deadline_ms, err) &&
           ask_versions(connection, deadline_ms, err) && wire_login(connection, deadline_ms, err);
}

// ---- requests and responses --------------------------------------------------------------------

void wire_connection_request(struct wire_connection *connection, enum wire_api api,
                             struct wire_writer *writer) {
    writer->len = 0;
    wire_put_i32(writer, 0); // the length, known when it is sent
    wire_put_i16(writer, wire_apis[api].key);
    wire_put_i16(writer, wire_apis[api].version);
    wire_put_i32(writer, connection->sent + 1);
    wire_put_string16(writer, connection->settings->client_id);
    if (wire_apis[api].tagged)
        wire_put_no_tags(writer);
}

static ssize_t put_some(struct wire_connection *connection, const struct iovec *pieces, int count) {
    if (connection->session)
        return wire_tls_write(connection->session, pieces[0].iov_base, pieces[0].iov_len);
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                                   .msg_iovlen = (size_t)(count > IOV_MAX ? IOV_MAX : count)};
    return sendmsg(connection->fd, &message, MSG_NOSIGNAL);
}

bool wire_connection_send(struct wire_connection *connection, enum wire_api api,
                          struct iovec *pieces, int count, int64_t deadline_ms, struct error *err) {
    if (connection->fd < 0)
        return error_set(err, DISP_RETRY, 0, "broker %s:%d: not connected", connection->host,
                         connection->port);
    assert(wire_connection_in_flight(connection) < WIRE_IN_FLIGHT_MAX);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    assert(size <= INT32_MAX);
    (void)wire_at_i32(pieces[0].iov_base, (int32_t)(size - LENGTH_SIZE));
    while (count > 0) {
        if (pieces->iov_len == 0) {
            pieces++;
            count--;
            continue;
        }
        ssize_t put = put_some(connection, pieces, count);
        if (!go_on(connection, put, POLLOUT, deadline_ms, err))
            return false;
        for (; put > 0; pieces++, count--) {
            const size_t part = (size_t)put < pieces->iov_len ? (size_t)put : pieces->iov_len;
            pieces->iov_base = (char *)pieces->iov_base + part;
            pieces->iov_len -= part;
            put -= (ssize_t)part;
            if (pieces->iov_len > 0)
                break;
        }
    }
    connection->sent++;
    connection->in_flight[connection->sent % WIRE_IN_FLIGHT_MAX] = api;
    return true;
}

bool wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                 struct wire_writer *writer, int64_t deadline_ms,
                                 struct error *err) {
    struct iovec piece = {.iov_base = writer->bytes, .iov_len = writer->len};
    return wire_connection_send(connection, api, &piece, 1, deadline_ms, err);
}

// At least so many bytes from in_begin on.
static bool arrive(struct wire_connection *connection, size_t size, int64_t deadline_ms,
                   struct error *err) {
    if (connection->in_end - connection->in_begin >= size)
        return true;
    if (connection->in_begin > 0) {
        memmove(connection->in, connection->in + connection->in_begin,
                connection->in_end - connection->in_begin);
        connection->in_end -= connection->in_begin;
        connection->in_begin = 0;
    }
    if (size > connection->in_capacity || !connection->in) {
        connection->in_capacity = size > IN_CAPACITY ? size : IN_CAPACITY;
        connection->in = realloc(connection->in, connection->in_capacity);
        assert(connection->in && "out of memory for a response");
    }
    while (connection->in_end < size) {
        void *room = connection->in + connection->in_end;
        const size_t left = connection->in_capacity - connection->in_end;
        const ssize_t got = connection->session ? wire_tls_read(connection->session, room, left)
                                                : recv(connection->fd, room, left, 0);
        if (!go_on(connection, got, POLLIN, deadline_ms, err))
            return false;
        if (got > 0)
            connection->in_end += (size_t)got;
    }
    return true;
}

bool wire_connection_broken(struct wire_connection *connection, struct error *err) {
    return lost(connection, "its response cannot be read", err);
}

bool wire_connection_receive(struct wire_connection *connection, struct wire_reader *ret,
                             int64_t deadline_ms, struct error *err) {
    if (connection->fd < 0)
        return error_set(err, DISP_RETRY, 0, "broker %s:%d: not connected", connection->host,
                         connection->port);
    assert(wire_connection_in_flight(connection) > 0);
    if (!arrive(connection, LENGTH_SIZE, deadline_ms, err))
        return false;
    struct wire_reader reader = {.at = connection->in + connection->in_begin};
    reader.end = reader.at + LENGTH_SIZE;
    const int32_t size = wire_get_i32(&reader);
    if (size < LENGTH_SIZE || size > WIRE_RESPONSE_BYTES_MAX)
        return wire_connection_broken(connection, err);
    if (!arrive(connection, LENGTH_SIZE + (size_t)size, deadline_ms, err))
        return false;
    reader.at = connection->in + connection->in_begin + LENGTH_SIZE;
    reader.end = reader.at + size;
    connection->in_begin += LENGTH_SIZE + (size_t)size;
    connection->received++;
    if (wire_get_i32(&reader) != connection->received)
        return wire_connection_broken(connection, err);
    if (wire_apis[connection->in_flight[connection->received % WIRE_IN_FLIGHT_MAX]].tagged_response)
        wire_get_skip_tags(&reader);
    *ret = reader;
    return true;
}
