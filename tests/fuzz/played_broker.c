// SPDX-License-Identifier: Apache-2.0
#include "played_broker.h"

#include "wire/wire_connection.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t *answers;
static size_t answers_len;

void played_broker_says(const uint8_t *bytes, size_t len) {
    answers = bytes;
    answers_len = len;
}

// A piece of the input is what the broker says; then it hangs up.
bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err);
bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err) {
    (void)deadline_ms;
    if (connection->fd >= 0)
        return true;
    int pair[2];
    if (answers_len < 2)
        return error_set(err, DISP_RETRY, 0, "nobody answers");
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    // Each connection has a piece of its own, whose length comes first.
    const size_t wanted = (size_t)answers[0] << 8 | answers[1];
    answers += 2;
    answers_len -= 2;
    const size_t len = wanted < answers_len ? wanted : answers_len;
    assert(write(pair[1], answers, len) == (ssize_t)len);
    answers += len;
    answers_len -= len;
    (void)close(pair[1]);
    connection->fd = pair[0];
    connection->renew_ms = INT64_MAX;
    return true;
}

// It has hung up already, as far as the socket knows.
bool __wrap_wire_connection_is_alive(const struct wire_connection *connection);
bool __wrap_wire_connection_is_alive(const struct wire_connection *connection) {
    return connection->fd >= 0;
}

bool __wrap_wire_connection_send(struct wire_connection *connection, enum wire_api api,
                                 struct iovec *pieces, int count, int64_t deadline_ms,
                                 struct error *err);
bool __wrap_wire_connection_send(struct wire_connection *connection, enum wire_api api,
                                 struct iovec *pieces, int count, int64_t deadline_ms,
                                 struct error *err) {
    (void)deadline_ms;
    (void)err;
    for (int i = 0; i < count; i++)
        assert(pieces[i].iov_len == 0 || pieces[i].iov_base);
    wire_connection_begin(connection, api, pieces, count);
    return true;
}

bool __wrap_wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                        struct wire_writer *writer, int64_t deadline_ms,
                                        struct error *err);
bool __wrap_wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                        struct wire_writer *writer, int64_t deadline_ms,
                                        struct error *err) {
    (void)deadline_ms;
    if (connection->fd < 0)
        return error_set(err, DISP_RETRY, 0, "not connected");
    const struct iovec piece = {.iov_base = writer->bytes, .iov_len = writer->len};
    wire_connection_begin(connection, api, &piece, 1);
    return true;
}

enum wire_progress __wrap_wire_connection_push(struct wire_connection *connection,
                                               struct iovec **pieces, int *count,
                                               struct error *err);
enum wire_progress __wrap_wire_connection_push(struct wire_connection *connection,
                                               struct iovec **pieces, int *count,
                                               struct error *err) {
    (void)err;
    assert(connection->fd >= 0);
    for (; *count > 0; ++*pieces, --*count)
        assert((*pieces)->iov_len == 0 || (*pieces)->iov_base);
    return WIRE_DONE;
}
