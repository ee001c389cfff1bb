// SPDX-License-Identifier: Apache-2.0
#include "bench_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, HEAD_BYTES_MAX = 8192, EVENTS_MAX = 256 };

struct connection {
    int fd;
    int number;
    const char *request; // what is left to send
    size_t request_left;
    char *answer; // owned
    size_t length;
    size_t size;
    size_t wanted; // of the whole answer; 0: the head is not there yet
    size_t head;
};

void bench_http_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("bench_http: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static int open_connection(int port) {
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        bench_http_die("connect to port %d: %s", port, strerror(errno));
    return fd;
}

static void watch(int epoll, int operation, struct connection *connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.ptr = connection}};
    if (epoll_ctl(epoll, operation, connection->fd, &event) != 0)
        bench_http_die("epoll: %s", strerror(errno));
}

// False: the rest can go only later.
static bool send_rest(struct connection *connection) {
    while (connection->request_left > 0) {
        ssize_t sent = send(connection->fd, connection->request, connection->request_left,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return false;
        if (sent < 0)
            bench_http_die("send: %s", strerror(errno));
        connection->request += sent;
        connection->request_left -= (size_t)sent;
    }
    return true;
}

static void look_at_head(const struct bench_http_load *load, struct connection *connection) {
    connection->answer[connection->length] = '\0';
    const char *end = strstr(connection->answer, "\r\n\r\n");
    if (!end && connection->length > HEAD_BYTES_MAX)
        bench_http_die("an answer without an end of its head");
    if (!end)
        return;
    if (atoi(connection->answer + strlen("HTTP/1.1 ")) != load->status)
        bench_http_die("not a %d: %.700s", load->status, connection->answer);
    const char *length = strcasestr(connection->answer, "\r\nContent-Length: ");
    connection->head = (size_t)(end - connection->answer) + 4;
    connection->wanted = connection->head;
    if (length && length < end)
        connection->wanted += (size_t)atol(length + strlen("\r\nContent-Length: "));
}

// True when all of an answer is there.
static bool receive(const struct bench_http_load *load, struct connection *connection) {
    for (;;) {
        if (connection->length + READ_BYTES + 1 > connection->size) {
            connection->size = connection->size * 2 + READ_BYTES + 1;
            connection->answer = realloc(connection->answer, connection->size);
            if (!connection->answer)
                bench_http_die("out of memory");
        }
        ssize_t got =
            recv(connection->fd, connection->answer + connection->length, READ_BYTES, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0)
            bench_http_die("recv: %s", got < 0 ? strerror(errno) : "the server closed");
        connection->length += (size_t)got;
        if (connection->wanted == 0)
            look_at_head(load, connection);
        if (connection->wanted > 0 && connection->length >= connection->wanted)
            return true;
    }
}

// False: there are no more requests.
static bool begin(const struct bench_http_load *load, struct connection *connection, int epoll) {
    connection->length = connection->wanted = 0;
    if (!load->next(load->state, connection->number, &connection->request,
                    &connection->request_left))
        return false;
    if (!send_rest(connection))
        watch(epoll, EPOLL_CTL_MOD, connection, EPOLLIN | EPOLLOUT);
    return true;
}

// Paced connections without a request: a ring, so that none is left so long that the server closes
// it.
struct idle {
    struct connection **connections;
    int size;
    int first;
    int count;
};

static void idle_put(struct idle *idle, struct connection *connection) {
    idle->connections[(idle->first + idle->count++) % idle->size] = connection;
}

static struct connection *idle_take(struct idle *idle) {
    struct connection *connection = idle->connections[idle->first];
    idle->first = (idle->first + 1) % idle->size;
    idle->count--;
    return connection;
}

static void on_event(const struct bench_http_load *load, struct connection *connection, int epoll,
                     uint32_t events, struct idle *idle, int *open, uint64_t *count) {
    if ((events & EPOLLOUT) && send_rest(connection))
        watch(epoll, EPOLL_CTL_MOD, connection, EPOLLIN);
    if (!(events & ~(uint32_t)EPOLLOUT) || !receive(load, connection))
        return;
    (*count)++;
    if (load->answered)
        load->answered(load->state, connection->number, connection->answer + connection->head,
                       connection->length - connection->head);
    if (load->due_us)
        idle_put(idle, connection);
    else if (!begin(load, connection, epoll))
        (*open)--;
}

// Sends what is due, as far as connections are free. Returns how long to wait for an answer at
// most; NULL: until there is one.
static const struct timespec *send_due(const struct bench_http_load *load, struct idle *idle,
                                       int epoll, int *open, struct timespec *ret) {
    while (load->due_us && idle->count > 0) {
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        const int64_t left_us =
            load->due_us(load->state) - (int64_t)now.tv_sec * 1000000 - now.tv_nsec / 1000;
        if (left_us > 0) {
            *ret = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
            return ret;
        }
        if (!begin(load, idle_take(idle), epoll))
            (*open)--;
    }
    return NULL;
}

uint64_t bench_http_run(const struct bench_http_load *load) {
    uint64_t count = 0;
    int open = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc((size_t)load->connections, sizeof(*all));
    struct idle idle = {.connections = calloc((size_t)load->connections, sizeof(all)),
                        .size = load->connections};
    if (epoll < 0 || !all || !idle.connections)
        bench_http_die("out of memory");
    for (int i = 0; i < load->connections; i++) {
        all[i].number = i;
        all[i].fd = open_connection(load->port);
        watch(epoll, EPOLL_CTL_ADD, &all[i], EPOLLIN);
    }
    for (int i = 0; i < load->connections; i++) {
        if (load->due_us)
            idle_put(&idle, &all[i]);
        open += load->due_us || begin(load, &all[i], epoll);
    }
    while (open > 0) {
        struct epoll_event events[EVENTS_MAX];
        struct timespec patience;
        const struct timespec *until = send_due(load, &idle, epoll, &open, &patience);
        int ready = open > 0 ? epoll_pwait2(epoll, events, EVENTS_MAX, until, NULL) : 0;
        for (int i = 0; i < ready; i++)
            on_event(load, events[i].data.ptr, epoll, events[i].events, &idle, &open, &count);
    }
    free(idle.connections);
    for (int i = 0; i < load->connections; i++) {
        (void)close(all[i].fd);
        free(all[i].answer);
    }
    free(all);
    (void)close(epoll);
    return count;
}
