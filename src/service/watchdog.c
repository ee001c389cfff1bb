// SPDX-License-Identifier: Apache-2.0
//
// Guards are slots of a fixed array. The owner writes section and deadline, the watchdog's thread
// reads them: deadline 0 means "in no section". The section is written before the deadline, so a
// reader that sees the deadline sees a section that belongs to it or to a later one.
#include "service/watchdog.h"

#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WATCHDOG_PERIOD_MS = 100 };

struct watchdog {
    _Atomic bool taken;
    _Atomic(const char *) thread;
    _Atomic(const char *) section;
    _Atomic int64_t deadline_ms;
};

static struct watchdog guards[WATCHDOG_GUARDS_MAX];
static pthread_t thread;
static int stop_fd = -1;

struct watchdog *watchdog_register(const char *thread_name) {
    for (size_t i = 0; i < WATCHDOG_GUARDS_MAX; i++) {
        bool free_ = false;
        if (!atomic_compare_exchange_strong(&guards[i].taken, &free_, true))
            continue;
        atomic_store(&guards[i].deadline_ms, 0);
        atomic_store(&guards[i].thread, thread_name);
        return &guards[i];
    }
    assert(!"too many watchdog guards");
    return NULL;
}

void watchdog_unregister(struct watchdog *guard) {
    if (!guard)
        return;
    atomic_store(&guard->deadline_ms, 0);
    atomic_store(&guard->taken, false);
}

void watchdog_enter(struct watchdog *guard, const char *section, int64_t limit_ms) {
    assert(limit_ms > 0);
    assert(atomic_load_explicit(&guard->deadline_ms, memory_order_relaxed) == 0);
    atomic_store_explicit(&guard->section, section, memory_order_release);
    atomic_store_explicit(&guard->deadline_ms, clock_monotonic_ms() + limit_ms,
                          memory_order_release);
}

void watchdog_leave(struct watchdog *guard) {
    assert(atomic_load_explicit(&guard->deadline_ms, memory_order_relaxed) != 0);
    atomic_store_explicit(&guard->deadline_ms, 0, memory_order_release);
}

const char *watchdog_find_expired(int64_t now_ms, const char **ret_thread) {
    for (size_t i = 0; i < WATCHDOG_GUARDS_MAX; i++) {
        if (!atomic_load(&guards[i].taken))
            continue;
        int64_t deadline_ms = atomic_load_explicit(&guards[i].deadline_ms, memory_order_acquire);
        if (deadline_ms == 0 || now_ms <= deadline_ms)
            continue;
        *ret_thread = atomic_load(&guards[i].thread);
        return atomic_load_explicit(&guards[i].section, memory_order_acquire);
    }
    return NULL;
}

static void *watch(void *arg) {
    (void)arg;
    struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
    while (poll(&stop, 1, WATCHDOG_PERIOD_MS) <= 0) {
        const char *owner = NULL;
        const char *section = watchdog_find_expired(clock_monotonic_ms(), &owner);
        if (!section)
            continue;
        LOG(ERROR, "a guarded call hangs, ending the process", F_STR("thread", owner),
            F_STR("section", section), F_INT("exit_code", EXIT_WATCHDOG));
        _exit(EXIT_WATCHDOG);
    }
    return NULL;
}

bool watchdog_start(void) {
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd < 0)
        return false;
    if (pthread_create(&thread, NULL, watch, NULL) != 0) {
        (void)close(stop_fd);
        stop_fd = -1;
        return false;
    }
    return true;
}

void watchdog_stop(void) {
    if (stop_fd < 0)
        return;
    (void)eventfd_write(stop_fd, 1);
    (void)pthread_join(thread, NULL);
    (void)close(stop_fd);
    stop_fd = -1;
}
