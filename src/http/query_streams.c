// SPDX-License-Identifier: Apache-2.0
//
// Orders that are followed. One thread looks, every few milliseconds while anything is followed,
// which orders the last batches of the timeline changed (order_timeline_news, written in their
// transaction), and reads the events of those that somebody follows, for all of them in one query.
// What this costs depends on what happens and not on how many follow.
//
//   HTTP thread   order found, stream opened: due
//   the thread    look: due are those that changed ─▶ events after the version handed over ─▶ push
//   HTTP thread   a stream without room has drained: due again
//
// An event's id is the order's version, so a client that comes back says which it has seen, to this
// process or another one. Nothing is missed: a stream is due when it begins, and every change after
// the look before that makes it due again. Who could not look for long takes all to be due.
#include "query_streams.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event/codec.h"
#include "http/event_stream.h"
#include "http/respond.h"
#include "query_pulse.h"
#include "query_sample.h"
#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "store/pg_array.h"

enum { SAMPLES_MAX = 64 };
enum { BUCKETS = 8192, READ_MAX = 256, EVENTS_PER_READ_MAX = 100, PARTITIONS_MAX = 1024 };
enum {
    LOOK_EVERY_MS = 20,
    TRY_AGAIN_MS = 500,
    KEEP_HOUSE_MS = 500,
    NEWS_KEPT_MS = 30000, // order_timeline/purge.sql keeps them for longer
    STREAM_BYTES_MAX = 16 * 1024,
    EVENT_BYTES_MAX = 64 * 1024,
};

// Looked up by key whatever a plan made for an empty table says.
static const char session_settings[] =
    "SET default_transaction_read_only = on; SET statement_timeout = '5s'; SET TimeZone = 'UTC'; "
    "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";

struct stream {
    struct query_streams *streams;
    struct stream *next; // of all
    struct stream *previous;
    struct stream *bucket_next;
    struct stream *due_next;
    struct id order_id;
    int64_t version;  // of the last event handed over
    int64_t alive_ms; // when something was handed over last
    bool is_due;
    bool is_read;                // by the thread, outside of the lock
    struct query_sample *sample; // owned; NULL: of one order
    struct stream *sample_next;
    struct http_caller caller;
    int64_t begun_ms;
    bool is_over; // freed by whoever takes it off the list of those due, or has read it
    struct event_stream *out;
};

struct query_streams {
    const struct config *config;
    struct http_access access;
    pthread_mutex_t lock; // of everything up to the thread's own
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool stopping;
    struct stream *all;
    size_t count;
    struct stream *buckets[BUCKETS]; // by order
    struct stream *samples;
    size_t samples_count;
    int32_t next_number;
    struct stream *due_first;
    struct stream *due_last;
    // The thread's own.
    struct db *db;
    int64_t looked_ms; // the last look that was answered
    int64_t complained_ms;
    int64_t house_at_ms;
    int64_t seen[PARTITIONS_MAX]; // the last offset whose news are known
    size_t partitions;            // with news
    struct stream *reading[READ_MAX];
    char text[EVENT_BYTES_MAX];
};

static void stream_free(struct stream *stream) {
    free(stream->sample);
    free(stream);
}

// --- streams, under the lock --------------------------------------------------------------------

// Order ids are hashes.
static struct stream **bucket_of(struct query_streams *streams, const struct id *order_id) {
    uint32_t hash;
    memcpy(&hash, order_id->bytes, sizeof(hash));
    return &streams->buckets[hash % BUCKETS];
}

static void make_due(struct stream *stream) {
    struct query_streams *streams = stream->streams;
    if (stream->is_due || stream->is_over || stream->sample)
        return;
    stream->is_due = true;
    stream->due_next = NULL;
    if (streams->due_last)
        streams->due_last->due_next = stream;
    else
        streams->due_first = stream;
    streams->due_last = stream;
}

static struct stream *take_due(struct query_streams *streams) {
    struct stream *stream = streams->due_first;
    if (!stream)
        return NULL;
    streams->due_first = stream->due_next;
    if (!streams->due_first)
        streams->due_last = NULL;
    stream->is_due = false;
    return stream;
}

