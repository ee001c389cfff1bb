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
    struct replay_bar *bar; // may be NULL
    replay_work *work;
    void *state;
    uint32_t count;
    _Atomic uint32_t next;
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

void replay_bar_begin(struct replay_bar *bar, const char *label, uint32_t total, uint32_t units) {
    *bar = (struct replay_bar){
        .label = label, .total = total, .units = units, .started_ms = clock_monotonic_ms()};
}

static void draw(struct replay *replay, struct replay_bar *bar, bool is_last) {
    if (!isatty(STDERR_FILENO))
        return;
    const int64_t now_ms = clock_monotonic_ms();
    (void)pthread_mutex_lock(&replay->lock);
    if (is_last || now_ms - bar->drawn_ms >= DRAW_EVERY_MS) {
        bar->drawn_ms = now_ms;
        const uint64_t done = atomic_load(&bar->done);
        const uint64_t total = bar->total ? bar->total : 1;
        const uint64_t filled = bar->total ? done * BAR_WIDTH / total : BAR_WIDTH;
        char line[BAR_WIDTH + 1];
        memset(line, ' ', BAR_WIDTH);
        memset(line, '#', filled < BAR_WIDTH ? filled : BAR_WIDTH);
        line[BAR_WIDTH] = '\0';
        const int64_t ms = now_ms - bar->started_ms;
        (void)fprintf(stderr, "\r%-18s [%s] %3llu%%  %lld/s  %s", bar->label, line,
                      (unsigned long long)(bar->total ? done * 100 / total : 100),
                      (long long)(ms > 0 ? (int64_t)done * bar->units * 1000 / ms : 0),
                      is_last ? "\n" : "");
    }
    (void)pthread_mutex_unlock(&replay->lock);
}

void replay_bar_step(struct replay *replay, struct replay_bar *bar) {
    (void)atomic_fetch_add(&bar->done, 1);
    draw(replay, bar, false);
}

void replay_bar_end(struct replay *replay, struct replay_bar *bar) {
    draw(replay, bar, true);
}

static void *run_thread(void *opaque) {
    const struct runner *runner = opaque;
    struct run *run = runner->run;
    for (;;) {
        const uint32_t item = atomic_fetch_add(&run->next, 1);
        if (item >= run->count)
            return NULL;
        run->work(run->replay, runner->thread, item, run->state);
        if (run->bar)
            replay_bar_step(run->replay, run->bar);
    }
}

bool replay_run(struct replay *replay, struct replay_bar *bar, uint32_t count, replay_work *work,
                void *state, struct error *err) {
    struct run run = {.replay = replay, .bar = bar, .work = work, .state = state, .count = count};
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
