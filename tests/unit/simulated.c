// SPDX-License-Identifier: Apache-2.0
#include "simulated.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/clock.h"

enum { ARGUMENTS_MAX = 32, REQUEST_MAX = 8192 };

static int bound_socket(int *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    assert(good);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

// ---- the child ---------------------------------------------------------------------------------

void simulated_init(struct simulated *simulated, const char *what) {
    *simulated = (struct simulated){.what = what, .log_fd = -1};
    (void)snprintf(simulated->folder, sizeof(simulated->folder), "/tmp/orderlog-simulated-XXXXXX");
    char *folder = mkdtemp(simulated->folder);
    assert(folder);
    (void)snprintf(simulated->ledger, sizeof(simulated->ledger), "%s/ledger", folder);
    int fd = bound_socket(&simulated->port);
    (void)close(fd);
    (void)snprintf(simulated->url, sizeof(simulated->url), "http://127.0.0.1:%d", simulated->port);
}

void simulated_done(struct simulated *simulated) {
    if (simulated->pid)
        simulated_kill(simulated, SIGTERM);
    (void)unlink(simulated->ledger);
    (void)rmdir(simulated->folder);
}

static void become(const struct simulated *simulated, const char *const *more) {
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", simulated->port);
    const char *program = getenv("ORDERLOG_PROGRAM");
    const char *arguments[ARGUMENTS_MAX] = {program, "simulate", simulated->what,  "--port",
                                            port,    "--ledger", simulated->ledger};
    int count = 7;
    for (; more && *more; more++)
        arguments[count++] = *more;
    (void)execv(program, (char *const *)arguments);
    _exit(127);
}

void simulated_start(struct simulated *simulated, const char *const *more) {
    assert(getenv("ORDERLOG_PROGRAM") && !simulated->pid);
    int log[2];
    int failed = pipe2(log, O_CLOEXEC);
    assert(!failed);
    simulated->pid = fork();
    assert(simulated->pid >= 0);
    if (simulated->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that dies leaves nothing behind
        (void)dup2(log[1], STDERR_FILENO);
        become(simulated, more);
    }
    (void)close(log[1]);
    simulated->log_fd = log[0];

    char text[4096] = "";
    size_t length = 0;
    int64_t deadline_ms = clock_monotonic_ms() + SIMULATED_WAIT_MS;
    struct pollfd said = {.fd = log[0], .events = POLLIN};
    while (!strstr(text, "listening") && clock_monotonic_ms() < deadline_ms) {
        if (poll(&said, 1, 100) <= 0)
            continue;
        ssize_t got = read(log[0], text + length, sizeof(text) - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        text[length] = '\0';
    }
    if (!strstr(text, "listening")) {
        (void)fprintf(stderr, "the simulator did not start: %s\n", text);
        abort();
    }
}

void simulated_kill(struct simulated *simulated, int signal) {
    (void)kill(simulated->pid, signal);
    (void)waitpid(simulated->pid, NULL, 0);
    (void)close(simulated->log_fd);
    simulated->pid = 0;
    simulated->log_fd = -1;
}

void simulated_breathe(const struct simulated *simulated) {
    struct pollfd died = {.fd = simulated->log_fd, .events = 0};
    (void)poll(&died, 1, 1);
}

int simulated_ledger_lines(const struct simulated *simulated, const char *id, const char *action,
                           const char *result) {
    FILE *file = fopen(simulated->ledger, "re");
    if (!file)
        return 0;
    char line[512];
    int count = 0;
    while (fgets(line, sizeof(line), file)) {
        char effect[64], did[32], became[32];
        if (sscanf(line, "%*s %63s %*s %31s %31s", effect, did, became) != 3)
            continue;
        count += (!id || strcmp(id, effect) == 0) && (!action || strcmp(action, did) == 0) &&
                 (!result || strcmp(result, became) == 0);
    }
    (void)fclose(file);
    return count;
}

// ---- the liar ----------------------------------------------------------------------------------

// One request, head and body. False: the peer has gone.
static bool read_request(int fd, char text[REQUEST_MAX]) {
    size_t length = 0;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    for (;;) {
        text[length] = '\0';
        const char *body = strstr(text, "\r\n\r\n");
        const char *announced = strcasestr(text, "Content-Length: ");
        size_t wanted = announced ? (size_t)atoi(announced + 16) : 0;
        if (body && strlen(body + 4) >= wanted)
            return true;
        if (poll(&ready, 1, 1000) <= 0)
            return false;
        ssize_t got = read(fd, text + length, REQUEST_MAX - 1 - length);
        if (got <= 0)
            return false;
        length += (size_t)got;
    }
}

static void note_key(struct liar *liar, const char *request) {
    const char *at = strcasestr(request, "Idempotency-Key: ");
    char key[128] = "";
    if (at)
        (void)sscanf(at + 17, "%127[^\r]", key);
    if (atomic_fetch_add(&liar->requests, 1) == 0)
        memcpy(liar->first_key, key, sizeof(key));
    else if (strcmp(key, liar->first_key) != 0)
        atomic_fetch_add(&liar->other_keys, 1);
}

static void answer_one(struct liar *liar, int fd) {
    char request[REQUEST_MAX];
    if (!read_request(fd, request))
        return;
    note_key(liar, request);
    if (!liar->answer)
        return;
    (void)send(fd, liar->answer, strlen(liar->answer), MSG_NOSIGNAL);
    static const char blanks[4096] = {[0 ... 4095] = ' '};
    for (int i = 0; liar->padded && i < 256; i++)
        if (send(fd, blanks, sizeof(blanks), MSG_NOSIGNAL) < 0)
            return;
}

static void *lie(void *state) {
    struct liar *liar = state;
    struct pollfd ready = {.fd = liar->fd, .events = POLLIN};
    while (!atomic_load(&liar->stop)) {
        if (poll(&ready, 1, 20) <= 0)
            continue;
        int fd = accept4(liar->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        answer_one(liar, fd);
        (void)shutdown(fd, SHUT_WR);
        (void)close(fd);
    }
    return NULL;
}

void liar_start(struct liar *liar, const char *answer) {
    *liar = (struct liar){.answer = answer};
    liar->fd = bound_socket(&liar->port);
    int failed = listen(liar->fd, 1024);
    assert(!failed);
    (void)snprintf(liar->url, sizeof(liar->url), "http://127.0.0.1:%d/", liar->port);
    failed = pthread_create(&liar->thread, NULL, lie, liar);
    assert(!failed);
}

void liar_stop(struct liar *liar) {
    atomic_store(&liar->stop, true);
    (void)pthread_join(liar->thread, NULL);
    (void)close(liar->fd);
}
