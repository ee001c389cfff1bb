// SPDX-License-Identifier: Apache-2.0
//
// A broker that stood still for longer than its session is, when it wakes up, no member of its own
// cluster for a moment: it tells its clients that there are no brokers. Theirs must come back. The
// broker here says of itself what the test wants, in the oldest version of the protocol.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/clock.h"
#include "stream/kafka_conf.h"

#include <librdkafka/rdkafka.h>

enum {
    ROUNDS = 30, // the client has to lose a race against itself
    ASKED_MS = 200,
    PATIENCE_MS = 20000,
    CONNECTIONS_MAX = 16,
    METADATA = 3,
    LEADER_NOT_AVAILABLE = 5
};

struct broker {
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_bool is_alone; // says that there are no brokers
    atomic_bool is_over;
};

// librdkafka sizes its memory for an answer by the answer's length: some parts are larger than
// that.
static const char LONG_TOPIC[] =
    "a-topic-with-a-name-that-is-so-long-that-the-answer-is-long-enough-to-hold-all-its-parts-"
    "a-topic-with-a-name-that-is-so-long-that-the-answer-is-long-enough-to-hold-all-its-parts";

struct writer {
    uint8_t data[512];
    size_t len;
};

static void put(struct writer *writer, int bytes, int64_t value) {
    while (bytes-- > 0)
        writer->data[writer->len++] = (uint8_t)(value >> (8 * bytes));
}

static void put_text(struct writer *writer, const char *text) {
    put(writer, 2, (int64_t)strlen(text));
    memcpy(writer->data + writer->len, text, strlen(text));
    writer->len += strlen(text);
}

static void answer_metadata(const struct broker *broker, const uint8_t *correlation, int fd) {
    bool is_alone = atomic_load(&broker->is_alone);
    struct writer body = {.len = 4}; // its size comes first
    memcpy(body.data + body.len, correlation, 4);
    body.len += 4;
    put(&body, 4, is_alone ? 0 : 1);
    if (!is_alone) {
        put(&body, 4, 1);
        put_text(&body, "127.0.0.1");
        put(&body, 4, broker->port);
    }
    put(&body, 4, 1); // one topic: an answer with nothing at all is not believed
    put(&body, 2, is_alone ? LEADER_NOT_AVAILABLE : 0);
    put_text(&body, LONG_TOPIC);
    put(&body, 4, 0);
    struct writer size = {.len = 0};
    put(&size, 4, (int64_t)body.len - 4);
    memcpy(body.data, size.data, 4);
    (void)send(fd, body.data, body.len, MSG_NOSIGNAL);
}

// False: the client has hung up.
static bool serve(const struct broker *broker, int fd) {
    uint8_t request[1024];
    if (recv(fd, request, 4, MSG_WAITALL) != 4)
        return false;
    size_t size = (size_t)request[2] << 8 | request[3];
    if (size < 8 || size > sizeof(request) || recv(fd, request, size, MSG_WAITALL) != (ssize_t)size)
        return false;
    if (request[1] == METADATA)
        answer_metadata(broker, request + 4, fd);
    return true;
}

static void *serve_all(void *arg) {
    struct broker *broker = arg;
    struct pollfd fds[CONNECTIONS_MAX] = {{.fd = broker->listener, .events = POLLIN}};
    nfds_t count = 1;
    while (!atomic_load(&broker->is_over)) {
        (void)poll(fds, count, 10);
        if (fds[0].revents && count < CONNECTIONS_MAX)
            fds[count++] =
                (struct pollfd){.fd = accept(broker->listener, NULL, NULL), .events = POLLIN};
        for (nfds_t i = count; i-- > 1;)
            if (fds[i].revents && !serve(broker, fds[i].fd)) {
                (void)close(fds[i].fd);
                fds[i] = fds[--count];
            }
    }
    while (count > 0)
        (void)close(fds[--count].fd);
    return NULL;
}

static void broker_start(struct broker *broker) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    broker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(broker->listener >= 0);
    assert_int_equal(bind(broker->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(broker->listener, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(broker->listener, (struct sockaddr *)&address, &len), 0);
    broker->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&broker->thread, NULL, serve_all, broker), 0);
}

static void broker_stop(struct broker *broker) {
    atomic_store(&broker->is_over, true);
    assert_int_equal(pthread_join(broker->thread, NULL), 0);
}

static rd_kafka_t *client_of(const struct broker *broker, rd_kafka_type_t type) {
    const struct config config = {0};
    struct error err;
    char bootstrap[32];
    snprintf(bootstrap, sizeof(bootstrap), "127.0.0.1:%u", broker->port);
    rd_kafka_conf_t *conf = kafka_conf_new(&config, "test", &err);
    assert_non_null(conf);
    const struct kafka_setting settings[] = {{"bootstrap.servers", bootstrap},
                                             {"api.version.request", "false"},
                                             {"broker.version.fallback", "0.9.0"},
                                             {NULL, NULL}};
    assert_true(kafka_conf_set(conf, settings, &err));
    rd_kafka_t *client = kafka_client_new(type, conf, &err);
    assert_non_null(client);
    return client;
}

static bool is_answered(rd_kafka_t *client) {
    int32_t partitions;
    struct error err;
    kafka_hear(client);
    return kafka_partitions(client, LONG_TOPIC, ASKED_MS, &partitions, &err) ||
           err.what != DISP_RETRY;
}

static void is_found_again(rd_kafka_type_t type) {
    struct broker broker = {0};
    broker_start(&broker);
    rd_kafka_t *client = client_of(&broker, type);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
        while (!is_answered(client))
            if (clock_monotonic_ms() > deadline_ms)
                fail_msg("round %d: the broker is back, and the client does not ask it", round);
        atomic_store(&broker.is_alone, true);
        (void)is_answered(client);
        atomic_store(&broker.is_alone, false);
    }
    kafka_client_free(client);
    broker_stop(&broker);
}

static void a_producer_that_was_told_of_no_brokers_finds_them_again(void **state) {
    (void)state;
    is_found_again(RD_KAFKA_PRODUCER);
}

static void a_consumer_that_was_told_of_no_brokers_finds_them_again(void **state) {
    (void)state;
    is_found_again(RD_KAFKA_CONSUMER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_producer_that_was_told_of_no_brokers_finds_them_again),
        cmocka_unit_test(a_consumer_that_was_told_of_no_brokers_finds_them_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
