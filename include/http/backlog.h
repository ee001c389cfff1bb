// SPDX-License-Identifier: Apache-2.0
//
// How far the processors of one domain are behind, in time: the age of the oldest record of their
// inbox that they have not committed, seen from the gateway a few times a second. Above the bound
// what would add to it is put off and batches wait; whoever waits is woken when it has gone down,
// or when the service stops.
#ifndef ORDERLOG_HTTP_BACKLOG_H
#define ORDERLOG_HTTP_BACKLOG_H

#include "service/config.h"
#include "service/error.h"
#include "stream/topics.h"

#include <stdbool.h>
#include <stdint.h>

struct backlog;

// Embedded in what waits; zeroed before its first use.
struct backlog_waiter {
    struct backlog_waiter *next;
    struct backlog_waiter *previous;
    bool waiting;
    void (*wake)(void *state); // in the backlog's thread; quick
    void *state;
};

bool backlog_start(const struct config *config, enum domain domain, struct backlog **ret,
                   struct error *err);
void backlog_stop(struct backlog *backlog); // NULL is fine

// Any thread.
const char *backlog_inbox(const struct backlog *backlog); // the topic
int64_t backlog_lag_ms(const struct backlog *backlog);
bool backlog_over(const struct backlog *backlog);

// Wakes once, later. False: there is nothing to wait for any more, wake is not called.
bool backlog_wait(struct backlog *backlog, struct backlog_waiter *waiter);

// After it wake is not called. Fine when not waiting.
void backlog_forget(struct backlog *backlog, struct backlog_waiter *waiter);

#endif
