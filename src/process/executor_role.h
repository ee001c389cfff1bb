// SPDX-License-Identifier: Apache-2.0
//
// What payment and shipping have in common: a request read from the inbox is a committed intent. It
// is handed to somebody outside, and what they say is written down and answered to the order. After
// a crash the same request is read again and asked again under the same key. What differs is one
// table per role. Inner to the roles.
#ifndef ORDERLOG_PROCESS_EXECUTOR_ROLE_H
#define ORDERLOG_PROCESS_EXECUTOR_ROLE_H

#include "domain/decision.h"
#include "stream/role.h"

enum { EXECUTOR_CALLS_MAX = 32768 }; // waiting ones included

// A role's own call begins with this.
struct executor_call {
    struct stream_token token;
    int64_t asked_us;
};

// `outside` is whoever is called: a provider, a carrier.
struct executor_kind {
    enum domain domain;
    enum record_id request; // what the role's inbox holds
    size_t call_size;       // of the role's own call
    size_t reply_offset;    // where in it the reply goes
    size_t reply_size;      // a reply begins with the uint64_t place of its call

    // Keeps in call (zeroed but for the token) what decide() needs of the request, whose text goes
    // away, and asks. False with err as in struct role's handle().
    bool (*submit)(void *outside, const void *request, uint64_t place, void *call,
                   struct error *err);
    size_t (*room)(void *outside);
    size_t (*poll)(void *outside, int64_t now_us, void *replies, size_t max);
    void (*decide)(struct decision *decision, const void *call);
    int64_t (*next_due_us)(void *outside);
    void (*free)(void *outside);
};

// A reply's text; ptr NULL for "".
struct view executor_text(const char *text);

// Takes outside over. kind: borrowed, lives as long as the role. Freed by executor_role_free().
struct role *executor_role_new(const struct executor_kind *kind, void *outside);

#endif
