// SPDX-License-Identifier: Apache-2.0
//
// Half of the time a command has may pass in our lanes (then it certainly was not written), the
// other half in librdkafka, which keeps a message until it is acknowledged or message.timeout.ms
// has passed; what it then knows of it (never sent, sent without an answer, persisted) is exactly
// what the caller is told. The payload is ours and freed with the report: no copy is made.
//
// Reports that are there together are handled as one round: their lanes go on and HTTP threads are
// woken once for all of them. While an HTTP thread serves the writer, which librdkafka then wakes
// through an eventfd, no thread has to be woken at all; before and after the writer's own does it.
//
// A fatal error of the idempotent producer (it cannot rule out a duplicate or a gap any more) ends
// the process in an orderly way: it is restarted with a new producer id.
#include "http/command_writer.h"

#include "http/command_lanes.h"
#include "http/respond.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "service/spans.h"
#include "stream/kafka_conf.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, POLL_MS = 100, LOOK_MS = 500 };

// What may wait or be on its way at one time.
enum { PENDING_MAX = 100000, PENDING_BYTES_MAX = 256 * 1024 * 1024 };

static const enum topic_id written_topics[] = {TOPIC_ORDERS_INBOX, TOPIC_INVENTORY_INBOX,
                                               TOPIC_CUSTOMERS, TOPIC_CUSTOMERS_KEYS};
enum { WRITTEN_TOPICS = sizeof(written_topics) / sizeof(written_topics[0]) };

struct command_writer {
    rd_kafka_t *client;
    struct {
        rd_kafka_topic_t *handle; // owned; NULL for those not written
        uint32_t first_lane;
        int32_t partitions;
    } topics[TOPIC_COUNT];
    int64_t wait_ms_max; // in the lanes
    pthread_t thread;
    bool running;
    int bell_fd; // rung when the thread has something else to do
    _Atomic bool stop;
    _Atomic bool lent; // somebody else serves
    _Atomic int64_t pending;
    _Atomic int64_t pending_bytes;
    pthread_mutex_t lock; // of the lanes
    struct command_lanes lanes;

    pthread_mutex_t round; // of what follows: the round at hand, of the thread that serves
    uint32_t *landed;      // owned; by lane
    int64_t landed_count;
    int64_t landed_bytes;
    int64_t round_us; // when its first report came
};

// What this thread has sent and not handed over yet.
static _Thread_local struct {
    bool gathers;
    struct lane_item *first;
    struct lane_item *last;
} together;

struct flight {
    struct lane_item item; // first member
    struct command_writer *writer;
    writer_done_fn *done;
    void *state;
    int64_t sent_us;
    struct command command; // bytes owned
    struct trace_context trace;
    struct span *span; // owned; NULL: not traced
};

static struct flight *flight_of(struct lane_item *item) {
    return (struct flight *)item;
}

// The last step of flights that are over: a stop waits for it.
static void forget(struct command_writer *writer, int64_t count, int64_t bytes) {
    atomic_fetch_sub(&writer->pending_bytes, bytes);
    metrics_set(METRIC_GATEWAY_PENDING, 0, atomic_fetch_sub(&writer->pending, count) - count);
}

// All but that step.
static void land(struct flight *flight, enum writer_outcome outcome) {
    if (flight->span) {
        flight->span->end_us = clock_now_us();
        flight->span->failed = outcome != WRITER_WRITTEN;
        spans_add(flight->span);
        free(flight->span);
    }
    flight->done(flight->state, outcome);
    metrics_add(METRIC_GATEWAY_COMMANDS, (int)outcome, 1);
    command_done(&flight->command);
    free(flight);
}

static void land_all(struct command_writer *writer, struct lane_item *items,
                     enum writer_outcome outcome) {
    while (items) {
        struct lane_item *next = items->next;
        const int64_t bytes = (int64_t)flight_of(items)->command.length;
        land(flight_of(items), outcome);
        forget(writer, 1, bytes);
        items = next;
    }
}

// --- to the brokers ----------------------------------------------------------------------------

