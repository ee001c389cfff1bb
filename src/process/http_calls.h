// SPDX-License-Identifier: Apache-2.0
//
// Calls over HTTP that end well, or are asked again with the same key: queue, tries, back-off with
// full jitter, circuit breaker. What a call asks and what an answer means are the client's affair
// (provider_http.c, carrier_http.c). Many calls in flight, one thread, nothing waits.
//
//   taken ──ready──▶ READY ──sent──▶ OPEN ──answered──▶ DONE ──released──▶ free
//                      ▲              │
//                      └── RESTING ◀──┘ failed, or to be asked again later
#ifndef ORDERLOG_PROCESS_HTTP_CALLS_H
#define ORDERLOG_PROCESS_HTTP_CALLS_H

#include "http_wire.h"
#include "process/http_client_options.h"

enum http_verdict {
    HTTP_ANSWERED,  // the call is done
    HTTP_ASK_LATER, // all is well: ask again after *ret_again_us
    HTTP_FAILED,    // no answer that can be used: try again
};

// Called from http_calls_poll(). A place is a number below in_flight_max.
struct http_calls_hooks {
    void (*request)(void *context, uint32_t place, struct wire_request *ret);

    // A reply with a status. HTTP_FAILED: ret_why is set (bounded, for people).
    enum http_verdict (*judge)(void *context, uint32_t place, const struct wire_reply *reply,
                               int64_t *ret_again_us, const char **ret_why);

    // The tries are spent, and the last one was answered, but badly. NULL: tries never are.
    void (*give_up)(void *context, uint32_t place, const char *why);
};

struct http_calls;

// hooks and context are borrowed. NULL with err.
struct http_calls *http_calls_new(const struct http_client_options *options,
                                  const struct http_calls_hooks *hooks, void *context,
                                  struct error *err);
void http_calls_free(struct http_calls *calls); // NULL is fine

size_t http_calls_room(const struct http_calls *calls);

// False: none is free.
bool http_calls_take(struct http_calls *calls, uint32_t *ret_place);

// Of a taken place: it may be sent.
void http_calls_ready(struct http_calls *calls, uint32_t place);

// The answer is no longer wanted; the place is free at once, or when its rest is over.
void http_calls_forget(struct http_calls *calls, uint32_t place);

void http_calls_poll(struct http_calls *calls);

// The next place that is DONE; it is the caller's until released. False: none.
bool http_calls_done(struct http_calls *calls, uint32_t *ret_place);
void http_calls_release(struct http_calls *calls, uint32_t place);

// As in provider.h, by the wall clock.
int64_t http_calls_next_due_us(const struct http_calls *calls);

#endif
