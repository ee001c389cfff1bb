// SPDX-License-Identifier: Apache-2.0
//
// curl says which sockets it waits for and when its next time-out is; poll looks at both and tells
// curl. The easy handles are made once and used again, which keeps their connections.
#include "http_wire.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "service/clock.h"

enum { EVENTS_MAX = 64, ROUNDS_MAX = 32, URL_MAX = 1024 };

struct exchange {
    CURL *easy; // owned; made when first needed
    struct curl_slist *headers;
    uint32_t number;
    uint32_t tag;
    bool open;
    bool too_long;
    struct wire_request request; // curl reads the body from here
    char reply[WIRE_REPLY_MAX];
    size_t reply_length;
};

struct http_wire {
    CURLM *multi;
    int epoll_fd;
    int64_t timer_us; // monotonic, INT64_MAX: none
    char url[URL_MAX];
    char authorization[URL_MAX];
    struct http_wire_options options;
    struct exchange *exchanges; // owned
    uint32_t *free;             // owned: a stack
    int free_count;
};

// ---- what curl asks for ------------------------------------------------------------------------

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *state, void *socket_state) {
    (void)easy;
    (void)socket_state;
    struct http_wire *wire = state;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(wire->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(wire->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    return epoll_ctl(wire->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *state) {
    (void)multi;
    struct http_wire *wire = state;
    wire->timer_us = timeout_ms < 0 ? INT64_MAX : clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    return 0;
}

static size_t take_reply(char *bytes, size_t size, size_t count, void *state) {
    struct exchange *exchange = state;
    size_t length = size * count;
    if (length > WIRE_REPLY_MAX - exchange->reply_length) {
        exchange->too_long = true;
        return 0; // ends the exchange
    }
    memcpy(exchange->reply + exchange->reply_length, bytes, length);
    exchange->reply_length += length;
    return length;
}

// ---- life --------------------------------------------------------------------------------------

static bool set_up(struct http_wire *wire, struct error *err) {
    const struct http_wire_options *options = &wire->options;
    size_t length = strlen(options->url);
    while (length > 0 && options->url[length - 1] == '/')
        length--;
    if (length == 0 || length >= URL_MAX ||
        (strncmp(options->url, "http://", 7) != 0 && strncmp(options->url, "https://", 8) != 0))
        return error_set(err, DISP_FATAL, 0, "'%s' is not a URL of http or https", options->url);
    memcpy(wire->url, options->url, length);
    if (options->bearer &&
        snprintf(wire->authorization, sizeof(wire->authorization), "Authorization: Bearer %s",
                 options->bearer) >= (int)sizeof(wire->authorization))
        return error_set(err, DISP_FATAL, 0, "the key for %s is too long", options->url);

    wire->exchanges = calloc((size_t)options->exchanges_max, sizeof(*wire->exchanges));
    wire->free = calloc((size_t)options->exchanges_max, sizeof(*wire->free));
    wire->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        wire->multi = curl_multi_init();
    if (!wire->exchanges || !wire->free || wire->epoll_fd < 0 || !wire->multi)
        return error_set(err, DISP_FATAL, errno, "cannot prepare for calls to %s", options->url);
    for (int i = options->exchanges_max; i > 0; i--) {
        wire->exchanges[i - 1].number = (uint32_t)(i - 1);
        wire->free[wire->free_count++] = (uint32_t)(i - 1);
    }
    (void)curl_multi_setopt(wire->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)curl_multi_setopt(wire->multi, CURLMOPT_SOCKETDATA, wire);
    (void)curl_multi_setopt(wire->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(wire->multi, CURLMOPT_TIMERDATA, wire);
    (void)curl_multi_setopt(wire->multi, CURLMOPT_MAXCONNECTS, (long)options->exchanges_max);
    return true;
}

struct http_wire *http_wire_new(const struct http_wire_options *options, struct error *err) {
    struct http_wire *wire = calloc(1, sizeof(*wire));
    if (!wire) {
        (void)error_set(err, DISP_FATAL, 0, "out of memory");
        return NULL;
    }
    wire->options = *options;
    wire->epoll_fd = -1;
    wire->timer_us = INT64_MAX;
    if (!set_up(wire, err)) {
        http_wire_free(wire);
        return NULL;
    }
    return wire;
}

static void close_exchange(struct http_wire *wire, struct exchange *exchange) {
    (void)curl_multi_remove_handle(wire->multi, exchange->easy);
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
    exchange->open = false;
    wire->free[wire->free_count++] = exchange->number;
}

void http_wire_free(struct http_wire *wire) {
    if (!wire)
        return;
    for (int i = 0; wire->exchanges && i < wire->options.exchanges_max; i++) {
        if (wire->exchanges[i].open)
            close_exchange(wire, &wire->exchanges[i]);
        if (wire->exchanges[i].easy)
            curl_easy_cleanup(wire->exchanges[i].easy);
    }
    if (wire->multi)
        (void)curl_multi_cleanup(wire->multi);
    if (wire->epoll_fd >= 0)
        (void)close(wire->epoll_fd);
    free(wire->exchanges);
    free(wire->free);
    free(wire);
}

// ---- exchanges ---------------------------------------------------------------------------------

int http_wire_room(const struct http_wire *wire) {
    return wire->free_count;
}

int http_wire_open(const struct http_wire *wire) {
    return wire->options.exchanges_max - wire->free_count;
}

static bool make_easy(struct http_wire *wire, struct exchange *exchange) {
    if (exchange->easy)
        return true;
    CURL *easy = curl_easy_init();
    exchange->easy = easy;
    return easy && curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_reply) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)wire->options.connect_timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)wire->options.timeout_ms) == CURLE_OK;
}