static void add(struct stream *stream) {
    struct query_streams *streams = stream->streams;
    if (stream->sample) {
        stream->sample->number = streams->next_number++;
        stream->sample_next = streams->samples;
        streams->samples = stream;
        streams->samples_count++;
    } else {
        struct stream **bucket = bucket_of(streams, &stream->order_id);
        stream->bucket_next = *bucket;
        *bucket = stream;
    }
    stream->next = streams->all;
    if (stream->next)
        stream->next->previous = stream;
    streams->all = stream;
    streams->count++;
    metrics_set(METRIC_QUERY_STREAMS, 0, (int64_t)streams->count);
}

static void take_off_samples(struct stream *stream) {
    struct stream **at = &stream->streams->samples;
    while (*at != stream)
        at = &(*at)->sample_next;
    *at = stream->sample_next;
    stream->streams->samples_count--;
}

static void take_off_bucket(struct stream *stream) {
    struct stream **at = bucket_of(stream->streams, &stream->order_id);
    while (*at != stream)
        at = &(*at)->bucket_next;
    *at = stream->bucket_next;
}

static void take_off(struct stream *stream) {
    struct query_streams *streams = stream->streams;
    if (stream->sample)
        take_off_samples(stream);
    else
        take_off_bucket(stream);
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        streams->all = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    streams->count--;
    metrics_set(METRIC_QUERY_STREAMS, 0, (int64_t)streams->count);
}

// --- what HTTP threads tell ---------------------------------------------------------------------

static void on_drained(void *owner) {
    struct stream *stream = owner;
    struct query_streams *streams = stream->streams;
    (void)pthread_mutex_lock(&streams->lock);
    make_due(stream);
    (void)pthread_cond_signal(&streams->changed);
    (void)pthread_mutex_unlock(&streams->lock);
}

static void on_over(void *owner) {
    struct stream *stream = owner;
    struct query_streams *streams = stream->streams;
    (void)pthread_mutex_lock(&streams->lock);
    take_off(stream);
    stream->is_over = true;
    bool in_use = stream->is_due || stream->is_read;
    (void)pthread_mutex_unlock(&streams->lock);
    if (!in_use)
        stream_free(stream);
}

// --- opening ------------------------------------------------------------------------------------

static void refuse_room(struct http_request *request, const char *why) {
    struct problem problem;
    problem_init(&problem);
    problem_set(&problem, PROBLEM_UNAVAILABLE, "%s", why);
    problem.retry_after_s = 5;
    respond_problem(request, &problem);
}

// stream_take is not yet known to anybody. Answers in any case.
static void open_stream(struct query_streams *streams, struct http_request *request,
                        struct stream *stream_take) {
    const struct event_stream_options options = {
        .bytes_max = STREAM_BYTES_MAX,
        .stall_ms_max = streams->config->query_stream_stall_ms_max,
        .drained = on_drained,
        .over = on_over,
        .owner = stream_take,
    };
    stream_take->streams = streams;
    stream_take->caller = *http_request_caller(request);
    stream_take->begun_ms = stream_take->alive_ms = clock_monotonic_ms();
    // Callbacks wait at the lock until it is all there.
    (void)pthread_mutex_lock(&streams->lock);
    bool room = !streams->stopping && streams->count < (size_t)streams->config->query_streams_max &&
                (!stream_take->sample || streams->samples_count < SAMPLES_MAX);
    bool opened = false;
    if (room) {
        add(stream_take);
        opened = event_stream_open(request, &options, &stream_take->out);
        if (opened)
            make_due(stream_take);
        else
            take_off(stream_take);
        (void)pthread_cond_signal(&streams->changed);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    if (opened)
        return;
    stream_free(stream_take);
    refuse_room(request, room ? "out of memory" : "too many streams are open");
}

void query_streams_open(struct query_streams *streams, struct http_request *request,
                        const struct id *order_id, int64_t version) {
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        refuse_room(request, "out of memory");
        return;
    }
    stream->order_id = *order_id;
    stream->version = version;
    open_stream(streams, request, stream);
}

