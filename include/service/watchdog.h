// SPDX-License-Identifier: Apache-2.0
//
// Ends the process (log line, then _exit(EXIT_WATCHDOG)) when a guarded call hangs, as
// those of client libraries are known to: nothing inside the process can undo that, a restart can.
//
//   struct watchdog *guard = watchdog_register("order-worker");   // once per thread
//   watchdog_enter(guard, "EndTxn", config->watchdog_ms);
//   …the call…
//   watchdog_leave(guard);
//
// Two atomic stores per section. Sections of one guard do not nest.
#ifndef ORDERLOG_SERVICE_WATCHDOG_H
#define ORDERLOG_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

enum { WATCHDOG_GUARDS_MAX = 128 };

struct watchdog;

// Starts the thread; service_run() does this. Guards work before too, but nothing looks at them.
bool watchdog_start(void);
void watchdog_stop(void);

// thread is borrowed for ever (a literal). Asserts that there are not too many.
struct watchdog *watchdog_register(const char *thread);
void watchdog_unregister(struct watchdog *guard); // NULL is fine

// section is borrowed until the leave.
void watchdog_enter(struct watchdog *guard, const char *section, int64_t limit_ms);
void watchdog_leave(struct watchdog *guard);

// What the thread does every 100 ms: returns the first guard past its limit, NULL if none. Tests.
const char *watchdog_find_expired(int64_t now_ms, const char **ret_thread);

#endif
