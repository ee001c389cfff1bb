// SPDX-License-Identifier: Apache-2.0
//
// `orderlog simulate …` as a child of a test, in a folder of its own; and a liar: a server that
// gives every request the same answer, whatever it was.
#ifndef TESTS_UNIT_SIMULATED_H
#define TESTS_UNIT_SIMULATED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SIMULATED_WAIT_MS = 20000 };

struct simulated {
    const char *what; // "provider" or "carrier"
    pid_t pid;        // 0: not running
    int log_fd;
    int port; // kept over restarts
    char folder[64];
    char ledger[96];
    char url[64];
};

// A folder with an empty ledger and a port that nobody listens on; no process yet.
void simulated_init(struct simulated *simulated, const char *what);
void simulated_done(struct simulated *simulated);

// more: further arguments, ending with NULL; or NULL. Returns when it listens.
void simulated_start(struct simulated *simulated, const char *const *more);
void simulated_kill(struct simulated *simulated, int signal);

// Lines of the ledger that hold all of these words; NULL: any.
int simulated_ledger_lines(const struct simulated *simulated, const char *id, const char *action,
                           const char *result);

// Waits a millisecond, unless something happens to the child.
void simulated_breathe(const struct simulated *simulated);

struct liar {
    int fd;
    int port;
    char url[64];
    const char *answer; // raw HTTP; NULL: the connection is closed instead
    bool padded;        // followed by a megabyte of blanks
    pthread_t thread;
    _Atomic bool stop;
    _Atomic int requests;
    char first_key[128]; // Idempotency-Key of the first request
    _Atomic int other_keys;
};

void liar_start(struct liar *liar, const char *answer);
void liar_stop(struct liar *liar);

#endif