void query_streams_open_sample(struct query_streams *streams, struct http_request *request,
                               int64_t rate) {
    const int64_t now_us = clock_monotonic_us();
    struct stream *stream = calloc(1, sizeof(*stream));
    struct query_sample *sample = calloc(1, sizeof(*sample));
    if (!stream || !sample) {
        free(stream);
        free(sample);
        refuse_room(request, "out of memory");
        return;
    }
    *sample = (struct query_sample){.rate = rate, .told_us = now_us, .dice = backoff_dice() | 1};
    memcpy(sample->shop, http_request_caller(request)->shop_id, sizeof(sample->shop));
    stream->sample = sample;
    open_stream(streams, request, stream);
}

// --- looking ------------------------------------------------------------------------------------

// A row per partition that the timeline has stored, and one per order that has news there. A
// partition that was unknown so far counts from its begin.
static const char sql_news[] =
    "SELECT p.partition, p.next_offset, n.last_offset, n.order_id, n.shop_id "
    "FROM (SELECT partition, max(next_offset) AS next_offset FROM projection_offsets "
    "WHERE projection = 'order_timeline' AND topic = 'orders.events' GROUP BY partition) p "
    "LEFT JOIN LATERAL (SELECT last_offset, unnest(order_ids) AS order_id, shop_id "
    "FROM order_timeline_news WHERE log_partition = p.partition "
    "AND last_offset > COALESCE(($1::int8[])[p.partition + 1], -1)) n ON true";

static const char sql_begin[] =
    "SELECT log_partition, max(last_offset) FROM order_timeline_news GROUP BY log_partition";

static void note_seen(struct query_streams *streams, int32_t partition, int64_t offset) {
    if (partition < 0 || partition >= PARTITIONS_MAX)
        return;
    for (; streams->partitions <= (size_t)partition; streams->partitions++)
        streams->seen[streams->partitions] = -1;
    if (offset > streams->seen[partition])
        streams->seen[partition] = offset;
}

static void make_all_due(struct query_streams *streams) {
    for (struct stream *stream = streams->all; stream; stream = stream->next)
        make_due(stream);
}

// Where the news are now; what changed before is seen by reading everything.
static bool begin_looking(struct query_streams *streams, struct error *err) {
    DB_RESULT result = db_query(streams->db, sql_begin, NULL, err);
    if (!result)
        return false;
    streams->partitions = 0;
    for (int row = 0; row < PQntuples(result); row++)
        note_seen(streams, db_int4(result, row, 0), db_int8(result, row, 1));
    (void)pthread_mutex_lock(&streams->lock);
    make_all_due(streams);
    (void)pthread_mutex_unlock(&streams->lock);
    return true;
}

// The read model was made anew, and is not yet where it was.
static bool has_gone_back(const struct query_streams *streams, int32_t partition, int64_t next) {
    return partition >= 0 && (size_t)partition < streams->partitions &&
           next <= streams->seen[partition];
}

static void offer(struct query_streams *streams, const char *shop, const struct id *order_id) {
    for (struct stream *stream = streams->samples; stream; stream = stream->sample_next)
        if (strcmp(stream->sample->shop, shop) == 0)
            query_sample_offer(stream->sample, order_id);
}

static void take_news(struct query_streams *streams, const PGresult *news) {
    (void)pthread_mutex_lock(&streams->lock);
    for (int row = 0; row < PQntuples(news); row++) {
        int32_t partition = db_int4(news, row, 0);
        int64_t next_offset = db_int8(news, row, 1);
        if (has_gone_back(streams, partition, next_offset)) {
            streams->seen[partition] = next_offset - 1;
            make_all_due(streams);
        }
        if (db_is_null(news, row, 2))
            continue;
        const struct id order_id = db_uuid(news, row, 3);
        struct stream *stream = *bucket_of(streams, &order_id);
        note_seen(streams, partition, db_int8(news, row, 2));
        offer(streams, PQgetvalue(news, row, 4), &order_id);
        for (; stream; stream = stream->bucket_next)
            if (id_equal(&stream->order_id, &order_id))
                make_due(stream);
    }
    (void)pthread_mutex_unlock(&streams->lock);
}

static bool look_for_news(struct query_streams *streams, struct error *err) {
    struct pg_array seen = {0};
    struct db_params params = {.count = 0};
    for (size_t i = 0; i < streams->partitions; i++)
        pg_array_add_int8(&seen, streams->seen[i]);
    bool ok = pg_array_finish(&seen, PG_INT8);
    if (!ok)
        error_set(err, DISP_RETRY, 0, "out of memory");
    db_params_bytes(&params, seen.bytes, seen.length);
    DB_RESULT news = ok ? db_query(streams->db, sql_news, &params, err) : NULL;
    if (news)
        take_news(streams, news);
    pg_array_done(&seen);
    return news != NULL;
}