static rd_kafka_resp_err_t produce(struct command_writer *writer, struct flight *flight) {
    const struct command *command = &flight->command;
    const char *type = record_types[command->type]->full_name;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    (void)rd_kafka_header_add(headers, "ce_type", -1, type, -1);
    if (flight->trace.is_set) {
        char text[TRACE_TEXT_LEN + 1];
        trace_format(&flight->trace, text);
        (void)rd_kafka_header_add(headers, "traceparent", -1, text, TRACE_TEXT_LEN);
    }
    int32_t partition = (int32_t)(flight->item.lane - writer->topics[command->topic].first_lane);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        writer->client, RD_KAFKA_V_RKT(writer->topics[command->topic].handle),
        RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(command->key, command->key_len),
        RD_KAFKA_V_VALUE(command->bytes, command->length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(flight), RD_KAFKA_V_END);
    if (code) {
        rd_kafka_headers_destroy(headers);
        LOG(WARN, "a command could not be queued", F_STR("error", rd_kafka_err2str(code)));
    }
    return code;
}

// Under the lock: sends what may go. What librdkafka refused is added to *refused.
static void dispatch(struct command_writer *writer, struct lane_item **refused) {
    for (struct lane_item *burst; (burst = command_lanes_take(&writer->lanes));) {
        while (burst) {
            struct lane_item *next = burst->next;
            uint32_t lane = burst->lane;
            if (produce(writer, flight_of(burst))) {
                burst->next = *refused;
                *refused = burst;
                command_lanes_landed(&writer->lanes, lane, 1);
            }
            burst = next;
        }
    }
}

static enum writer_outcome outcome_of(const rd_kafka_message_t *message) {
    if (!message->err)
        return WRITER_WRITTEN;
    rd_kafka_msg_status_t status = rd_kafka_message_status(message);
    LOG(WARN, "a command was not acknowledged", F_STR("error", rd_kafka_message_errstr(message)),
        F_BOOL("maybe_written", status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED));
    if (status == RD_KAFKA_MSG_STATUS_PERSISTED)
        return WRITER_WRITTEN;
    return status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? WRITER_NOT_WRITTEN : WRITER_UNKNOWN;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    (void)opaque;
    struct flight *flight = message->_private;
    struct command_writer *writer = flight->writer;
    enum writer_outcome outcome = outcome_of(message);
    if (writer->landed_count++ == 0)
        writer->round_us = clock_monotonic_us();
    writer->landed[flight->item.lane]++;
    writer->landed_bytes += (int64_t)flight->command.length;
    if (outcome == WRITER_WRITTEN)
        metrics_observe_us(METRIC_GATEWAY_PRODUCE, 0, writer->round_us - flight->sent_us);
    land(flight, outcome);
}

// --- the thread --------------------------------------------------------------------------------

static void look_for_fatal(struct command_writer *writer) {
    char reason[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(writer->client, reason, sizeof(reason));
    if (!code || service_stopping())
        return;
    struct error err = {0};
    (void)error_set(&err, DISP_FATAL, code, "the producer cannot go on: %s", reason);
    service_fail(EXIT_INTERNAL, &err);
}

static void look_for_expired(struct command_writer *writer) {
    (void)pthread_mutex_lock(&writer->lock);
    struct lane_item *expired =
        command_lanes_expire(&writer->lanes, clock_monotonic_ms() - writer->wait_ms_max);
    (void)pthread_mutex_unlock(&writer->lock);
    if (expired)
        LOG(WARN, "commands waited too long for the brokers, refusing them");
    land_all(writer, expired, WRITER_NOT_WRITTEN);
}

// Lets the lanes that have landed go on.
static void end_round(struct command_writer *writer) {
    struct lane_item *refused = NULL;
    (void)pthread_mutex_lock(&writer->lock);
    for (uint32_t lane = 0; lane < writer->lanes.count; lane++) {
        if (writer->landed[lane] > 0)
            command_lanes_landed(&writer->lanes, lane, writer->landed[lane]);
        writer->landed[lane] = 0;
    }
    dispatch(writer, &refused);
    (void)pthread_mutex_unlock(&writer->lock);
    land_all(writer, refused, WRITER_NOT_WRITTEN);
    forget(writer, writer->landed_count, writer->landed_bytes);
}

// Under the lock `round`.
static void take_reports(struct command_writer *writer, int wait_ms) {
    writer->landed_count = writer->landed_bytes = 0;
    respond_together_begin();
    (void)rd_kafka_poll(writer->client, wait_ms);
    if (writer->landed_count > 0)
        end_round(writer);
    respond_together_end();
}

void command_writer_serve(void *state) {
    struct command_writer *writer = state;
    if (pthread_mutex_trylock(&writer->round) != 0)
        return; // the writer's thread still does
    take_reports(writer, 0);
    (void)pthread_mutex_unlock(&writer->round);
}

static void *run(void *arg) {
    struct command_writer *writer = arg;
    int64_t next_look_ms = 0;
    while (!atomic_load(&writer->stop) || atomic_load(&writer->pending) > 0) {
        if (atomic_load(&writer->lent)) {
            struct pollfd bell = {.fd = writer->bell_fd, .events = POLLIN};
            (void)poll(&bell, 1, LOOK_MS);
        } else {
            (void)pthread_mutex_lock(&writer->round);
            take_reports(writer, POLL_MS);
            (void)pthread_mutex_unlock(&writer->round);
        }
        if (clock_monotonic_ms() < next_look_ms)
            continue;
        look_for_fatal(writer);
        look_for_expired(writer);
        next_look_ms = clock_monotonic_ms() + LOOK_MS;
    }
    return NULL;
}

// Without one: -1.
static void set_wake_fd(struct command_writer *writer, int fd) {
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(writer->client);
    rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof(one));
    rd_kafka_queue_destroy(queue);
}

