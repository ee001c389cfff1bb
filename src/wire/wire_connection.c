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

// What a call on the socket or the session has come to, which wanted to read or to write.
static enum wire_progress progress_of(struct wire_connection *connection, ssize_t done,
                                      enum wire_progress wanted, struct error *err) {
    if (done > 0)
        return WIRE_DONE;
    if (!connection->session) {
        if (done < 0 && errno == EINTR)
            return WIRE_DONE; // nothing, and the next call may do more
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return wanted;
        (void)lost(connection, done < 0 ? strerror(errno) : "closed the connection", err);
        return WIRE_LOST;
    }
    if (done == WIRE_TLS_WANT_READ)
        return WIRE_WANTS_READ;
    if (done == WIRE_TLS_WANT_WRITE)
        return WIRE_WANTS_WRITE;
    char reason[256];
    wire_tls_reason(connection->session, reason, sizeof(reason));
    (void)lost(connection, reason, err);
    return WIRE_LOST;
}

// Waits for what such a call waits for. True: it goes on.
static bool go_on(struct wire_connection *connection, enum wire_progress progress,
                  int64_t deadline_ms, struct error *err) {
    switch (progress) {
    case WIRE_WANTS_READ:
        return wait_for(connection, POLLIN, deadline_ms, err);
    case WIRE_WANTS_WRITE:
        return wait_for(connection, POLLOUT, deadline_ms, err);
    case WIRE_LOST:
        return false;
    case WIRE_DONE:
        break;
    }
    return true;
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
        if (!go_on(connection, progress_of(connection, done, WIRE_WANTS_READ, err), deadline_ms,
                   err))
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

void wire_connection_begin(struct wire_connection *connection, enum wire_api api,
                           const struct iovec *pieces, int count) {
    assert(connection->fd >= 0 && wire_connection_in_flight(connection) < WIRE_IN_FLIGHT_MAX);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    assert(size <= INT32_MAX);
    (void)wire_at_i32(pieces[0].iov_base, (int32_t)(size - LENGTH_SIZE));
    connection->sent++;
    connection->in_flight[connection->sent % WIRE_IN_FLIGHT_MAX] = api;
}

enum wire_progress wire_connection_push(struct wire_connection *connection, struct iovec **pieces,
                                        int *count, struct error *err) {
    while (*count > 0) {
        if ((*pieces)->iov_len == 0) {
            ++*pieces;
            --*count;
            continue;
        }
        ssize_t put = put_some(connection, *pieces, *count);
        const enum wire_progress progress = progress_of(connection, put, WIRE_WANTS_WRITE, err);
        if (progress != WIRE_DONE)
            return progress;
        for (; put > 0; ++*pieces, --*count) {
            struct iovec *piece = *pieces;
            const size_t part = (size_t)put < piece->iov_len ? (size_t)put : piece->iov_len;
            piece->iov_base = (char *)piece->iov_base + part;
            piece->iov_len -= part;
            put -= (ssize_t)part;
            if (piece->iov_len > 0)
                break;
        }
    }
    return WIRE_DONE;
}

bool wire_connection_send(struct wire_connection *connection, enum wire_api api,
                          struct iovec *pieces, int count, int64_t deadline_ms, struct error *err) {
    if (connection->fd < 0)
        return error_set(err, DISP_RETRY, 0, "broker %s:%d: not connected", connection->host,
                         connection->port);
    wire_connection_begin(connection, api, pieces, count);
    for (;;) {
        const enum wire_progress progress = wire_connection_push(connection, &pieces, &count, err);
        if (progress == WIRE_DONE || !go_on(connection, progress, deadline_ms, err))
            return progress == WIRE_DONE;
    }
}

bool wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                 struct wire_writer *writer, int64_t deadline_ms,
                                 struct error *err) {
    struct iovec piece = {.iov_base = writer->bytes, .iov_len = writer->len};
    return wire_connection_send(connection, api, &piece, 1, deadline_ms, err);
}

// Room for so many bytes from in_begin on, and for one more at least.
static void make_room(struct wire_connection *connection, size_t size) {
    if (connection->in_begin > 0) {
        memmove(connection->in, connection->in + connection->in_begin,
                connection->in_end - connection->in_begin);
        connection->in_end -= connection->in_begin;
        connection->in_begin = 0;
    }
    if (size <= connection->in_capacity && connection->in)
        return;
    connection->in_capacity = size > IN_CAPACITY ? size : IN_CAPACITY;
    connection->in = realloc(connection->in, connection->in_capacity);
    assert(connection->in && "out of memory for a response");
}

bool wire_connection_broken(struct wire_connection *connection, struct error *err) {
    return lost(connection, "its response cannot be read", err);
}

// The size of the next response with its length in front, as far as it is known.
static bool size_next(struct wire_connection *connection, size_t *ret, struct error *err) {
    *ret = LENGTH_SIZE;
    if (connection->in_end - connection->in_begin < LENGTH_SIZE)
        return true;
    struct wire_reader reader = {.at = connection->in + connection->in_begin};
    reader.end = reader.at + LENGTH_SIZE;
    const int32_t size = wire_get_i32(&reader);
    if (size < LENGTH_SIZE || size > WIRE_RESPONSE_BYTES_MAX)
        return wire_connection_broken(connection, err);
    *ret += (size_t)size;
    return true;
}

// The response of this size, which is there.
static bool take_next(struct wire_connection *connection, size_t size, struct wire_reader *ret,
                      struct error *err) {
    struct wire_reader reader = {.at = connection->in + connection->in_begin + LENGTH_SIZE};
    reader.end = connection->in + connection->in_begin + size;
    connection->in_begin += size;
    connection->received++;
    if (wire_get_i32(&reader) != connection->received)
        return wire_connection_broken(connection, err);
    if (wire_apis[connection->in_flight[connection->received % WIRE_IN_FLIGHT_MAX]].tagged_response)
        wire_get_skip_tags(&reader);
    *ret = reader;
    return true;
}

enum wire_progress wire_connection_pull(struct wire_connection *connection, struct wire_reader *ret,
                                        struct error *err) {
    for (;;) {
        const size_t there = connection->in_end - connection->in_begin;
        size_t size;
        if (there > 0 && wire_connection_in_flight(connection) == 0) {
            (void)wire_connection_broken(connection, err);
            return WIRE_LOST;
        }
        if (!size_next(connection, &size, err))
            return WIRE_LOST;
        if (size > LENGTH_SIZE && there >= size)
            return take_next(connection, size, ret, err) ? WIRE_DONE : WIRE_LOST;
        make_room(connection, size);
        void *room = connection->in + connection->in_end;
        const size_t left = connection->in_capacity - connection->in_end;
        const ssize_t got = connection->session ? wire_tls_read(connection->session, room, left)
                                                : recv(connection->fd, room, left, 0);
        const enum wire_progress progress = progress_of(connection, got, WIRE_WANTS_READ, err);
        if (progress != WIRE_DONE)
            return progress;
        if (got > 0)
            connection->in_end += (size_t)got;
    }
}

bool wire_connection_receive(struct wire_connection *connection, struct wire_reader *ret,
                             int64_t deadline_ms, struct error *err) {
    if (connection->fd < 0)
        return error_set(err, DISP_RETRY, 0, "broker %s:%d: not connected", connection->host,
                         connection->port);
    assert(wire_connection_in_flight(connection) > 0);
    for (;;) {
        const enum wire_progress progress = wire_connection_pull(connection, ret, err);
        if (progress == WIRE_DONE || !go_on(connection, progress, deadline_ms, err))
            return progress == WIRE_DONE;
    }
}