static bool look(struct query_streams *streams, struct error *err) {
    int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->samples; stream; stream = stream->sample_next)
        query_sample_begin(stream->sample);
    (void)pthread_mutex_unlock(&streams->lock);
    bool ok = now_ms - streams->looked_ms > NEWS_KEPT_MS ? begin_looking(streams, err)
                                                         : look_for_news(streams, err);
    if (ok)
        streams->looked_ms = now_ms;
    return ok;
}

// --- reading ------------------------------------------------------------------------------------

static const char sql_events[] =
    "SELECT w.nth::int4, e.version, e.type, row_to_json(e)::text "
    "FROM unnest($1::uuid[], $2::int8[]) WITH ORDINALITY AS w (order_id, version, nth) "
    "CROSS JOIN LATERAL (SELECT t.version, t.type, t.status, t.occurred_at, t.event_id, "
    "t.log_partition, t.log_offset, t.detail FROM order_timeline t "
    "WHERE t.order_id = w.order_id AND t.version > w.version ORDER BY t.version LIMIT $3::int8) e "
    "ORDER BY w.nth, e.version";

static size_t take_some_due(struct query_streams *streams, struct pg_array *ids,
                            struct pg_array *versions) {
    size_t count = 0;
    (void)pthread_mutex_lock(&streams->lock);
    while (count < READ_MAX) {
        struct stream *stream = take_due(streams);
        if (!stream)
            break;
        if (stream->is_over) {
            stream_free(stream);
            continue;
        }
        stream->is_read = true;
        streams->reading[count++] = stream;
        pg_array_add(ids, stream->order_id.bytes, sizeof(stream->order_id.bytes));
        pg_array_add_int8(versions, stream->version);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    return count;
}

// False: there is no room now, and it will be told when there is.
static bool hand_over(struct query_streams *streams, struct stream *stream, const PGresult *events,
                      int row, int64_t now_ms) {
    int64_t version = db_int8(events, row, 1);
    int length =
        snprintf(streams->text, sizeof(streams->text), "id: %lld\nevent: %s\ndata: %s\n\n",
                 (long long)version, PQgetvalue(events, row, 2), PQgetvalue(events, row, 3));
    if (length >= (int)sizeof(streams->text)) // no event is that large; its version says enough
        length = snprintf(streams->text, sizeof(streams->text),
                          "id: %lld\nevent: %s\ndata: {\"version\":%lld}\n\n", (long long)version,
                          PQgetvalue(events, row, 2), (long long)version);
    if (!event_stream_push(stream->out, streams->text, (size_t)length))
        return false;
    stream->version = version;
    stream->alive_ms = now_ms;
    return true;
}

static void hand_over_all(struct query_streams *streams, const PGresult *events, size_t count) {
    int64_t now_ms = clock_monotonic_ms();
    int rows = PQntuples(events);
    int row = 0;
    (void)pthread_mutex_lock(&streams->lock);
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = streams->reading[i];
        int first = row;
        bool room = !stream->is_over;
        for (; row < rows && db_int4(events, row, 0) == (int32_t)i + 1; row++)
            room = room && hand_over(streams, stream, events, row, now_ms);
        if (room && row - first == EVENTS_PER_READ_MAX)
            make_due(stream); // there may be more
    }
    (void)pthread_mutex_unlock(&streams->lock);
}

// Without an answer they stay due.
static void give_back(struct query_streams *streams, size_t count, bool answered) {
    (void)pthread_mutex_lock(&streams->lock);
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = streams->reading[i];
        stream->is_read = false;
        if (stream->is_over && !stream->is_due)
            stream_free(stream);
        else if (!answered)
            make_due(stream);
    }
    (void)pthread_mutex_unlock(&streams->lock);
}

