// SPDX-License-Identifier: Apache-2.0
//
// Threads that share out items by a counter, and the progress line on a terminal.
#include "cli/replay.h"
#include "service/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, DRAW_EVERY_MS = 100 };

struct run {
    struct replay *replay;
    replay_work *work;
    void *state;
    uint32_t count;
    uint32_t units_per_item;
    _Atomic uint32_t next;
    _Atomic uint32_t finished;
    const char *label;
    int64_t started_ms;
    int64_t drawn_ms; // under replay->lock
};

struct runner {
    struct run *run;
    int thread;
};

bool replay_init(struct replay *replay, struct error *err) {
    (void)pthread_mutex_init(&replay->lock, NULL);
    replay->orders = calloc(replay->file->order_ids.count + 1, sizeof(*replay->orders));
    bool ok = replay->orders != NULL;
    for (int i = 0; i < replay->threads && ok; i++) {
        replay->gateway[i] = http_client_new(replay->gateway_url, replay->token);
        replay->query[i] = http_client_new(replay->query_url, replay->token);
        ok = replay->gateway[i] && replay->query[i];
    }
    return ok || error_set(err, DISP_FATAL, 0, "out of memory");
}

void replay_done(struct replay *replay) {
    for (int i = 0; i < REPLAY_THREADS_MAX; i++) {
        http_client_free(replay->gateway[i]);
        http_client_free(replay->query[i]);
    }
    free(replay->orders);
    (void)pthread_mutex_destroy(&replay->lock);
}

static void draw(struct run *run, bool is_last) {
    if (!run->label || !isatty(STDERR_FILENO))
        return;
    const int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&run->replay->lock);
    if (is_last || now_ms - run->drawn_ms >= DRAW_EVERY_MS) {
        run->drawn_ms = now_ms;
        const uint32_t finished = atomic_load(&run->finished);
        const int filled = run->count ? (int)((uint64_t)finished * BAR_WIDTH / run->count) : 0;
        char bar[BAR_WIDTH + 1];
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '#', (size_t)filled);
        bar[BAR_WIDTH] = '\0';
        const int64_t units = (int64_t)finished * run->units_per_item;
        const int64_t ms = now_ms - run->started_ms;
        (void)fprintf(stderr, "\r%-18s [%s] %3d%%  %lld/s%s", run->label, bar,
                      run->count ? (int)((uint64_t)finished * 100 / run->count) : 100,
                      (long long)(ms > 0 ? units * 1000 / ms : 0), is_last ? "  \n" : "  ");
    }
    (void)pthread_mutex_unlock(&run->replay->lock);
}

static void *run_thread(void *opaque) {
    const struct runner *runner = opaque;
    struct run *run = runner->run;
    for (;;) {
        const uint32_t item = atomic_fetch_add(&run->next, 1);
        if (item >= run->count)
            return NULL;
        run->work(run->replay, runner->thread, item, run->state);
        (void)atomic_fetch_add(&run->finished, 1);
        draw(run, false);
    }
}

bool replay_run(struct replay *replay, const char *label, uint32_t count, uint32_t units_per_item,
                replay_work *work, void *state, struct error *err) {
    struct run run = {
        .replay = replay,
        .work = work,
        .state = state,
        .count = count,
        .units_per_item = units_per_item,
        .label = label,
        .started_ms = clock_monotonic_ms(),
    };
    replay_moved(replay);
    struct runner runners[REPLAY_THREADS_MAX];
    pthread_t threads[REPLAY_THREADS_MAX];
    int started = 0;
    for (; started < replay->threads; started++) {
        runners[started] = (struct runner){.run = &run, .thread = started};
        if (pthread_create(&threads[started], NULL, run_thread, &runners[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    draw(&run, true);
    return started > 0 || error_set(err, DISP_FATAL, 0, "no thread could be started");
}

void replay_note(struct replay *replay, const char *fmt, ...) {
    (void)pthread_mutex_lock(&replay->lock);
    if (!replay->first_error[0]) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(replay->first_error, sizeof(replay->first_error), fmt, args);
        va_end(args);
    }
    (void)pthread_mutex_unlock(&replay->lock);
}

void replay_moved(struct replay *replay) {
    atomic_store(&replay->moved_ms, clock_monotonic_ms());
}

bool replay_is_stuck(const struct replay *replay) {
    return clock_monotonic_ms() - atomic_load(&replay->moved_ms) > replay->patience_ms;
}

void replay_back_off(int attempt, int after_s) {
    int64_t ms = attempt < 6 ? INT64_C(50) << attempt : 2000;
    if (ms < after_s * INT64_C(1000))
        ms = after_s * INT64_C(1000);
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

bool replay_may_retry(long status) {
    return status == 429 || status == 503 || status == 504;
}