void command_writer_lend(struct command_writer *writer, int wake_fd) {
    set_wake_fd(writer, wake_fd);
    atomic_store(&writer->lent, true);
}

void command_writer_take_back(struct command_writer *writer) {
    set_wake_fd(writer, -1);
    atomic_store(&writer->lent, false);
    (void)eventfd_write(writer->bell_fd, 1);
}

// --- start and stop ----------------------------------------------------------------------------

static rd_kafka_t *open_client(const struct config *config, struct error *err) {
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%lld",
                   (long long)config->gateway_request_timeout_ms / 2);
    const struct kafka_setting settings[] = {
        {"enable.idempotence", "true"},  {"acks", "all"}, {"partitioner", "murmur2_random"},
        {"message.timeout.ms", timeout}, {NULL, NULL},
    };
    // Long enough for a burst to leave as one request, too short to be noticed.
    const struct kafka_setting linger[] = {{"linger.ms", "0.2"}, {NULL, NULL}};
    rd_kafka_conf_t *conf = kafka_conf_new(config, "orderlog.gateway", err);
    if (!conf)
        return NULL;
    if (!kafka_conf_set(conf, settings, err) || !kafka_conf_suggest(conf, config, linger, err)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf, err);
}

static bool start(struct command_writer *writer, const struct config *config, struct error *err) {
    writer->client = open_client(config, err);
    if (!writer->client)
        return false;
    uint32_t lanes_count = 0;
    for (size_t i = 0; i < WRITTEN_TOPICS; i++) {
        enum topic_id topic = written_topics[i];
        const char *name = topics[topic].name;
        int32_t partitions = 0;
        if (!kafka_partitions(writer->client, name, CONNECT_MS, &partitions, err))
            return false;
        writer->topics[topic].first_lane = lanes_count;
        writer->topics[topic].partitions = partitions;
        lanes_count += (uint32_t)partitions;
        writer->topics[topic].handle = rd_kafka_topic_new(writer->client, name, NULL);
        if (!writer->topics[topic].handle)
            return error_set(err, DISP_FATAL, 0, "topic %s: %s", name,
                             rd_kafka_err2str(rd_kafka_last_error()));
    }
    writer->landed = calloc(lanes_count, sizeof(*writer->landed));
    writer->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!writer->landed || writer->bell_fd < 0 || !command_lanes_init(&writer->lanes, lanes_count))
        return error_set(err, DISP_FATAL, 0, "out of memory");
    if (pthread_create(&writer->thread, NULL, run, writer) != 0)
        return error_set(err, DISP_FATAL, 0, "cannot start a thread");
    writer->running = true;
    return true;
}

bool command_writer_start(const struct config *config, struct command_writer **ret,
                          struct error *err) {
    struct command_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    (void)pthread_mutex_init(&writer->lock, NULL);
    (void)pthread_mutex_init(&writer->round, NULL);
    writer->bell_fd = -1;
    writer->wait_ms_max = config->gateway_request_timeout_ms / 2;
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_WRITTEN, "written");
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_NOT_WRITTEN, "not_written");
    metrics_name_series(METRIC_GATEWAY_COMMANDS, WRITER_UNKNOWN, "unknown");
    metrics_add(METRIC_GATEWAY_COMMANDS, WRITER_UNKNOWN, 0); // an alert watches its increase
    if (!start(writer, config, err)) {
        command_writer_stop(writer);
        return false;
    }
    *ret = writer;
    return true;
}