// Of some of those due. *ret_count: how many these were.
static bool read_some(struct query_streams *streams, size_t *ret_count, struct error *err) {
    struct pg_array ids = {0};
    struct pg_array versions = {0};
    struct db_params params = {.count = 0};
    *ret_count = take_some_due(streams, &ids, &versions);
    bool ok =
        *ret_count == 0 || (pg_array_finish(&ids, PG_UUID) && pg_array_finish(&versions, PG_INT8));
    if (!ok)
        error_set(err, DISP_RETRY, 0, "out of memory");
    if (ok && *ret_count > 0) {
        db_params_bytes(&params, ids.bytes, ids.length);
        db_params_bytes(&params, versions.bytes, versions.length);
        db_params_int8(&params, EVENTS_PER_READ_MAX);
        DB_RESULT events = db_query(streams->db, sql_events, &params, err);
        ok = events != NULL;
        if (events)
            hand_over_all(streams, events, *ret_count);
    }
    give_back(streams, *ret_count, ok);
    pg_array_done(&ids);
    pg_array_done(&versions);
    return ok;
}

// --- samples ------------------------------------------------------------------------------------

static const char sql_samples[] =
    "SELECT w.number, row_to_json(x)::text "
    "FROM unnest($1::uuid[], $2::text[], $3::int4[]) AS w (order_id, shop_id, number) "
    "CROSS JOIN LATERAL (SELECT o.order_id, o.version, o.status, o.currency, o.total_minor, "
    "o.lines_count, o.placed_at, o.updated_at FROM orders o "
    "WHERE o.order_id = w.order_id AND o.shop_id = w.shop_id) x";

static struct stream *find_sample(struct query_streams *streams, int32_t number) {
    struct stream *stream = streams->samples;
    while (stream && stream->sample->number != number)
        stream = stream->sample_next;
    return stream;
}

// Some of those that were to be shown may have gone meanwhile.
static void show_samples(struct query_streams *streams, const PGresult *orders) {
    (void)pthread_mutex_lock(&streams->lock);
    for (int row = 0; row < PQntuples(orders); row++) {
        struct stream *stream = find_sample(streams, db_int4(orders, row, 0));
        if (stream)
            query_sample_show(stream->sample, stream->out, PQgetvalue(orders, row, 1),
                              (size_t)PQgetlength(orders, row, 1));
    }
    (void)pthread_mutex_unlock(&streams->lock);
}

static void tell_samples(struct query_streams *streams) {
    const int64_t now_us = clock_monotonic_us();
    (void)pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->samples; stream; stream = stream->sample_next)
        query_sample_tell(stream->sample, stream->out, now_us);
    (void)pthread_mutex_unlock(&streams->lock);
}

static bool read_samples(struct query_streams *streams, struct error *err) {
    struct pg_array ids = {0};
    struct pg_array shops = {0};
    struct pg_array numbers = {0};
    (void)pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->samples; stream; stream = stream->sample_next)
        query_sample_want(stream->sample, &ids, &shops, &numbers);
    (void)pthread_mutex_unlock(&streams->lock);
    bool ok = true;
    if (ids.count > 0) {
        ok = pg_array_finish(&ids, PG_UUID) && pg_array_finish(&shops, PG_TEXT) &&
             pg_array_finish(&numbers, PG_INT4);
        if (!ok)
            error_set(err, DISP_RETRY, 0, "out of memory");
        struct db_params params = {.count = 0};
        db_params_bytes(&params, ids.bytes, ids.length);
        db_params_bytes(&params, shops.bytes, shops.length);
        db_params_bytes(&params, numbers.bytes, numbers.length);
        DB_RESULT orders = ok ? db_query(streams->db, sql_samples, &params, err) : NULL;
        ok = orders != NULL;
        if (orders)
            show_samples(streams, orders);
    }
    tell_samples(streams);
    pg_array_done(&ids);
    pg_array_done(&shops);
    pg_array_done(&numbers);
    return ok;
}

// --- the thread ---------------------------------------------------------------------------------

// Silence is broken now and then: proxies keep the connection, and one that is dead is found out.
static void break_silence(struct stream *stream, int64_t now_ms) {
    static const char comment[] = ":\n\n";
    if (now_ms - stream->alive_ms >= stream->streams->config->query_stream_heartbeat_ms &&
        event_stream_push(stream->out, comment, sizeof(comment) - 1))
        stream->alive_ms = now_ms;
}

