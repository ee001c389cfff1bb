// SPDX-License-Identifier: Apache-2.0
//
// Readiness: the list of checks, and the word to systemd.
#include "service/service.h"
#include "service_state.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct check {
    const char *name;
    bool (*run)(void *state, char reason[SERVICE_REASON_MAX]);
    void *state;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct check checks[SERVICE_CHECKS_MAX];
static size_t checks_count;

void service_check_add(const char *name,
                       bool (*check)(void *state, char reason[SERVICE_REASON_MAX]), void *state) {
    (void)pthread_mutex_lock(&lock);
    assert(checks_count < SERVICE_CHECKS_MAX);
    checks[checks_count++] = (struct check){.name = name, .run = check, .state = state};
    (void)pthread_mutex_unlock(&lock);
}

void service_check_remove(const char *name) {
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < checks_count; i++) {
        if (strcmp(checks[i].name, name) != 0)
            continue;
        checks[i] = checks[--checks_count];
        break;
    }
    (void)pthread_mutex_unlock(&lock);
}

bool service_ready(char ret_reason[SERVICE_REASON_MAX + 64]) {
    ret_reason[0] = '\0';
    if (service_stopping()) {
        (void)snprintf(ret_reason, SERVICE_REASON_MAX, "service: stopping");
        return false;
    }
    if (!service_started()) {
        (void)snprintf(ret_reason, SERVICE_REASON_MAX, "service: starting");
        return false;
    }
    // Held while the checks run, so that a part that has removed its check may free its state.
    (void)pthread_mutex_lock(&lock);
    bool ready = true;
    for (size_t i = 0; ready && i < checks_count; i++) {
        char reason[SERVICE_REASON_MAX] = "";
        ready = checks[i].run(checks[i].state, reason);
        if (!ready)
            (void)snprintf(ret_reason, SERVICE_REASON_MAX + 64, "%.60s: %s", checks[i].name,
                           reason);
    }
    (void)pthread_mutex_unlock(&lock);
    return ready;
}

void service_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !path[0] || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0'; // abstract namespace
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    (void)close(fd);
}
