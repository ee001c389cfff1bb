// SPDX-License-Identifier: Apache-2.0
//
// libmicrohttpd asks for bytes when the connection has room; without any the connection is
// suspended, costs no time, and is resumed by the next push. While bytes wait to be taken the
// connection has a deadline, which the server's reaper keeps.
#include "http/event_stream.h"

#include "request_state.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Of the kernel, per connection: enough for some dozens of events.
enum { SEND_BUFFER_BYTES = 16 * 1024, BLOCK_BYTES = 1024 };

static const char beginning[] = ":\nretry: 1000\n\n";

struct event_stream {
    struct event_stream_options options;
    pthread_mutex_t lock;
    struct http_loop *loop;
    struct MHD_Connection *connection;
    struct http_connection *link;
    char *bytes; // owned; NULL: nothing waits
    size_t length;
    size_t size;
    size_t sent;
    bool suspended;
    bool refused; // a push
    bool ended;
};

static bool append(struct event_stream *stream, const char *bytes, size_t length) {
    if (stream->length + length > stream->size) {
        size_t size = stream->length + length;
        char *grown = realloc(stream->bytes, size);
        if (!grown)
            return false;
        stream->bytes = grown;
        stream->size = size;
    }
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    return true;
}

// Under the lock.
static void wake(struct event_stream *stream) {
    if (!stream->suspended)
        return;
    stream->suspended = false;
    loop_resume(stream->loop, stream->connection);
}

bool event_stream_push(struct event_stream *stream, const char *bytes, size_t length) {
    (void)pthread_mutex_lock(&stream->lock);
    size_t waiting = stream->length - stream->sent;
    bool room = waiting == 0 || waiting + length <= stream->options.bytes_max;
    bool ok = !stream->ended && room && append(stream, bytes, length);
    if (ok)
        wake(stream);
    else
        stream->refused = true;
    (void)pthread_mutex_unlock(&stream->lock);
    return ok;
}

bool event_stream_is_deserted(const struct event_stream *stream) {
    struct pollfd peer = {.fd = stream->link ? stream->link->fd : -1, .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0; // never for a negative descriptor
}

void event_stream_end(struct event_stream *stream) {
    (void)pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    wake(stream);
    (void)pthread_mutex_unlock(&stream->lock);
}

// All that was there has been handed over.
static void forget_sent(struct event_stream *stream) {
    free(stream->bytes);
    stream->bytes = NULL;
    stream->length = stream->size = stream->sent = 0;
}

static ssize_t take(void *opaque, uint64_t position, char *out, size_t size) {
    (void)position;
    struct event_stream *stream = opaque;
    ssize_t taken = 0;
    bool drained = false;
    (void)pthread_mutex_lock(&stream->lock);
    if (stream->length > 0) {
        size_t rest = stream->length - stream->sent;
        taken = (ssize_t)(rest < size ? rest : size);
        memcpy(out, stream->bytes + stream->sent, (size_t)taken);
        stream->sent += (size_t)taken;
        connection_set_deadline(stream->link, stream->options.stall_ms_max);
        if (stream->sent == stream->length) {
            forget_sent(stream);
            drained = stream->refused && !stream->ended;
            stream->refused = false;
        }
    } else if (stream->ended) {
        taken = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        connection_set_deadline(stream->link, 0);
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    if (drained)
        stream->options.drained(stream->options.owner);
    return taken;
}

static void destroy(void *opaque) {
    struct event_stream *stream = opaque;
    stream->options.over(stream->options.owner);
    (void)pthread_mutex_destroy(&stream->lock);
    free(stream->bytes);
    free(stream);
}

static void bound_send_buffer(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int bytes = SEND_BUFFER_BYTES;
    if (info)
        (void)setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

bool event_stream_open(struct http_request *request, const struct event_stream_options *options,
                       struct event_stream **ret_stream) {
    struct event_stream *stream = calloc(1, sizeof(*stream));
    if (!stream || !append(stream, beginning, sizeof(beginning) - 1)) {
        free(stream);
        return false;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, take, stream, destroy);
    if (!response) {
        free(stream->bytes);
        free(stream);
        return false;
    }
    stream->options = *options;
    stream->loop = request->loop;
    stream->connection = request->connection;
    stream->link = request->link;
    (void)pthread_mutex_init(&stream->lock, NULL);
    *ret_stream = stream;
    bound_send_buffer(request->connection);
    request->close = true; // so that the end is told by the connection, too
    respond_header_text(request, "Cache-Control", "no-store");
    respond_header_text(request, "X-Accel-Buffering", "no"); // else nginx keeps events back
    respond_finish(request, 200, "text/event-stream", NULL, response);
    return true;
}
