// SPDX-License-Identifier: Apache-2.0
//
// Orders followed as server-sent events: nothing missed, nothing twice, whatever happens to the
// service, and nobody slow in the way of others.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "http/query.h"
#include "query_fixture.h"

enum { THOUSANDS = 5000, RESTARTS = 5, CHANGES = 400, DEADLINE_MS = 20000 };

struct client {
    int fd;
    int status;
    int64_t last; // id of the last event read
    char bytes[65536];
    size_t length; // read
    size_t at;     // looked through
};

static bool fill(struct client *client, int timeout_ms) {
    struct pollfd readable = {.fd = client->fd, .events = POLLIN};
    if (client->at > sizeof(client->bytes) / 2) {
        client->length -= client->at;
        memmove(client->bytes, client->bytes + client->at, client->length);
        client->at = 0;
    }
    if (poll(&readable, 1, timeout_ms) <= 0)
        return false;
    ssize_t got = recv(client->fd, client->bytes + client->length,
                       sizeof(client->bytes) - 1 - client->length, 0);
    if (got <= 0)
        return false;
    client->length += (size_t)got;
    client->bytes[client->length] = '\0';
    return true;
}

// Behind the next occurrence of the text; NULL: the stream has ended, or the deadline has passed.
static const char *await_text(struct client *client, const char *text) {
    const int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        const char *found = strstr(client->bytes + client->at, text);
        if (found) {
            client->at = (size_t)(found - client->bytes) + strlen(text);
            return client->bytes + client->at;
        }
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || !fill(client, (int)left_ms))
            return NULL;
    }
}

static int dial(int receive_bytes) {
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)query_port(query)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        assert_int_equal(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static bool send_request(int fd, const char *key, uint64_t n, const char *version) {
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s%s%s\r\n",
                          order_path(n, "/stream"), key, version ? "Last-Event-ID: " : "",
                          version ? version : "", version ? "\r\n" : "");
    return send(fd, text, (size_t)length, MSG_NOSIGNAL) == length;
}

// Follows order n. False: nobody answers there.
static bool follow(struct client *client, uint64_t n, const char *version) {
    client->length = client->at = 0;
    client->bytes[0] = '\0';
    client->fd = dial(0);
    if (client->fd < 0)
        return false;
    const char *status =
        send_request(client->fd, "ol_main_x", n, version) ? await_text(client, "HTTP/1.1 ") : NULL;
    client->status = status ? atoi(status) : 0;
    return status != NULL;
}

static void leave(struct client *client) {
    (void)close(client->fd);
    client->fd = -1;
}

// The id of the next event; -1: there is none any more.
static int64_t next_event(struct client *client) {
    const char *id = await_text(client, "id: ");
    if (!id || !await_text(client, "\n\n"))
        return -1;
    client->last = strtoll(id, NULL, 10);
    return client->last;
}

static void change(uint64_t n, int64_t version) {
    struct order_cancelled cancelled = fixture_cancelled(n, version);
    const struct projection_record record = {RECORD_ORDER_CANCELLED, &cancelled, 0, log_end++};
    feed(every_model(), &record, 1);
}

static struct client client;

static void what_happens_is_told_as_it_happens(void **state) {
    (void)state;
    assert_true(follow(&client, 5, NULL));
    assert_int_equal(client.status, 200);
    assert_non_null(await_text(&client, "Content-Type: text/event-stream"));
    assert_non_null(await_text(&client, "retry: "));
    assert_non_null(await_text(&client, "id: 1\nevent: OrderPlaced\ndata: {\"version\":1,"));
    change(5, 2);
    assert_non_null(await_text(&client, "id: 2\nevent: OrderCancelled\ndata: {\"version\":2,"));
    assert_non_null(await_text(&client, "\"status\":\"CANCELLED\""));
    change(6, 2); // somebody else's
    change(5, 3);
    assert_int_equal(next_event(&client), 3);
    leave(&client);
}

static void who_has_seen_something_is_told_the_rest(void **state) {
    (void)state;
    for (int64_t version = 2; version <= 5; version++)
        change(7, version);
    assert_true(follow(&client, 7, "3"));
    assert_int_equal(next_event(&client), 4);
    assert_int_equal(next_event(&client), 5);
    leave(&client);
    assert_true(follow(&client, 7, "5"));
    change(7, 6);
    assert_int_equal(next_event(&client), 6);
    leave(&client);
}

