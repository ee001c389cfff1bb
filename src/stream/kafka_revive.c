// SPDX-License-Identifier: Apache-2.0
#include "kafka_revive.h"

#include "service/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { CLIENTS_MAX = 256, EVERY_MS = 500, FOR_MS = 10000 };

// Of the process: clients come and go, the thread stays once there is one.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    rd_kafka_t *clients[CLIENTS_MAX];
    size_t count;
    int64_t until_ms;
    bool is_running;
} revive = {.lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER};

// Known servers stay as they are.
static void bootstrap_again(rd_kafka_t *client) {
    char servers[4096];
    size_t size = sizeof(servers);
    if (rd_kafka_conf_get(rd_kafka_conf(client), "bootstrap.servers", servers, &size) ==
        RD_KAFKA_CONF_OK)
        (void)rd_kafka_brokers_add(client, servers);
}

static void *run(void *arg) {
    (void)arg;
    const struct timespec pause = {.tv_nsec = EVERY_MS * 1000000L};
    for (;;) {
        (void)pthread_mutex_lock(&revive.lock);
        while (clock_monotonic_ms() > revive.until_ms)
            (void)pthread_cond_wait(&revive.wanted, &revive.lock);
        for (size_t i = 0; i < revive.count; i++)
            bootstrap_again(revive.clients[i]);
        (void)pthread_mutex_unlock(&revive.lock);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

void kafka_revive(void) {
    pthread_t thread;
    (void)pthread_mutex_lock(&revive.lock);
    revive.until_ms = clock_monotonic_ms() + FOR_MS;
    if (!revive.is_running && pthread_create(&thread, NULL, run, NULL) == 0) {
        (void)pthread_detach(thread);
        revive.is_running = true;
    }
    (void)pthread_cond_signal(&revive.wanted);
    (void)pthread_mutex_unlock(&revive.lock);
}

void kafka_revive_add(rd_kafka_t *client) {
    (void)pthread_mutex_lock(&revive.lock);
    if (revive.count < CLIENTS_MAX)
        revive.clients[revive.count++] = client;
    (void)pthread_mutex_unlock(&revive.lock);
}

void kafka_revive_remove(rd_kafka_t *client) {
    (void)pthread_mutex_lock(&revive.lock);
    for (size_t i = 0; i < revive.count; i++) {
        if (revive.clients[i] != client)
            continue;
        revive.clients[i] = revive.clients[--revive.count];
        break;
    }
    (void)pthread_mutex_unlock(&revive.lock);
}
