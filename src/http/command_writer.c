// SPDX-License-Identifier: Apache-2.0
//
// Half of the time a command has may pass in our lanes (then it certainly was not written), the
// other half in the producer, which keeps a burst until it is acknowledged or that time has passed;
// what it then knows of it (never sent, sent without an answer, written) is exactly what the caller
// is told.
//
// One lock guards lanes and producer; callers are told without it. Answers that are there together
// are one round: their lanes go on first, then HTTP threads are woken once for all of them. While
// an HTTP thread serves the writer no thread has to be woken at all; before and after, the writer's
// own does it, and it always looks for those whose time is over. A second one, which sleeps while
// all goes well, connects to brokers.
//
// What the producer cannot go on from (it has no epoch left) ends the process in an orderly way: it
// is restarted with a new producer id.
#include "http/command_writer.h"

#include "http/command_lanes.h"
#include "http/respond.h"
#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/service.h"
#include "service/spans.h"
#include "stream/trace_headers.h"
#include "wire/wire_code.h"
#include "wire/wire_producer.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    STEP_MS = 3000, // for each broker that is asked or connected to
    LOOK_MS = 200,
    PAUSE_US = 20000, // between two looks at the cluster, growing
    PAUSE_US_MAX = 500000,
    QUIET_MS = 1000, // after which they begin anew
    COMPLAIN_MS = 5000,
};

// What may wait or be on its way at one time.
enum { PENDING_MAX = 100000, PENDING_BYTES_MAX = 256 * 1024 * 1024 };

static const enum topic_id written_topics[] = {TOPIC_ORDERS_INBOX, TOPIC_INVENTORY_INBOX,
                                               TOPIC_CUSTOMERS, TOPIC_CUSTOMERS_KEYS};
enum { WRITTEN_TOPICS = sizeof(written_topics) / sizeof(written_topics[0]) };

// A lane's burst on its way.
struct burst {
    struct wire_parcel parcel; // first member
    struct lane_item *items;
    uint32_t lane;
    struct burst *next_idle;
};