static void more_events_than_one_read_gives_all_come(void **state) {
    (void)state;
    for (int64_t version = 2; version <= 250; version++)
        change(8, version);
    assert_true(follow(&client, 8, NULL));
    for (int64_t version = 1; version <= 250; version++)
        assert_int_equal(next_event(&client), version);
    leave(&client);
}

static void *change_often(void *arg) {
    (void)arg;
    for (int64_t version = 2; version <= CHANGES; version++) {
        change(9, version);
        change(10, version);
        (void)poll(NULL, 0, 1); // the pace of the load, nothing is waited for
    }
    return NULL;
}

// Reads until the service goes away, and asserts that each event is the next one.
static void read_on(struct client *one, int64_t until) {
    while (one->last < until) {
        int64_t before = one->last;
        int64_t id = next_event(one);
        if (id < 0) {
            one->last = before;
            return;
        }
        assert_int_equal(id, before + 1);
    }
}

static void a_restart_of_the_service_leaves_no_gap_and_no_double(void **state) {
    (void)state;
    static struct client clients[2];
    pthread_t feeder;
    for (uint64_t i = 0; i < 2; i++) {
        clients[i].last = 0;
        assert_true(follow(&clients[i], 9 + i, NULL));
    }
    assert_int_equal(pthread_create(&feeder, NULL, change_often, NULL), 0);
    for (int restart = 1; restart <= RESTARTS; restart++) {
        const int64_t until = CHANGES * restart / (RESTARTS + 1);
        for (uint64_t i = 0; i < 2; i++)
            read_on(&clients[i], until);
        query_stop(query);
        for (uint64_t i = 0; i < 2; i++) { // what was sent before it stopped is still there
            read_on(&clients[i], INT64_MAX);
            leave(&clients[i]);
        }
        start_query();
        for (uint64_t i = 0; i < 2; i++) {
            char version[24];
            (void)snprintf(version, sizeof(version), "%lld", (long long)clients[i].last);
            assert_true(follow(&clients[i], 9 + i, version));
            assert_int_equal(clients[i].status, 200);
        }
    }
    for (uint64_t i = 0; i < 2; i++) {
        read_on(&clients[i], CHANGES);
        assert_int_equal(clients[i].last, CHANGES);
        leave(&clients[i]);
    }
    (void)pthread_join(feeder, NULL);
}

static void killed_database_connections_lose_no_event(void **state) {
    (void)state;
    assert_true(follow(&client, 11, NULL));
    assert_int_equal(next_event(&client), 1);
    for (int64_t version = 2; version <= 20; version++) {
        (void)fixture_count(db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                "WHERE datname = current_database() "
                                "AND application_name LIKE 'orderlog query%'");
        change(11, version);
        assert_int_equal(next_event(&client), version);
    }
    leave(&client);
}

static void what_is_not_the_callers_is_not_there(void **state) {
    (void)state;
    static const char *const strangers[] = {"ol_other_x", "ol_even_x", "ol_otherodd_x"};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        get(strangers[i], order_path(5, "/stream"), NULL, &reply);
        assert_int_equal(reply.status, 404);
    }
    assert_status(order_path(ORDERS, "/stream"), 404);
    assert_status("/v1/orders/nonsense/stream", 404);
    get("ol_shelf_x", order_path(5, "/stream"), NULL, &reply);
    assert_int_equal(reply.status, 403);
    static const char *const bad[] = {"Last-Event-ID: x", "Last-Event-ID: -1", "Last-Event-ID: 1x",
                                      "Last-Event-ID: 99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        get("ol_main_x", order_path(5, "/stream"), bad[i], &reply);
        assert_int_equal(reply.status, 400);
    }
}

static void silence_is_broken_now_and_then(void **state) {
    (void)state;
    assert_true(follow(&client, 12, "1"));
    assert_non_null(await_text(&client, "retry: 1000\n\n"));
    for (int i = 0; i < 2; i++)
        assert_non_null(await_text(&client, ":\n\n"));
    leave(&client);
}