void command_writer_stop(struct command_writer *writer) {
    if (!writer)
        return;
    atomic_store(&writer->stop, true);
    if (writer->running)
        (void)pthread_join(writer->thread, NULL);
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        if (writer->topics[i].handle)
            rd_kafka_topic_destroy(writer->topics[i].handle);
    }
    if (writer->client)
        kafka_client_free(writer->client);
    command_lanes_done(&writer->lanes);
    if (writer->bell_fd >= 0)
        (void)close(writer->bell_fd);
    free(writer->landed);
    (void)pthread_mutex_destroy(&writer->round);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer);
}

int32_t command_writer_partitions(const struct command_writer *writer, enum topic_id topic) {
    return writer->topics[topic].partitions;
}

static bool has_room(struct command_writer *writer, size_t length) {
    int64_t pending = atomic_fetch_add(&writer->pending, 1) + 1;
    int64_t bytes = atomic_fetch_add(&writer->pending_bytes, (int64_t)length) + (int64_t)length;
    metrics_set(METRIC_GATEWAY_PENDING, 0, pending);
    return pending <= PENDING_MAX && bytes <= PENDING_BYTES_MAX;
}

static void begin_span(struct flight *flight, bool trace_given) {
    const struct command *command = &flight->command;
    const bool about_order = !id_is_nil(&command->order_id);
    if (!trace_given && about_order)
        spans_of_order(command->order_id.bytes, &flight->trace);
    if (!trace_is_sampled(&flight->trace) || !(flight->span = malloc(sizeof(*flight->span))))
        return;
    struct span *span = flight->span;
    span_begin(span, &flight->trace, SPAN_PRODUCER, clock_now_us());
    span->topic = topics[command->topic].name;
    span->partition =
        (int32_t)(flight->item.lane - flight->writer->topics[command->topic].first_lane);
    (void)snprintf(span->name, SPAN_NAME_MAX, "send %s", record_types[command->type]->name);
    span->has_order_id = about_order;
    memcpy(span->order_id, command->order_id.bytes, sizeof(span->order_id));
    flight->trace = span->self;
}

static void hand_over(struct command_writer *writer, struct lane_item *items) {
    struct lane_item *refused = NULL;
    (void)pthread_mutex_lock(&writer->lock);
    while (items) {
        struct lane_item *next = items->next;
        command_lanes_push(&writer->lanes, items);
        items = next;
    }
    dispatch(writer, &refused);
    (void)pthread_mutex_unlock(&writer->lock);
    land_all(writer, refused, WRITER_NOT_WRITTEN);
}

void command_writer_send(struct command_writer *writer, struct command *command,
                         const struct trace_context *trace, writer_done_fn *done, void *state) {
    struct flight *flight = malloc(sizeof(*flight));
    if (!flight) {
        command_done(command);
        done(state, WRITER_NOT_WRITTEN);
        return;
    }
    assert(writer->topics[command->topic].handle);
    *flight = (struct flight){
        .writer = writer,
        .done = done,
        .state = state,
        .sent_us = clock_monotonic_us(),
        .command = *command,
    };
    command->bytes = NULL;
    size_t route_len =
        flight->command.route_len ? flight->command.route_len : flight->command.key_len;
    flight->item.lane =
        writer->topics[flight->command.topic].first_lane +
        (uint32_t)topic_partition_of(flight->command.key, route_len,
                                     writer->topics[flight->command.topic].partitions);
    flight->item.queued_ms = flight->sent_us / 1000;
    if (trace)
        flight->trace = *trace;
    if (spans_are_on())
        begin_span(flight, trace != NULL);
    if (!has_room(writer, flight->command.length)) {
        flight->item.next = NULL;
        land_all(writer, &flight->item, WRITER_NOT_WRITTEN);
        return;
    }
    flight->item.next = NULL;
    if (!together.gathers) {
        hand_over(writer, &flight->item);
        return;
    }
    if (together.first)
        together.last->next = &flight->item;
    else
        together.first = &flight->item;
    together.last = &flight->item;
}

void command_writer_together_begin(void *writer) {
    (void)writer;
    together.gathers = true;
}

void command_writer_together_end(void *writer) {
    struct lane_item *items = together.first;
    together.gathers = false;
    together.first = NULL;
    if (items)
        hand_over(writer, items);
}
