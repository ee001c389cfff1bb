// SPDX-License-Identifier: Apache-2.0
//
// A thread asks for the ends and the committed offsets of the inbox. When the brokers do not
// answer the last known lag stands: then nothing can be written either, and callers learn it from
// the writer.
#include "http/backlog.h"

#include "http/lag_clock.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "stream/kafka_conf.h"
#include "stream/topics.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, PERIOD_MS = 250, ASK_TIMEOUT_MS = 1000, MARKERS_MAX = 32 };

struct backlog {
    enum domain domain;
    int64_t lag_ms_max;
    rd_kafka_t *client;
    int32_t partitions;
    struct lag_clock *clocks; // owned, per partition
    _Atomic int64_t lag_ms;
    pthread_t thread;
    bool running;
    int stop_fd;
    pthread_mutex_t lock; // of the list
    struct backlog_waiter *waiters;
};

const char *backlog_inbox(const struct backlog *backlog) {
    return topics[domains[backlog->domain].inbox].name;
}

int64_t backlog_lag_ms(const struct backlog *backlog) {
    return atomic_load_explicit(&backlog->lag_ms, memory_order_relaxed);
}

bool backlog_over(const struct backlog *backlog) {
    return backlog_lag_ms(backlog) > backlog->lag_ms_max;
}

static void unlink_waiter(struct backlog *backlog, struct backlog_waiter *waiter) {
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        backlog->waiters = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    waiter->waiting = false;
}

bool backlog_wait(struct backlog *backlog, struct backlog_waiter *waiter) {
    if (!backlog_over(backlog))
        return false;
    (void)pthread_mutex_lock(&backlog->lock);
    // Looked at under the lock: the thread lowers the lag first and wakes then.
    bool waits = backlog_over(backlog) && !service_stopping();
    if (waits && !waiter->waiting) {
        waiter->previous = NULL;
        waiter->next = backlog->waiters;
        if (waiter->next)
            waiter->next->previous = waiter;
        backlog->waiters = waiter;
        waiter->waiting = true;
    }
    (void)pthread_mutex_unlock(&backlog->lock);
    return waits;
}

void backlog_forget(struct backlog *backlog, struct backlog_waiter *waiter) {
    (void)pthread_mutex_lock(&backlog->lock);
    if (waiter->waiting)
        unlink_waiter(backlog, waiter);
    (void)pthread_mutex_unlock(&backlog->lock);
}

static void wake_all(struct backlog *backlog) {
    (void)pthread_mutex_lock(&backlog->lock);
    while (backlog->waiters) {
        struct backlog_waiter *waiter = backlog->waiters;
        unlink_waiter(backlog, waiter);
        waiter->wake(waiter->state);
    }
    (void)pthread_mutex_unlock(&backlog->lock);
}

// --- asking ------------------------------------------------------------------------------------

static bool ask(struct backlog *backlog, rd_kafka_topic_partition_list_t *committed) {
    int64_t worst_ms = 0;
    const char *topic = backlog_inbox(backlog);
    kafka_hear(backlog->client);
    if (rd_kafka_committed(backlog->client, committed, ASK_TIMEOUT_MS))
        return false;
    for (int32_t p = 0; p < backlog->partitions; p++) {
        int64_t low = 0;
        int64_t end = 0;
        struct error err;
        if (!kafka_bounds(backlog->client, topic, p, ASK_TIMEOUT_MS, &low, &end, &err))
            return false;
        int64_t offset = committed->elems[p].offset < 0 ? 0 : committed->elems[p].offset;
        // The markers of the last transactions written to the inbox lie beyond what is committed,
        // and nobody ever reads them: so few offsets say nothing about a backlog.
        if (end - offset <= MARKERS_MAX)
            offset = end;
        int64_t lag_ms = lag_clock_update(&backlog->clocks[p], clock_monotonic_ms(), end, offset);
        if (lag_ms > worst_ms)
            worst_ms = lag_ms;
    }
    atomic_store(&backlog->lag_ms, worst_ms);
    metrics_set(METRIC_GATEWAY_BACKLOG, (int)backlog->domain, worst_ms * 1000);
    return true;
}