// Waits until so many streams are open.
static void await_streams(int count) {
    char line[64];
    const int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    (void)snprintf(line, sizeof(line), "\norderlog_query_streams %d\n", count);
    do
        assert_status("/metrics", 200);
    while (!strstr(reply.body, line) && clock_monotonic_ms() < deadline_ms);
    assert_non_null(strstr(reply.body, line));
}

// Takes nothing of what it asked for. Others get theirs, and it is let go.
static void who_does_not_read_is_dropped_and_disturbs_nobody(void **state) {
    (void)state;
    int slow = dial(4096);
    assert_true(send_request(slow, "ol_main_x", 13, NULL));
    client.last = 0;
    assert_true(follow(&client, 13, NULL));
    for (int64_t version = 2; version <= CHANGES; version++)
        change(13, version);
    read_on(&client, CHANGES);
    assert_int_equal(client.last, CHANGES);
    leave(&client);
    await_streams(0);
    (void)close(slow);
}

static void who_has_gone_is_noticed_though_nothing_is_sent(void **state) {
    (void)state;
    const int64_t heartbeat_ms = config.query_stream_heartbeat_ms;
    query_stop(query);
    config.query_stream_heartbeat_ms = INT64_C(3600000);
    start_query();
    assert_true(follow(&client, 15, "1"));
    assert_non_null(await_text(&client, "retry: 1000\n\n"));
    await_streams(1);
    leave(&client);
    await_streams(0);
    query_stop(query);
    config.query_stream_heartbeat_ms = heartbeat_ms;
    start_query();
}

static void a_revoked_key_ends_its_streams(void **state) {
    (void)state;
    assert_true(follow(&client, 14, NULL));
    assert_int_equal(next_event(&client), 1);
    const int64_t begin_ms = clock_monotonic_ms();
    atomic_store(&keys_are_revoked, true);
    assert_int_equal(next_event(&client), -1);
    assert_in_range(clock_monotonic_ms() - begin_ms, 0, 2000);
    atomic_store(&keys_are_revoked, false);
    leave(&client);
    await_streams(0);
}

static void follow_sample(struct client *one, const char *key, const char *query_text) {
    char text[256];
    one->length = one->at = 0;
    one->bytes[0] = '\0';
    one->fd = dial(0);
    int length =
        snprintf(text, sizeof(text),
                 "GET /v1/stream%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
                 query_text, key);
    assert_int_equal(send(one->fd, text, (size_t)length, MSG_NOSIGNAL), length);
    assert_non_null(await_text(one, "retry: "));
}

// More happens than is asked for: what is shown is bounded, what is counted is all of it.
static void a_sample_shows_some_and_counts_all(void **state) {
    (void)state;
    static struct client other;
    follow_sample(&client, "ol_main_x", "?per_second=5");
    follow_sample(&other, "ol_other_x", "");
    assert_non_null(await_text(&client, "event: rate"));
    int64_t changes = 0, shown = 0, seconds = 0;
    for (uint64_t n = 0; n < ORDERS; n++)
        change(n, 2);
    while (changes < ORDERS) {
        const char *rate = await_text(&client, "event: rate\ndata: {\"changes\":");
        assert_non_null(rate);
        assert_non_null(await_text(&client, "\n\n"));
        changes += strtoll(rate, NULL, 10);
        shown += strtoll(strstr(rate, "\"shown\":") + strlen("\"shown\":"), NULL, 10);
        seconds++;
    }
    assert_int_equal(changes, ORDERS);
    assert_in_range(shown, 1, 5 * (seconds + 1));
    // Nothing of it is told to another shop.
    assert_non_null(await_text(&other, "event: rate\ndata: {\"changes\":0,\"shown\":0}"));
    assert_null(strstr(other.bytes, "event: order"));
    leave(&client);
    leave(&other);
    follow_sample(&client, "ol_main_x", "");
    change(3, 3);
    assert_non_null(await_text(&client, "event: order\ndata: {\"order_id\":"));
    assert_non_null(await_text(&client, "\"version\":3,\"status\":\"CANCELLED\""));
    leave(&client);
    get("ol_till_x", "/v1/stream", NULL, &reply);
    assert_int_equal(reply.status, 403);
    assert_status("/v1/stream?per_second=101", 400);
    await_streams(0);
}

