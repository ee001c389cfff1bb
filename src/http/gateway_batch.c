// SPDX-License-Identifier: Apache-2.0
//
// POST /v1/orders:batch: orders as lines of NDJSON, any number, in bounded memory. A line is cut
// out of the stream, turned into a command and sent; up to WINDOW of them wait for the brokers at
// one time. When the window is full, or the processors are behind, the client is no longer read
// from. Results come in the order of the lines; they are kept in an unlinked temporary file, since
// few clients can read an answer while they still send.
//
//   window:  [ written | waiting | written | refused | …free… ]
//              ▲ head: the first line whose result has not been spooled    ▲ tail: the next line
//
// Two threads touch a batch: the HTTP thread that owns its connection, and the writer's thread that
// reports. `lock` guards all that both use. The batch lives until the request is over and every
// line has been reported, whichever comes last.
#include "gateway_state.h"

#include "http/respond.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "service/uninitialized.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A long line's memory is given back before the next.
enum { JSON_BYTES_KEPT = 256 * 1024 };

enum { HOLDS_US = 200000 };

enum { NUMBER_MAX = 20 }; // digits of a line's number

enum { WINDOW = 4096, SPOOL_BYTES = 16 * 1024, BATCHES_MAX = 128 };

struct batch_line {
    struct batch *batch;
    uint64_t number; // of the line in the stream, from 1
    bool reported;
    struct id command_id;
    struct id order_id;
    bool written; // its receipt is still to be written
    char *result; // otherwise: owned; NULL: out of memory, or nothing yet
    size_t result_length;
};

struct batch {
    struct gateway *gateway;
    pthread_mutex_t lock;
    struct http_request *request; // NULL once it is over
    bool paused;                  // the client is not read from: the window was full
    bool ended;                   // all lines have been read; answer when all are reported
    bool key_asked;               // a line waits for the key of its customer
    bool last_waits;              // the request is suspended for the sake of its last line
    uint64_t head;                // places in the window count from 1 for ever
    uint64_t tail;
    uint64_t line_number; // as the client counts, blank ones included
    uint32_t pending;     // sent, not reported
    struct backlog_waiter waiter;

    int fd; // the spool; -1 when it was handed over
    uint64_t spooled_bytes;
    bool spool_failed;
    size_t buffered;

    struct arena json; // of the line at hand
    int64_t held_us;   // when it was last seen that the caller's key holds

    char *partial; // owned: a line that has not ended yet
    size_t partial_length;
    size_t partial_size;
    bool partial_too_long;
    bool partial_ended; // its newline has been read: it waited for the key of its customer

    bool has_waited; // the line at hand has asked for the key of its customer already

    struct batch_line lines[WINDOW];
    char buffer[SPOOL_BYTES];
};

static _Atomic int batches_count;

static void wake(void *state) {
    struct batch *batch = state;
    (void)pthread_mutex_lock(&batch->lock);
    if (batch->request)
        http_request_read_more(batch->request);
    (void)pthread_mutex_unlock(&batch->lock);
}

// --- life --------------------------------------------------------------------------------------

