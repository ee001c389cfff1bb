// SPDX-License-Identifier: Apache-2.0
//
// Life of a long-running role: parts start in order, the process runs until a signal, a failure or
// the work's own end, and parts stop in reverse order, within a deadline.
//
//   static const struct service_part parts[] = {
//       {"registry", registry_start, registry_stop}, {"server", server_start, server_stop}, {0}};
//   return service_run("gateway", &config, parts, &state);
//
// The first SIGTERM or SIGINT asks for a stop; the second ends the process at once (EXIT_FORCED).
// Stopping that takes longer than shutdown.timeout.ms ends it too (EXIT_SHUTDOWN_TIMEOUT).
#ifndef ORDERLOG_SERVICE_SERVICE_H
#define ORDERLOG_SERVICE_SERVICE_H

#include "service/config.h"
#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>

// What a supervisor sees. Numbers are part of the contract; those above 63 follow sysexits.h where
// it has a fitting one.
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,       // a tool's own "no": verify found a difference, a replay lost orders
    EXIT_USAGE = 64,       // unknown command or option, or a value that is not allowed
    EXIT_BAD_INPUT = 65,   // a file given to a tool cannot be read as what it should be
    EXIT_UNAVAILABLE = 69, // broker, registry or database cannot be reached at start
    EXIT_INTERNAL = 70,    // our bug, or a fatal error of a library: restart
    EXIT_CONFIG = 78,      // a library refuses a kafka.* or postgres.* setting
    EXIT_FENCED = 80,      // another process runs in this slot: do not restart at once
    EXIT_WATCHDOG = 81,    // a guarded call hung: restart
    EXIT_FORCED = 82,      // second signal
    EXIT_SHUTDOWN_TIMEOUT = 83, // stopping took too long
    EXIT_OFFSETS_DISAGREE =
        84,               // committed offsets and the log disagree: see the message for the cure
    EXIT_NOT_SET_UP = 85, // topics, schemas or tables are missing: run `orderlog setup`
};

// start returns false with err set: parts started before are stopped and the process ends with
// EXIT_UNAVAILABLE, or with the exit_code set by service_fail() inside start. stop may be NULL and
// is called once, only after a successful start. Both run in the main thread.
struct service_part {
    const char *name;
    bool (*start)(void *state, struct error *err);
    void (*stop)(void *state);
};

// Initialises log, signals and watchdog from config, runs, and returns the process's exit code.
int service_run(const char *role, const struct config *config, const struct service_part *parts,
                void *state);

// How often SIGHUP has asked a long-running role to read its files again. Whoever holds such a file
// looks now and then. Any thread.
unsigned service_hangups(void);

// From any thread: ask the whole process to stop, as a first SIGTERM does.
void service_stop(void);

// From any thread: log err, then stop with this exit code. The first failure wins.
void service_fail(enum exit_code code, const struct error *err);

// True from the moment a stop was asked for.
bool service_stopping(void);

// Readable (poll) from that moment on; never read from it.
int service_stop_fd(void);

// Waits until a stop is asked for, at most timeout_ms (< 0: for ever). True: stop asked for.
bool service_wait_stop(int timeout_ms);

// For tools without parts: signals only (first one sets service_stopping()).
void service_signals_init(void);

// --- readiness -------------------------------------------------------------------------------
// /readyz answers 200 when all parts have started, no stop is asked for, and every check says true.

enum { SERVICE_CHECKS_MAX = 16, SERVICE_REASON_MAX = 160 };

// name is borrowed for ever (a literal). check runs in HTTP threads: quick, no waiting; it fills
// reason when it says false.
void service_check_add(const char *name,
                       bool (*check)(void *state, char reason[SERVICE_REASON_MAX]), void *state);
void service_check_remove(const char *name);

// False: ret_reason says "NAME: why" of the first check that failed.
bool service_ready(char ret_reason[SERVICE_REASON_MAX + 64]);

// One datagram to systemd's socket, when there is one: "READY=1".
void service_notify(const char *state);

#endif