static bool add_header(struct exchange *exchange, const char *line) {
    struct curl_slist *longer = curl_slist_append(exchange->headers, line);
    if (longer)
        exchange->headers = longer;
    return longer != NULL;
}

static bool make_headers(const struct http_wire *wire, struct exchange *exchange) {
    const struct wire_request *request = &exchange->request;
    char line[WIRE_KEY_MAX + 32];
    (void)snprintf(line, sizeof(line), "Idempotency-Key: %s", request->key);
    return add_header(exchange, "Accept: application/json") &&
           (!wire->authorization[0] || add_header(exchange, wire->authorization)) &&
           (!request->key[0] || add_header(exchange, line)) &&
           (!request->body[0] || add_header(exchange, "Content-Type: application/json"));
}

static bool aim(const struct http_wire *wire, struct exchange *exchange) {
    char url[URL_MAX + WIRE_PATH_MAX];
    (void)snprintf(url, sizeof(url), "%s%s", wire->url, exchange->request.path);
    CURL *easy = exchange->easy;
    bool good = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK;
    if (!exchange->request.body[0])
        return good && curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return good && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->request.body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, -1L) == CURLE_OK;
}

int http_wire_send(struct http_wire *wire, uint32_t tag, const struct wire_request *request) {
    assert(wire->free_count > 0);
    struct exchange *exchange = &wire->exchanges[wire->free[wire->free_count - 1]];
    exchange->tag = tag;
    exchange->request = *request;
    exchange->reply_length = 0;
    exchange->too_long = false;
    if (make_easy(wire, exchange) && make_headers(wire, exchange) && aim(wire, exchange) &&
        curl_multi_add_handle(wire->multi, exchange->easy) == CURLM_OK) {
        wire->free_count--;
        exchange->open = true;
        return (int)exchange->number;
    }
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
    return -1;
}

void http_wire_cancel(struct http_wire *wire, int exchange) {
    assert(wire->exchanges[exchange].open);
    close_exchange(wire, &wire->exchanges[exchange]);
}

// ---- moving on ---------------------------------------------------------------------------------

static void look_at_sockets(struct http_wire *wire) {
    struct epoll_event events[EVENTS_MAX];
    int running = 0;
    int count = EVENTS_MAX;
    for (int round = 0; round < ROUNDS_MAX && count == EVENTS_MAX; round++) {
        count = epoll_wait(wire->epoll_fd, events, EVENTS_MAX, 0);
        for (int i = 0; i < count; i++) {
            uint32_t seen = events[i].events;
            int mask = (seen & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (seen & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (seen & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            (void)curl_multi_socket_action(wire->multi, events[i].data.fd, mask, &running);
        }
    }
}

static void look_at_clock(struct http_wire *wire) {
    int running = 0;
    for (int round = 0; round < 2 && wire->timer_us <= clock_monotonic_us(); round++) {
        wire->timer_us = INT64_MAX;
        (void)curl_multi_socket_action(wire->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

static void describe(const struct exchange *exchange, CURLcode code, struct wire_reply *ret) {
    *ret = (struct wire_reply){.tag = exchange->tag};
    if (exchange->too_long) {
        ret->failure = "the answer is too long";
    } else if (code != CURLE_OK) {
        ret->failure = curl_easy_strerror(code);
    } else {
        curl_off_t retry_after_s = 0;
        (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &ret->status);
        (void)curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        if (retry_after_s > 0 && retry_after_s < 86400)
            ret->retry_after_us = (int64_t)retry_after_s * 1000000;
        ret->body = exchange->reply;
        ret->length = exchange->reply_length;
    }
}

int http_wire_poll(struct http_wire *wire,
                   void (*ended)(void *context, const struct wire_reply *reply), void *context) {
    if (http_wire_open(wire) == 0)
        return 0;
    look_at_sockets(wire);
    look_at_clock(wire);
    int ended_count = 0;
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(wire->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct exchange *exchange = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        struct wire_reply reply;
        describe(exchange, message->data.result, &reply);
        ended(context, &reply);
        close_exchange(wire, exchange);
        ended_count++;
    }
    return ended_count;
}