static int open_spool(void) {
    const char *folder = getenv("TMPDIR");
    return open(folder && folder[0] ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static bool room_for_batch(void) {
    if (atomic_fetch_add(&batches_count, 1) < BATCHES_MAX)
        return true;
    atomic_fetch_sub(&batches_count, 1);
    return false;
}

static void refuse_batch(struct http_request *request, const char *detail) {
    struct problem problem;
    problem_init(&problem);
    problem.retry_after_s = 5;
    (void)problem_set(&problem, PROBLEM_UNAVAILABLE, "%s", detail);
    respond_problem(request, &problem);
}

void gateway_batch_begin(struct http_request *request, void *state) {
    if (!room_for_batch()) {
        refuse_batch(request, "too many batches at one time");
        return;
    }
    struct batch *batch = calloc(1, sizeof(*batch));
    int fd = batch ? open_spool() : -1;
    if (fd < 0) {
        LOG(ERROR, "a batch cannot be taken: no temporary file", F_STR("error", strerror(errno)));
        free(batch);
        atomic_fetch_sub(&batches_count, 1);
        refuse_batch(request, "no room for the results");
        return;
    }
    batch->gateway = state;
    batch->request = request;
    batch->fd = fd;
    batch->head = batch->tail = 1;
    arena_init(&batch->json, 0);
    batch->waiter.wake = wake;
    batch->waiter.state = batch;
    (void)pthread_mutex_init(&batch->lock, NULL);
    http_request_attach(request, batch);
}

static void batch_free(struct batch *batch) {
    for (size_t i = 0; i < WINDOW; i++)
        free(batch->lines[i].result);
    free(batch->partial);
    arena_done(&batch->json);
    if (batch->fd >= 0)
        (void)close(batch->fd);
    (void)pthread_mutex_destroy(&batch->lock);
    free(batch);
    atomic_fetch_sub(&batches_count, 1);
}

void gateway_batch_done(struct http_request *request, void *attachment, bool complete) {
    (void)request;
    (void)complete;
    struct batch *batch = attachment;
    backlog_forget(batch->gateway->orders, &batch->waiter);
    (void)pthread_mutex_lock(&batch->lock);
    batch->request = NULL;
    bool last = batch->pending == 0;
    (void)pthread_mutex_unlock(&batch->lock);
    if (last)
        batch_free(batch);
}

// --- results -----------------------------------------------------------------------------------

static void flush_spool(struct batch *batch) {
    size_t at = 0;
    while (at < batch->buffered && !batch->spool_failed) {
        ssize_t wrote = write(batch->fd, batch->buffer + at, batch->buffered - at);
        if (wrote > 0)
            at += (size_t)wrote;
        else if (wrote == 0 || errno != EINTR)
            batch->spool_failed = true;
    }
    batch->spooled_bytes += at;
    batch->buffered = 0;
}

static void spool(struct batch *batch, const char *bytes, size_t length) {
    while (length > 0) {
        if (batch->buffered == SPOOL_BYTES)
            flush_spool(batch);
        size_t room = SPOOL_BYTES - batch->buffered;
        size_t part = length < room ? length : room;
        memcpy(batch->buffer + batch->buffered, bytes, part);
        batch->buffered += part;
        bytes += part;
        length -= part;
    }
}

static char *put_text(char *at, const char *text, size_t length) {
    memcpy(at, text, length);
    return at + length;
}

static char *put_id(char *at, const struct id *id) {
    id_format(id, at);
    return at + ID_TEXT_LEN;
}

// Every line has one: written out here, as put together field by field it cost more than its line.
static void spool_receipt(struct batch *batch, const struct batch_line *line) {
    static const char begin[] = "{\"line\":", order[] = ",\"status\":202,\"order_id\":\"",
                      command[] = "\",\"command_id\":\"", end[] = "\"}\n";
    char text[sizeof(begin) + sizeof(order) + sizeof(command) + sizeof(end) + 2 * ID_TEXT_LEN +
              NUMBER_MAX] UNINITIALIZED;
    char digits[NUMBER_MAX] UNINITIALIZED;
    size_t first = NUMBER_MAX;
    for (uint64_t number = line->number; number > 0; number /= 10)
        digits[--first] = (char)('0' + number % 10);
    char *at = put_text(text, begin, sizeof(begin) - 1);
    at = put_text(at, digits + first, NUMBER_MAX - first);
    at = put_text(at, order, sizeof(order) - 1);
    at = put_id(at, &line->order_id);
    at = put_text(at, command, sizeof(command) - 1);
    at = put_id(at, &line->command_id);
    at = put_text(at, end, sizeof(end) - 1);
    spool(batch, text, (size_t)(at - text));
}

// Under the lock: moves the results of the head on into the spool.
static void advance(struct batch *batch) {
    while (batch->head < batch->tail) {
        struct batch_line *line = &batch->lines[batch->head % WINDOW];
        if (!line->reported)
            return;
        if (line->written)
            spool_receipt(batch, line);
        else if (line->result)
            spool(batch, line->result, line->result_length);
        else
            batch->spool_failed = true;
        free(line->result);
        line->result = NULL;
        batch->head++;
    }
}

static void set_problem(struct batch_line *line, const struct problem *problem) {
    line->result =
        problem_render(problem, /* instance= */ NULL, line->number, &line->result_length);
    line->reported = true;
}

// Everything is reported: out it goes. Without the lock: afterwards the request may be gone.
static void answer(struct batch *batch) {
    flush_spool(batch);
    struct http_request *request = batch->request;
    int fd = batch->fd;
    batch->fd = -1;
    if (batch->spool_failed) {
        (void)close(fd);
        // The lines were written or not, but nobody can be told which: the same keys tell.
        respond_refuse(request, PROBLEM_OUTCOME_UNKNOWN, "the results could not be kept");
        return;
    }
    respond_file_take(request, 200, "application/x-ndjson", fd, batch->spooled_bytes);
}

// In the writer's thread, or while the line is sent.
static void on_written(void *state, enum writer_outcome outcome) {
    struct batch_line *line = state;
    struct batch *batch = line->batch;
    (void)pthread_mutex_lock(&batch->lock);
    if (outcome == WRITER_WRITTEN) {
        line->written = line->reported = true;
    } else {
        struct problem problem;
        problem_init(&problem);
        gateway_explain(outcome, &problem);
        set_problem(line, &problem);
    }
    advance(batch);
    batch->pending--;
    bool over = !batch->request && batch->pending == 0;
    bool answers = batch->request && batch->ended && batch->pending == 0;
    // Not for every single line: suspending and resuming costs more than a line.
    if (batch->request && batch->paused &&
        (batch->tail - batch->head <= WINDOW / 2 || batch->pending == 0)) {
        batch->paused = false;
        http_request_read_more(batch->request);
    }
    (void)pthread_mutex_unlock(&batch->lock);
    if (over)
        batch_free(batch);
    else if (answers)
        answer(batch);
}

// --- keys of customers -------------------------------------------------------------------------

static void end_of_lines(struct batch *batch);

// In the desk's thread. The line is read again, or, when it was the last, taken here.
static void on_key(void *state, enum writer_outcome outcome) {
    (void)outcome; // a line that still finds no key is refused
    struct batch *batch = state;
    (void)pthread_mutex_lock(&batch->lock);
    batch->key_asked = false;
    batch->pending--;
    bool over = !batch->request && batch->pending == 0;
    bool is_last = batch->request && batch->last_waits;
    if (batch->request && !is_last)
        http_request_read_more(batch->request);
    (void)pthread_mutex_unlock(&batch->lock);
    if (over)
        batch_free(batch);
    else if (is_last)
        end_of_lines(batch);
}

// The last touch of the batch by this thread, until it is called again.
static void wait_for_key(struct batch *batch, const char *customer_id) {
    batch->has_waited = true;
    (void)pthread_mutex_lock(&batch->lock);
    batch->pending++;
    batch->key_asked = true;
    (void)pthread_mutex_unlock(&batch->lock);
    customer_desk_make_key(batch->gateway->desk, http_request_caller(batch->request)->shop_id,
                           customer_id, on_key, batch);
}

// --- lines -------------------------------------------------------------------------------------

// A batch may be read for hours: a key that is revoked meanwhile opens no further line of it.
static bool still_holds(struct batch *batch, int64_t now_us) {
    if (now_us - batch->held_us >= 0 && now_us - batch->held_us < HOLDS_US)
        return true;
    if (!http_request_holds(batch->request))
        return false;
    batch->held_us = now_us;
    return true;
}

// What lines that arrived together share.
struct moment {
    int64_t now_us;
    struct command_prices prices;
};

static struct moment moment_now(const struct batch *batch) {
    return (struct moment){.now_us = clock_now_us(), .prices = gateway_prices(batch->gateway)};
}

static bool build(struct batch *batch, const struct moment *moment, const char *text, size_t length,
                  struct command *ret, struct command_wants_key *wants_key,
                  struct problem *problem) {
    const struct jsonin *root = NULL;
    char key[COMMAND_KEY_MAX + 1] UNINITIALIZED;
    if (service_stopping())
        return problem_set(problem, PROBLEM_UNAVAILABLE, "the service is stopping");
    if (batch->json.bytes_held > JSON_BYTES_KEPT)
        arena_done(&batch->json);
    arena_reset(&batch->json);
    if (!body_parse(&batch->json, text, length, &root, problem))
        return false;
    const struct command_context context = {
        .caller = http_request_caller(batch->request),
        .ids = batch->gateway->ids,
        .prices = &moment->prices,
        .people = &batch->gateway->people,
        .idempotency_key = key,
        .key_in_body = true,
        .now_us = moment->now_us,
        .wants_key = wants_key,
    };
    if (!still_holds(batch, context.now_us))
        return problem_set(problem, PROBLEM_UNAUTHENTICATED, "the key was revoked meanwhile");
    return command_line_key(root, key, problem) &&
           command_place_order(&context, root, ret, problem);
}

static bool is_blank(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    }
    return true;
}

// The caller has seen to it that there is room in the window. False: the line is to be given once
// more, when the key of its customer is there; on_key() sees to that.
static bool take_line(struct batch *batch, const struct moment *moment, const char *text,
                      size_t length, bool too_long) {
    batch->line_number++;
    if (!too_long && is_blank(text, length))
        return true;
    struct problem problem UNINITIALIZED;
    struct command command;
    struct command_wants_key wants_key = {.wanted = false};
    problem_init(&problem);
    bool ok = too_long
                  ? problem_set(&problem, PROBLEM_LINE_TOO_LARGE, "a line has at most %lld bytes",
                                (long long)batch->gateway->config->http_line_bytes_max)
                  : build(batch, moment, text, length, &command, &wants_key, &problem);
    if (wants_key.wanted && !batch->has_waited) {
        batch->line_number--;
        wait_for_key(batch, wants_key.customer_id);
        return false;
    }
    if (wants_key.wanted)
        (void)problem_set(&problem, PROBLEM_NOT_WRITTEN, "the customer's key could not be made");
    batch->has_waited = false;

    (void)pthread_mutex_lock(&batch->lock);
    assert(batch->tail - batch->head < WINDOW);
    struct batch_line *line = &batch->lines[batch->tail % WINDOW];
    *line = (struct batch_line){.batch = batch, .number = batch->line_number};
    batch->tail++;
    if (ok) {
        line->command_id = command.command_id;
        line->order_id = command.order_id;
        batch->pending++;
    } else {
        set_problem(line, &problem);
        advance(batch);
    }
    (void)pthread_mutex_unlock(&batch->lock);
    if (ok)
        command_writer_send(batch->gateway->writer, &command, /* trace= */ NULL, on_written, line);
    return true;
}

static void keep_partial(struct batch *batch, const char *bytes, size_t length) {
    size_t bytes_max = (size_t)batch->gateway->config->http_line_bytes_max;
    if (batch->partial_too_long || batch->partial_length + length > bytes_max) {
        batch->partial_too_long = true;
        batch->partial_length = 0;
        return;
    }
    if (batch->partial_length + length > batch->partial_size) {
        size_t size = batch->partial_size ? batch->partial_size : 4096;
        while (size < batch->partial_length + length)
            size *= 2;
        char *partial = realloc(batch->partial, size);
        if (!partial) {
            batch->partial_too_long = true;
            batch->partial_length = 0;
            return;
        }
        batch->partial = partial;
        batch->partial_size = size;
    }
    memcpy(batch->partial + batch->partial_length, bytes, length);
    batch->partial_length += length;
}

static bool end_partial(struct batch *batch, const struct moment *moment) {
    batch->partial_ended = true;
    if (!take_line(batch, moment, batch->partial ? batch->partial : "", batch->partial_length,
                   batch->partial_too_long))
        return false;
    batch->partial_ended = false;
    batch->partial_length = 0;
    batch->partial_too_long = false;
    return true;
}

// How many lines may be taken before this is to be asked again; 0: none now, reading will go on
// when there is room, or when the line that waits for its customer's key has it. One place is kept
// free for a last line without a newline, which cannot be put off.
static size_t room_for_lines(struct batch *batch) {
    (void)pthread_mutex_lock(&batch->lock);
    size_t room = WINDOW - 1 - (size_t)(batch->tail - batch->head);
    batch->paused = room == 0;
    if (batch->key_asked)
        room = 0;
    (void)pthread_mutex_unlock(&batch->lock);
    return room;
}

size_t gateway_batch_chunk(struct http_request *request, void *state, const char *bytes,
                           size_t length) {
    (void)state;
    struct batch *batch = http_request_attachment(request);
    const struct moment moment = moment_now(batch);
    size_t room = 0;
    size_t at = 0;
    while (at < length) {
        if (room == 0)
            room = room_for_lines(batch);
        if (room == 0 || backlog_wait(batch->gateway->orders, &batch->waiter))
            return at;
        room--;
        if (batch->partial_ended && !end_partial(batch, &moment))
            return at;
        const char *newline = memchr(bytes + at, '\n', length - at);
        size_t part = newline ? (size_t)(newline - bytes) - at : length - at;
        if (newline && batch->partial_length == 0 && !batch->partial_too_long &&
            part <= (size_t)batch->gateway->config->http_line_bytes_max) {
            if (!take_line(batch, &moment, bytes + at, part, /* too_long= */ false))
                return at;
        } else {
            keep_partial(batch, bytes + at, part);
            if (newline && !end_partial(batch, &moment))
                return at + part + 1;
        }
        at += part + (newline != NULL);
    }
    return at;
}

// Suspends the request for the sake of its last line. True: that line waits for a key already.
static bool last_line_waits(struct batch *batch) {
    (void)pthread_mutex_lock(&batch->lock);
    if (!batch->last_waits)
        http_request_suspend(batch->request);
    batch->last_waits = true;
    bool waits = batch->key_asked;
    (void)pthread_mutex_unlock(&batch->lock);
    return waits;
}

// When there is nothing more to read; once more when the last line has waited for a key.
static void end_of_lines(struct batch *batch) {
    const struct moment moment = moment_now(batch);
    if ((batch->partial_length > 0 || batch->partial_too_long) &&
        (last_line_waits(batch) || !end_partial(batch, &moment)))
        return;
    (void)pthread_mutex_lock(&batch->lock);
    batch->ended = true;
    bool waits = batch->pending > 0;
    if (waits && !batch->last_waits)
        http_request_suspend(batch->request);
    (void)pthread_mutex_unlock(&batch->lock);
    if (!waits)
        answer(batch);
}

void gateway_batch_handle(struct http_request *request, void *state) {
    (void)state;
    end_of_lines(http_request_attachment(request));
}
