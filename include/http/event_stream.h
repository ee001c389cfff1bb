// SPDX-License-Identifier: Apache-2.0
//
// An answer that goes on: server-sent events (WHATWG HTML, "Server-sent events"). A stream stands
// between whoever makes events, in any thread, and the HTTP thread that sends them. It holds a few
// KiB at most and, while there is nothing to send, nothing; a client that does not take what is
// there within a time is dropped.
//
//   open ──▶ push … push ──▶ end (ours), or the client goes ──▶ over(), once, in an HTTP thread
#ifndef ORDERLOG_HTTP_EVENT_STREAM_H
#define ORDERLOG_HTTP_EVENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;
struct event_stream;

struct event_stream_options {
    size_t bytes_max;     // that wait to be sent; one event alone may be larger
    int64_t stall_ms_max; // for the client to take what waits
    // After a push was refused and all that waited was handed to the connection. HTTP thread.
    void (*drained)(void *owner);
    // The last call: afterwards the stream is gone. HTTP thread.
    void (*over)(void *owner);
    void *owner;
};

// Answers 200 and begins with a comment and `retry:`. ret_stream is set before any callback can
// come. False: out of memory, not answered.
bool event_stream_open(struct http_request *request, const struct event_stream_options *options,
                       struct event_stream **ret_stream);

// Hands over bytes that end whole events. False: there is no room, drained() will tell. Between
// open and over.
bool event_stream_push(struct event_stream *stream, const char *bytes, size_t length);

// Whether the client has closed its side: libmicrohttpd does not look at a connection for which
// there is nothing to send. Between open and over; one system call.
bool event_stream_is_deserted(const struct event_stream *stream);

// What waits is sent, then the answer ends; over() follows.
void event_stream_end(struct event_stream *stream);

#endif
