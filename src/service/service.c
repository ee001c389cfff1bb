// SPDX-License-Identifier: Apache-2.0
//
// One stop flag with an eventfd beside it, so that threads may poll it together with their own
// descriptors. Signal handlers only touch atomics and write to the eventfd.
#include "service/service.h"

#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/spans.h"
#include "service/watchdog.h"
#include "service_state.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Atomic int stop_fd = -1;
static _Atomic bool stopping;
static _Atomic bool started;
static _Atomic int signals_seen;
static _Atomic unsigned hangups;
static _Atomic int exit_code_wanted = EXIT_OK;

static int fd_get(void) {
    int fd = atomic_load(&stop_fd);
    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(fd >= 0);
    int none = -1;
    if (!atomic_compare_exchange_strong(&stop_fd, &none, fd)) {
        (void)close(fd);
        fd = none;
    }
    return fd;
}

void service_stop(void) {
    int fd = fd_get();
    atomic_store(&stopping, true);
    (void)eventfd_write(fd, 1);
}

bool service_stopping(void) {
    return atomic_load_explicit(&stopping, memory_order_relaxed);
}

bool service_started(void) {
    return atomic_load(&started);
}

int service_stop_fd(void) {
    return fd_get();
}

bool service_wait_stop(int timeout_ms) {
    struct pollfd waited = {.fd = fd_get(), .events = POLLIN};
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    while (!service_stopping()) {
        int64_t left_ms = timeout_ms < 0 ? -1 : deadline_ms - clock_monotonic_ms();
        if (timeout_ms >= 0 && left_ms <= 0)
            break;
        (void)poll(&waited, 1, (int)left_ms);
    }
    return service_stopping();
}

void service_fail(enum exit_code code, const struct error *err) {
    LOG(ERROR, "cannot go on, stopping", F_ERR(err),
        F_STR("disposition", disposition_name(err->what)), F_INT("code", err->code),
        F_INT("exit_code", code));
    metrics_add(METRIC_ERRORS, ERROR_FATAL, 1);
    int none = EXIT_OK;
    (void)atomic_compare_exchange_strong(&exit_code_wanted, &none, (int)code);
    service_stop();
}

static void on_signal(int number) {
    (void)number;
    if (atomic_fetch_add(&signals_seen, 1) > 0)
        _exit(EXIT_FORCED);
    atomic_store(&stopping, true);
    (void)eventfd_write(atomic_load(&stop_fd), 1);
}

static void on_hangup(int number) {
    (void)number;
    atomic_fetch_add(&hangups, 1);
}

unsigned service_hangups(void) {
    return atomic_load(&hangups);
}

void service_signals_init(void) {
    (void)fd_get();
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigemptyset(&stop.sa_mask);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

// Parts start and stop in the main thread; signals must find it, not interrupt a library's thread.
static void *guard_shutdown(void *arg) {
    const struct config *config = arg;
    (void)service_wait_stop(-1);
    int fd = eventfd(0, EFD_CLOEXEC); // never written: poll is a timer that cannot be missed
    struct pollfd timer = {.fd = fd, .events = POLLIN};
    int64_t deadline_ms = clock_monotonic_ms() + config->shutdown_timeout_ms;
    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0)
            break;
        (void)poll(&timer, 1, (int)left_ms);
    }
    LOG(ERROR, "stopping takes too long, ending the process",
        F_INT("shutdown_timeout_ms", config->shutdown_timeout_ms),
        F_INT("exit_code", EXIT_SHUTDOWN_TIMEOUT));
    _exit(EXIT_SHUTDOWN_TIMEOUT);
}

static bool start_helpers(const struct config *config) {
    pthread_t shutdown_guard;
    if (!watchdog_start())
        return false;
    if (pthread_create(&shutdown_guard, NULL, guard_shutdown, (void *)config) != 0)
        return false;
    // It lives until the process ends: it guards even the last stop function.
    return pthread_detach(shutdown_guard) == 0;
}

int service_run(const char *role, const struct config *config, const struct service_part *parts,
                void *state) {
    bool slotted = (config->role & (ROLES_PROCESS | ROLE_PROJECT)) != 0;
    const int slot = slotted ? (int)config->slot : -1;
    log_init_from_words(config->log_level, config->log_format, role, slot);
    metrics_init(role, slot);
    service_signals_init();
    struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    (void)sigemptyset(&hangup.sa_mask);
    (void)sigaction(SIGHUP, &hangup, NULL);
    if (!start_helpers(config)) {
        LOG(ERROR, "cannot start threads");
        return EXIT_INTERNAL;
    }

    struct error traces;
    if (!spans_start(config, role, slot, &traces)) {
        LOG(ERROR, "cannot start", F_ERR(&traces));
        return EXIT_CONFIG;
    }

    LOG(INFO, "starting", F_STR("version", ORDERLOG_VERSION), F_INT("pid", getpid()));
    size_t running = 0;
    bool failed = false;
    while (parts[running].name && !failed && !service_stopping()) {
        struct error err = {0};
        failed = !parts[running].start(state, &err);
        if (failed) {
            (void)error_wrap(&err, "start %s", parts[running].name);
            if (!service_stopping()) // told to stop while it started: no failure
                service_fail(EXIT_UNAVAILABLE, &err);
        } else {
            running++;
        }
    }
    if (!service_stopping()) {
        atomic_store(&started, true);
        LOG(INFO, "ready");
        service_notify("READY=1");
        (void)service_wait_stop(-1);
    }

    LOG(INFO, "stopping");
    service_notify("STOPPING=1");
    while (running > 0) {
        running--;
        if (parts[running].stop)
            parts[running].stop(state);
    }
    spans_stop();
    watchdog_stop();
    int code = atomic_load(&exit_code_wanted);
    LOG(INFO, "stopped", F_INT("exit_code", code));
    return code;
}