static int64_t resident_bytes(void) {
    long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld %lld", &size, &resident), 2);
    (void)fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static size_t count_text(int fd, const char *text, char *kept, size_t *kept_length) {
    size_t found = 0;
    char bytes[4096 + 64];
    memcpy(bytes, kept, *kept_length);
    ssize_t got = recv(fd, bytes + *kept_length, 4096, MSG_DONTWAIT);
    size_t length = *kept_length + (got > 0 ? (size_t)got : 0);
    bytes[length] = '\0';
    for (const char *at = bytes; (at = strstr(at, text)) != NULL; at += strlen(text))
        found++;
    *kept_length = length < 8 ? length : 8;
    memcpy(kept, bytes + length - *kept_length, *kept_length);
    return found;
}

// Reads from all until each has had the event, or the deadline has passed. Returns how many had.
static size_t await_all(const int *fds, const char *text) {
    static struct pollfd polled[THOUSANDS];
    static bool had[THOUSANDS];
    static char kept[THOUSANDS][8];
    static size_t kept_lengths[THOUSANDS];
    const int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    size_t count = 0;
    memset(had, 0, sizeof(had));
    memset(kept_lengths, 0, sizeof(kept_lengths));
    while (count < THOUSANDS && clock_monotonic_ms() < deadline_ms) {
        for (size_t i = 0; i < THOUSANDS; i++)
            polled[i] = (struct pollfd){.fd = had[i] ? -1 : fds[i], .events = POLLIN};
        if (poll(polled, THOUSANDS, 1000) <= 0)
            continue;
        for (size_t i = 0; i < THOUSANDS; i++) {
            if (!(polled[i].revents & POLLIN))
                continue;
            had[i] = count_text(fds[i], text, kept[i], &kept_lengths[i]) > 0;
            count += had[i];
        }
    }
    return count;
}

static void five_thousand_follow_at_one_time(void **state) {
    (void)state;
    static int fds[THOUSANDS];
    const int64_t before = resident_bytes();
    for (size_t i = 0; i < THOUSANDS; i++) {
        fds[i] = dial(0);
        assert_true(send_request(fds[i], "ol_main_x", i % ORDERS, NULL));
    }
    assert_int_equal(await_all(fds, "id: 1\n"), THOUSANDS);
    const int64_t each = (resident_bytes() - before) / THOUSANDS;
    // There is no room for another one.
    assert_status(order_path(5, "/stream"), 503);
    assert_non_null(strstr(reply.headers, "Retry-After"));
    const int64_t begin_ms = clock_monotonic_ms();
    for (uint64_t n = 0; n < ORDERS; n++)
        change(n, 2);
    assert_int_equal(await_all(fds, "id: 2\n"), THOUSANDS);
    printf("%d streams: %lld bytes of memory each; all told of a change within %lld ms\n",
           THOUSANDS, (long long)each, (long long)(clock_monotonic_ms() - begin_ms));
    assert_in_range(each, 0, 64 * 1024);
    assert_status(order_path(5, ""), 200);
    for (size_t i = 0; i < THOUSANDS; i++)
        (void)close(fds[i]);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct rlimit files;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_happens_is_told_as_it_happens, begin),
        cmocka_unit_test_setup(who_has_seen_something_is_told_the_rest, begin),
        cmocka_unit_test_setup(more_events_than_one_read_gives_all_come, begin),
        cmocka_unit_test_setup(a_restart_of_the_service_leaves_no_gap_and_no_double, begin),
        cmocka_unit_test_setup(killed_database_connections_lose_no_event, begin),
        cmocka_unit_test_setup(what_is_not_the_callers_is_not_there, begin),
        cmocka_unit_test_setup(silence_is_broken_now_and_then, begin),
        cmocka_unit_test_setup(who_does_not_read_is_dropped_and_disturbs_nobody, begin),
        cmocka_unit_test_setup(who_has_gone_is_noticed_though_nothing_is_sent, begin),
        cmocka_unit_test_setup(a_revoked_key_ends_its_streams, begin),
        cmocka_unit_test_setup(a_sample_shows_some_and_counts_all, begin),
        cmocka_unit_test_setup(five_thousand_follow_at_one_time, begin),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