static void tell(const struct backlog *backlog, bool over) {
    if (over)
        LOG(WARN, "processors are behind, putting off what would add to it",
            F_STR("inbox", backlog_inbox(backlog)), F_INT("lag_ms", backlog_lag_ms(backlog)));
    else
        LOG(INFO, "processors have caught up", F_STR("inbox", backlog_inbox(backlog)),
            F_INT("lag_ms", backlog_lag_ms(backlog)));
}

static void *run(void *arg) {
    struct backlog *backlog = arg;
    struct pollfd stop = {.fd = backlog->stop_fd, .events = POLLIN};
    rd_kafka_topic_partition_list_t *committed =
        rd_kafka_topic_partition_list_new(backlog->partitions);
    for (int32_t p = 0; p < backlog->partitions; p++)
        rd_kafka_topic_partition_list_add(committed, backlog_inbox(backlog), p);
    bool was_over = false;
    do {
        (void)ask(backlog, committed);
        bool over = backlog_over(backlog);
        if (over != was_over)
            tell(backlog, over);
        was_over = over;
        if (!over || service_stopping())
            wake_all(backlog);
    } while (poll(&stop, 1, PERIOD_MS) <= 0);
    rd_kafka_topic_partition_list_destroy(committed);
    return NULL;
}

// --- start and stop ----------------------------------------------------------------------------

static rd_kafka_t *open_client(const struct config *config, enum domain domain, struct error *err) {
    char group[64];
    (void)snprintf(group, sizeof(group), "orderlog.%s", domains[domain].name);
    const struct kafka_setting settings[] = {
        {"group.id", group}, // asked about, never joined
        {"enable.auto.commit", "false"},
        // Otherwise the brokers would not tell while a transaction with offsets is open.
        {"isolation.level", "read_uncommitted"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.backlog", err);
    if (!conf)
        return NULL;
    if (!kafka_conf_set(conf, settings, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, err);
}

static bool start(struct backlog *backlog, const struct config *config, struct error *err) {
    backlog->client = open_client(config, backlog->domain, err);
    if (!backlog->client || !kafka_partitions(backlog->client, backlog_inbox(backlog), CONNECT_MS,
                                              &backlog->partitions, err))
        return false;
    backlog->clocks = calloc((size_t)backlog->partitions, sizeof(*backlog->clocks));
    if (!backlog->clocks)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    if (backlog->stop_fd < 0 || pthread_create(&backlog->thread, NULL, run, backlog) != 0)
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    backlog->running = true;
    return true;
}

bool backlog_start(const struct config *config, enum domain domain, struct backlog **ret,
                   struct error *err) {
    struct backlog *backlog = calloc(1, sizeof(*backlog));
    if (!backlog || pthread_mutex_init(&backlog->lock, NULL) != 0) {
        free(backlog);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    backlog->domain = domain;
    backlog->lag_ms_max = config->gateway_backlog_ms_max;
    metrics_name_series(METRIC_GATEWAY_BACKLOG, (int)domain, domains[domain].name);
    backlog->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!start(backlog, config, err)) {
        backlog_stop(backlog);
        return false;
    }
    *ret = backlog;
    return true;
}

void backlog_stop(struct backlog *backlog) {
    if (!backlog)
        return;
    if (backlog->running) {
        (void)eventfd_write(backlog->stop_fd, 1);
        (void)pthread_join(backlog->thread, NULL);
    }
    if (backlog->client)
        kafka_client_free(backlog->client);
    if (backlog->stop_fd >= 0)
        (void)close(backlog->stop_fd);
    free(backlog->clocks);
    (void)pthread_mutex_destroy(&backlog->lock);
    free(backlog);
}