// A stream goes on for longer than what its caller came with may last. Whoever still may comes
// back.
static bool has_had_its_time(const struct stream *stream, int64_t now_ms) {
    const struct query_streams *streams = stream->streams;
    return now_ms - stream->begun_ms >= streams->config->query_stream_age_ms_max ||
           !http_access_holds(&streams->access, &stream->caller);
}

static void keep_house(struct query_streams *streams) {
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < streams->house_at_ms)
        return;
    streams->house_at_ms = now_ms + KEEP_HOUSE_MS;
    (void)pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->all; stream; stream = stream->next) {
        if (has_had_its_time(stream, now_ms) || event_stream_is_deserted(stream->out))
            event_stream_end(stream->out);
        else
            break_silence(stream, now_ms);
    }
    (void)pthread_mutex_unlock(&streams->lock);
}

// A connection that broke while nobody looked costs one more try.
static bool turn(struct query_streams *streams) {
    struct error err;
    size_t count = 0;
    bool ok = look(streams, &err) || (db_may_retry(streams->db, &err) && look(streams, &err));
    do
        ok = ok && read_some(streams, &count, &err);
    while (ok && count == READ_MAX);
    ok = ok && read_samples(streams, &err);
    int64_t now_ms = clock_monotonic_ms();
    if (!ok && now_ms - streams->complained_ms >= 1000) {
        streams->complained_ms = now_ms;
        LOG(ERROR, "streams of orders stand still", F_ERR(&err));
    }
    keep_house(streams);
    return ok;
}

// Until the next look is due, or there is something to do at once. Under the lock.
static void rest(struct query_streams *streams, bool ok) {
    if (!streams->all && !streams->stopping) {
        (void)pthread_cond_wait(&streams->changed, &streams->lock);
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (ok ? LOOK_EVERY_MS : TRY_AGAIN_MS) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    int waited = 0;
    while (!streams->stopping && waited != ETIMEDOUT && !(ok && streams->due_first))
        waited = pthread_cond_timedwait(&streams->changed, &streams->lock, &until);
}

static void *run(void *opaque) {
    struct query_streams *streams = opaque;
    bool ok = true;
    (void)pthread_mutex_lock(&streams->lock);
    while (!streams->stopping) {
        rest(streams, ok);
        (void)pthread_mutex_unlock(&streams->lock);
        ok = turn(streams);
        (void)pthread_mutex_lock(&streams->lock);
    }
    (void)pthread_mutex_unlock(&streams->lock);
    return NULL;
}

// --- start and stop -----------------------------------------------------------------------------

bool query_streams_start(const struct config *config, const struct query_pulse *pulse,
                         struct http_access access, struct query_streams **ret, struct error *err) {
    struct query_streams *streams = calloc(1, sizeof(*streams));
    pthread_condattr_t monotonic;
    if (!streams)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    streams->config = config;
    streams->access = access;
    streams->looked_ms = INT64_MIN / 2;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&streams->lock, NULL);
    (void)pthread_cond_init(&streams->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    streams->db = query_pulse_connection(pulse, "orderlog query streams", session_settings);
    streams->running = streams->db && pthread_create(&streams->thread, NULL, run, streams) == 0;
    if (!streams->running) {
        query_streams_free(streams);
        return error_set(err, DISP_FATAL, 0, "cannot start the thread of streams");
    }
    *ret = streams;
    return true;
}

void query_streams_stop(struct query_streams *streams) {
    if (!streams || !streams->running)
        return;
    (void)pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    (void)pthread_cond_signal(&streams->changed);
    (void)pthread_mutex_unlock(&streams->lock);
    (void)pthread_join(streams->thread, NULL);
    streams->running = false;
    (void)pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->all; stream; stream = stream->next)
        event_stream_end(stream->out);
    (void)pthread_mutex_unlock(&streams->lock);
}

void query_streams_free(struct query_streams *streams) {
    if (!streams)
        return;
    query_streams_stop(streams);
    assert(!streams->all);
    for (struct stream *stream; (stream = take_due(streams)) != NULL;)
        stream_free(stream);
    db_free(streams->db);
    (void)pthread_cond_destroy(&streams->changed);
    (void)pthread_mutex_destroy(&streams->lock);
    free(streams);
}