struct command_writer {
    struct wire_settings wire;
    struct wire_producer *producer;
    const char *names[TOPIC_COUNT]; // NULL for those not written
    struct {
        uint32_t first_lane;
        int32_t partitions;
    } topics[TOPIC_COUNT];
    int64_t wait_ms_max; // in the lanes, and again in the producer
    pthread_t thread;
    pthread_t keeper;
    bool running;
    bool keeping;
    int bell_fd; // rung when the thread has something else to do
    _Atomic bool stop;
    _Atomic bool lent; // somebody else serves
    _Atomic int64_t pending;
    _Atomic int64_t pending_bytes;
    pthread_mutex_t lock; // of what follows, and of the producer
    pthread_cond_t keep;  // the producer wants keeping, or all is over
    bool over;
    int timer_fd;     // rings in the producer's descriptor
    int64_t timer_us; // when
    struct command_lanes lanes;
    struct burst bursts[LANES_ACTIVE_MAX];
    struct burst *idle;
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
    enum writer_outcome outcome;
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
static void land(struct flight *flight) {
    if (flight->span) {
        flight->span->end_us = clock_now_us();
        flight->span->failed = flight->outcome != WRITER_WRITTEN;
        spans_add(flight->span);
        free(flight->span);
    }
    flight->done(flight->state, flight->outcome);
    metrics_add(METRIC_GATEWAY_COMMANDS, (int)flight->outcome, 1);
    command_done(&flight->command);
    free(flight);
}

// Without the lock, as callers may send more.
static void land_all(struct command_writer *writer, struct lane_item *items) {
    if (!items)
        return;
    int64_t count = 0, bytes = 0;
    const int64_t now_us = clock_monotonic_us();
    respond_together_begin();
    while (items) {
        struct lane_item *next = items->next;
        struct flight *flight = flight_of(items);
        count++;
        bytes += (int64_t)flight->command.length;
        if (flight->outcome == WRITER_WRITTEN)
            metrics_observe_us(METRIC_GATEWAY_PRODUCE, 0, now_us - flight->sent_us);
        land(flight);
        items = next;
    }
    respond_together_end();
    forget(writer, count, bytes);
}

// --- to the brokers, under the lock --------------------------------------------------------------

enum {
    HEADERS_BYTES_MAX = 512, // the longest text is the name of a type
    RECORD_ROOM = 192,       // of a record besides key and value, as a rule
};

static const char type_header[] = "ce_type";

static void append(struct burst *burst, const struct flight *flight, int64_t now_ms) {
    const struct command *command = &flight->command;
    const char *type = record_types[command->type]->full_name;
    uint8_t headers[HEADERS_BYTES_MAX];
    uint8_t *end =
        wire_header_put(headers, type_header, sizeof(type_header) - 1, type, strlen(type));
    if (flight->trace.is_set) {
        char text[TRACE_TEXT_LEN + 1];
        trace_format(&flight->trace, text);
        end = wire_header_put(end, TRACE_HEADER, sizeof(TRACE_HEADER) - 1, text, TRACE_TEXT_LEN);
    }
    const struct wire_record record = {
        .key = command->key,
        .key_len = command->key_len,
        .value = command->bytes,
        .value_len = command->length,
        .headers = {.bytes = headers,
                    .len = (size_t)(end - headers),
                    .count = 1 + (uint32_t)flight->trace.is_set},
    };
    wire_batch_append(&burst->parcel.batch, &record, now_ms);
}

static void send_burst(struct command_writer *writer, struct lane_item *items) {
    struct burst *burst = writer->idle;
    assert(burst && "no more lanes are active than there are bursts");
    writer->idle = burst->next_idle;
    burst->items = items;
    burst->lane = items->lane;
    const enum topic_id topic = flight_of(items)->command.topic;
    burst->parcel.topic = topic;
    burst->parcel.partition = (int32_t)(items->lane - writer->topics[topic].first_lane);
    burst->parcel.deadline_ms = clock_monotonic_ms() + writer->wait_ms_max;
    wire_batch_reset(&burst->parcel.batch);
    const int64_t now_ms = clock_now_us() / 1000;
    for (struct lane_item *item = items; item; item = item->next)
        append(burst, flight_of(item), now_ms);
    wire_producer_put(writer->producer, &burst->parcel);
}

// Sends what may go.
static void dispatch(struct command_writer *writer) {
    bool any = false;
    const int64_t now_us = clock_monotonic_us();
    for (struct lane_item *items; (items = command_lanes_take(&writer->lanes, now_us)); any = true)
        send_burst(writer, items);
    if (any)
        wire_producer_send(writer->producer, clock_monotonic_ms());
}

static enum writer_outcome outcome_of(const struct burst *burst, int32_t count) {
    const struct wire_parcel *parcel = &burst->parcel;
    if (parcel->fate == WIRE_WRITTEN)
        return WRITER_WRITTEN;
    LOG(WARN, "commands were not acknowledged", F_INT("commands", count),
        F_INT("kafka_code", parcel->code), F_BOOL("maybe_written", parcel->fate == WIRE_UNKNOWN));
    return parcel->fate == WIRE_NOT_WRITTEN ? WRITER_NOT_WRITTEN : WRITER_UNKNOWN;
}

// Takes what is over and lets its lane go on. Returned are its items.
static struct lane_item *take_landed(struct command_writer *writer, struct burst *burst,
                                     struct lane_item *before) {
    const int32_t count = burst->parcel.batch.count;
    const enum writer_outcome outcome = outcome_of(burst, count);
    struct lane_item *last = NULL;
    for (struct lane_item *item = burst->items; item; item = item->next) {
        flight_of(item)->outcome = outcome;
        last = item;
    }
    last->next = before;
    command_lanes_landed(&writer->lanes, burst->lane, (uint32_t)count);
    burst->next_idle = writer->idle;
    writer->idle = burst;
    return burst->items;
}

// Rings when a lane has gathered for long enough; when none does there is nothing to ring for.
static void set_timer(struct command_writer *writer) {
    const int64_t next_us = command_lanes_next_us(&writer->lanes);
    if (next_us == writer->timer_us)
        return;
    writer->timer_us = next_us;
    const int64_t at_us = next_us == INT64_MAX ? 0 : next_us; // 0: never
    const struct itimerspec at = {
        .it_value = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000}};
    (void)timerfd_settime(writer->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

// Whatever can be done without waiting. Returned is what is over, to be landed without the lock.
static struct lane_item *advance(struct command_writer *writer) {
    struct lane_item *over = NULL;
    dispatch(writer);
    for (struct wire_parcel *parcel; (parcel = wire_producer_take(writer->producer));) {
        over = take_landed(writer, (struct burst *)parcel, over);
        dispatch(writer);
    }
    set_timer(writer);
    if (wire_producer_wants_keeping(writer->producer, NULL))
        (void)pthread_cond_signal(&writer->keep);
    return over;
}

void command_writer_serve(void *state) {
    struct command_writer *writer = state;
    (void)pthread_mutex_lock(&writer->lock);
    wire_producer_serve(writer->producer, clock_monotonic_ms());
    struct lane_item *over = advance(writer);
    (void)pthread_mutex_unlock(&writer->lock);
    land_all(writer, over);
}

// --- the thread that looks ----------------------------------------------------------------------

static void look(struct command_writer *writer) {
    (void)pthread_mutex_lock(&writer->lock);
    const int64_t now_ms = clock_monotonic_ms();
    struct lane_item *expired = command_lanes_expire(&writer->lanes, now_ms - writer->wait_ms_max);
    wire_producer_serve(writer->producer, now_ms); // what is there has come in time
    wire_producer_expire(writer->producer, now_ms);
    struct lane_item *over = advance(writer);
    const bool is_worn = wire_producer_is_worn(writer->producer);
    (void)pthread_mutex_unlock(&writer->lock);
    if (expired)
        LOG(WARN, "commands waited too long for the brokers, refusing them");
    for (struct lane_item *item = expired; item; item = item->next)
        flight_of(item)->outcome = WRITER_NOT_WRITTEN;
    land_all(writer, expired);
    land_all(writer, over);
    if (!is_worn || service_stopping())
        return;
    struct error err = {0};
    (void)error_set(&err, DISP_FATAL, 0,
                    "the producer cannot go on: a partition has no epoch left");
    service_fail(EXIT_INTERNAL, &err);
}

static void *run(void *arg) {
    struct command_writer *writer = arg;
    int64_t next_look_ms = 0;
    while (!atomic_load(&writer->stop) || atomic_load(&writer->pending) > 0) {
        struct pollfd fds[] = {{.fd = writer->bell_fd, .events = POLLIN},
                               {.fd = wire_producer_fd(writer->producer), .events = POLLIN}};
        const bool lent = atomic_load(&writer->lent);
        eventfd_t ignored;
        (void)poll(fds, lent ? 1 : 2, LOOK_MS);
        if (fds[0].revents)
            (void)eventfd_read(writer->bell_fd, &ignored);
        if (!lent && fds[1].revents)
            command_writer_serve(writer);
        if (clock_monotonic_ms() < next_look_ms)
            continue;
        look(writer);
        next_look_ms = clock_monotonic_ms() + LOOK_MS;
    }
    return NULL;
}

int command_writer_lend(struct command_writer *writer) {
    atomic_store(&writer->lent, true);
    (void)eventfd_write(writer->bell_fd, 1);
    return wire_producer_fd(writer->producer);
}

void command_writer_take_back(struct command_writer *writer) {
    atomic_store(&writer->lent, false);
    (void)eventfd_write(writer->bell_fd, 1);
}

// --- the thread that connects -------------------------------------------------------------------

// Under the lock.
static void rest(struct command_writer *writer, int64_t pause_us) {
    const int64_t end_us = clock_monotonic_us() + pause_us;
    const struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    while (!writer->over && pthread_cond_timedwait(&writer->keep, &writer->lock, &end) == 0)
        ;
}

static void complain(struct error *err, int64_t *next_ms) {
    metrics_add(METRIC_ERRORS, ERROR_CLIENT, 1);
    if (clock_monotonic_ms() < *next_ms)
        return;
    *next_ms = clock_monotonic_ms() + COMPLAIN_MS;
    LOG(WARN, "trouble with brokers, it goes on trying", F_ERR(err));
}

static void *keep(void *arg) {
    struct command_writer *writer = arg;
    uint64_t dice = backoff_dice();
    int64_t last_ms = 0, complain_ms = 0;
    int tries = 0;
    (void)pthread_mutex_lock(&writer->lock);
    for (;;) {
        struct error err;
        while (!writer->over && !wire_producer_wants_keeping(writer->producer, &err))
            (void)pthread_cond_wait(&writer->keep, &writer->lock);
        tries = clock_monotonic_ms() - last_ms > QUIET_MS ? 0 : tries + 1;
        if (tries > 0 && !writer->over)
            rest(writer, backoff_us(&dice, PAUSE_US, PAUSE_US_MAX, tries));
        if (writer->over)
            break;
        (void)pthread_mutex_unlock(&writer->lock);
        if (err.what != DISP_NONE)
            complain(&err, &complain_ms);
        if (!wire_producer_keep(writer->producer, STEP_MS, &err))
            complain(&err, &complain_ms);
        last_ms = clock_monotonic_ms();
        (void)pthread_mutex_lock(&writer->lock);
        struct lane_item *over = advance(writer);
        (void)pthread_mutex_unlock(&writer->lock);
        land_all(writer, over);
        (void)pthread_mutex_lock(&writer->lock);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return NULL;
}

// --- start and stop ------------------------------------------------------------------------------

static bool find_topic(struct command_writer *writer, enum topic_id topic, uint32_t *lanes_count,
                       struct error *err) {
    int code;
    const int32_t partitions = wire_producer_partitions(writer->producer, topic, &code);
    writer->topics[topic].first_lane = *lanes_count;
    writer->topics[topic].partitions = partitions;
    *lanes_count += (uint32_t)partitions;
    if (partitions > 0)
        return true;
    if (code == WIRE_UNKNOWN_TOPIC_OR_PARTITION)
        return error_set(err, DISP_FATAL, code, "topic %s does not exist: run `orderlog setup`",
                         writer->names[topic]);
    return wire_code_error(code, "Metadata", writer->names[topic], err);
}

static bool open_producer(struct command_writer *writer, const struct config *config,
                          struct error *err) {
    if (!wire_settings_read(config, "orderlog.gateway", WIRE_UNCOMPRESSED, &writer->wire, err))
        return false;
    for (size_t i = 0; i < WRITTEN_TOPICS; i++)
        writer->names[written_topics[i]] = topics[written_topics[i]].name;
    const struct wire_producer_settings settings = {.wire = &writer->wire,
                                                    .lock = &writer->lock,
                                                    .timeout_ms = writer->wait_ms_max,
                                                    .topics = writer->names,
                                                    .topics_count = TOPIC_COUNT};
    writer->producer = wire_producer_new(&settings, err);
    if (!writer->producer)
        return false;
    if (wire_producer_keep(writer->producer, STEP_MS, err))
        return true;
    // Those that are there will do: the others are looked for.
    return wire_producer_is_ready(writer->producer);
}

static bool start(struct command_writer *writer, const struct config *config, struct error *err) {
    uint32_t lanes_count = 0;
    if (!open_producer(writer, config, err))
        return false;
    for (size_t i = 0; i < WRITTEN_TOPICS; i++)
        if (!find_topic(writer, written_topics[i], &lanes_count, err))
            return false;
    struct epoll_event rings = {.events = EPOLLIN};
    writer->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    writer->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (writer->bell_fd < 0 || writer->timer_fd < 0 ||
        epoll_ctl(wire_producer_fd(writer->producer), EPOLL_CTL_ADD, writer->timer_fd, &rings) ||
        !command_lanes_init(&writer->lanes, lanes_count))
        return error_set(err, DISP_FATAL, 0, "out of memory or descriptors");
    writer->running = pthread_create(&writer->thread, NULL, run, writer) == 0;
    writer->keeping = writer->running && pthread_create(&writer->keeper, NULL, keep, writer) == 0;
    return writer->keeping || error_set(err, DISP_FATAL, 0, "cannot start a thread");
}

bool command_writer_start(const struct config *config, struct command_writer **ret,
                          struct error *err) {
    struct command_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->keep, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&writer->lock, NULL);
    writer->bell_fd = writer->timer_fd = -1;
    writer->timer_us = INT64_MAX;
    writer->wait_ms_max = config->gateway_request_timeout_ms / 2;
    for (size_t i = 0; i < LANES_ACTIVE_MAX; i++) {
        writer->bursts[i].next_idle = writer->idle;
        writer->idle = &writer->bursts[i];
    }
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
    (void)pthread_mutex_lock(&writer->lock);
    writer->over = true;
    (void)pthread_cond_broadcast(&writer->keep);
    (void)pthread_mutex_unlock(&writer->lock);
    if (writer->keeping)
        (void)pthread_join(writer->keeper, NULL);
    wire_producer_free(writer->producer);
    for (size_t i = 0; i < LANES_ACTIVE_MAX; i++)
        wire_batch_done(&writer->bursts[i].parcel.batch);
    command_lanes_done(&writer->lanes);
    if (writer->bell_fd >= 0)
        (void)close(writer->bell_fd);
    if (writer->timer_fd >= 0)
        (void)close(writer->timer_fd);
    (void)pthread_cond_destroy(&writer->keep);
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
    (void)pthread_mutex_lock(&writer->lock);
    while (items) {
        struct lane_item *next = items->next;
        command_lanes_push(&writer->lanes, items);
        items = next;
    }
    struct lane_item *over = advance(writer);
    (void)pthread_mutex_unlock(&writer->lock);
    land_all(writer, over);
}

void command_writer_send(struct command_writer *writer, struct command *command,
                         const struct trace_context *trace, writer_done_fn *done, void *state) {
    struct flight *flight = malloc(sizeof(*flight));
    if (!flight) {
        command_done(command);
        done(state, WRITER_NOT_WRITTEN);
        return;
    }
    assert(writer->names[command->topic]);
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
    flight->item.size = (uint32_t)(RECORD_ROOM + flight->command.key_len + flight->command.length);
    if (trace)
        flight->trace = *trace;
    if (spans_are_on())
        begin_span(flight, trace != NULL);
    flight->item.next = NULL;
    if (!has_room(writer, flight->command.length)) {
        flight->outcome = WRITER_NOT_WRITTEN;
        land_all(writer, &flight->item);
        return;
    }
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
