// SPDX-License-Identifier: Apache-2.0
//
// A world from its beginning to where nothing moves any more.
#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "story.h"

static const int64_t begin_us = INT64_C(1700000000000000);
enum { STEPS_MAX = 1 << 18, IDLE_ROUND = ROLES * WORKERS };

const char *const trouble_names[TROUBLE_COUNT] = {
#define X(name, text) text,
    TROUBLE_KINDS(X)
#undef X
};

// One is enough: worlds run one after the other, and keep their memory.
static struct world world_kept;
static struct world *world_running;

// ---- failing -----------------------------------------------------------------------------------

void world_fail(struct world *world, int order, int sku, const char *format, ...) {
    struct sim_outcome *outcome = world->outcome;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(outcome->failure, sizeof(outcome->failure), format, args);
    va_end(args);
    outcome->failed = true;
    outcome->order = order;
    outcome->sku = sku;
    longjmp(world->escape, 1);
}

// The domain's own assertions end a world like any other check, so that its story can be told.
void __assert_fail(const char *expression, const char *file, unsigned line, const char *function) {
    if (!world_running) {
        (void)fprintf(stderr, "%s:%u: %s: %s\n", file, line, function, expression);
        abort();
    }
    const char *name = strrchr(file, '/');
    world_fail(world_running, world_running->outcome->order, world_running->outcome->sku,
               "assertion of %s in %s: %s", function, name ? name + 1 : file, expression);
}

bool world_trouble(struct world *world, enum trouble_kind kind) {
    // Whoever is troubled for ever never comes to rest.
    if (world->healed_us || world->troubled[kind] == world->orders_count)
        return false;
    world->troubled[kind]++;
    uint32_t number = world->outcome->troubles++;
    if (number < TROUBLES_MASKABLE && world->request->troubles_out[number / 64] >> number % 64 & 1)
        return false;
    world->outcome->by_trouble[kind]++;
    if (world->request->tell)
        story_trouble(world, kind, number);
    return true;
}

void *world_alloc(struct world *world, size_t size) {
    void *memory = arena_alloc(&world->arena, size);
    if (!memory)
        abort();
    return memory;
}

// ---- a new world -------------------------------------------------------------------------------

static void draw_trouble(struct world *world, struct dice *dice) {
    static const uint32_t often[] = {0, 0, 3, 6, 12, 40};
    struct trouble *trouble = &world->trouble;
    *trouble = (struct trouble){0};
    if (dice_one_in(dice, 10))
        return; // a calm day
    trouble->commit_one_in = often[1 + dice_below(dice, 5)];
    trouble->call_one_in = often[dice_below(dice, 6)];
    trouble->copy_one_in = often[dice_below(dice, 6)];
    trouble->clock_one_in = 20 * often[dice_below(dice, 6)];
    trouble->move_one_in = 10 * often[dice_below(dice, 6)];
    trouble->rogue_one_in = dice_one_in(dice, 4) ? 12 : 0;
}

static void draw_size(struct world *world, struct dice *dice) {
    static const int64_t spreads_us[] = {0, 20000, 500000, 5000000, 60000000};
    static const int64_t ticks_us[] = {10, 100, 1000, 10000};
    world->orders_count = 8 + dice_below(dice, ORDERS_MAX - 8 + 1);
    world->skus_count = 1 + dice_below(dice, SKUS_MAX);
    world->partitions_count = 1 + dice_below(dice, PARTITIONS_MAX);
    world->batch_max = 1 + dice_below(dice, 16);
    world->codec = dice_one_in(dice, 16);
    world->spread_us = spreads_us[dice_below(dice, 5)];
    world->tick_us = ticks_us[dice_below(dice, 4)];
    world->jump_us = dice_one_in(dice, 2) ? 100000000 : 2000000;
    world->policy = (struct policy){
        .reservation_ttl_us = 200000 + dice_us(dice, 30000000),
        .payment_timeout_us = 200000 + dice_us(dice, 5000000),
        .payment_lookups_max = 1 + (int32_t)dice_below(dice, 4),
        .command_window_us = dice_one_in(dice, 8) ? 3000000 : INT64_C(86400000000),
    };
    world->call_timeout_us = 100000 + dice_us(dice, 2000000);
}

static void world_begin(struct world *world, const struct sim_request *request) {
    struct dice dice = dice_new(request->seed, 0);
    world->request = request;
    arena_reset(&world->arena);
    draw_size(world, &dice);
    draw_trouble(world, &dice);
    world->dice = dice_new(request->seed, 1);
    world->now_us = world->plans_begin_us = begin_us;
    world->healed_us = 0;
    world->serial = world->txns = 0;
    memset(world->troubled, 0, sizeof(world->troubled));
    memset(&world->live, 0, sizeof(world->live));
    log_begin(world);
    loop_begin(world);
    outside_begin(world);
    check_begin(world);
    people_begin(world);
}

// ---- time --------------------------------------------------------------------------------------

static int64_t sooner(int64_t a_us, int64_t b_us) {
    return a_us < b_us ? a_us : b_us;
}

// Trouble ends, and within this time everybody must have come to rest.
static int64_t rest_after_us(const struct world *world) {
    const struct policy *policy = &world->policy;
    return 2 * world->jump_us + policy->reservation_ttl_us +
           16 * (policy->payment_lookups_max + 2) *
               (policy->payment_timeout_us + world->call_timeout_us) +
           16 * world->call_timeout_us + world->spread_us + 60000000;
}

static void heal(struct world *world) {
    loop_heal(world);
    world->healed_us = world->now_us;
}

static bool nothing_left(struct world *world) {
    int64_t due_us = sooner(people_due_us(world), world->calls_due_us);
    due_us = sooner(due_us, loop_due_us(world));
    if (due_us == INT64_MAX && world->healed_us)
        return true;
    if (due_us == INT64_MAX)
        heal(world);
    else if (due_us > world->now_us)
        world->now_us = due_us;
    return false;
}

// ---- the run -----------------------------------------------------------------------------------

static bool all_steps(struct world *world) {
    bool any = false;
    for (int role = 0; role < ROLES; role++)
        for (int slot = 0; slot < WORKERS; slot++)
            any |= loop_step(world, &world->workers[role][slot]);
    return any;
}

static void check_patience(struct world *world, uint32_t steps) {
    if (steps > STEPS_MAX)
        world_fail(world, NOBODY, NOBODY, "I8: no rest after %d steps", STEPS_MAX);
    if (world->healed_us && world->now_us - world->healed_us > rest_after_us(world))
        world_fail(world, NOBODY, NOBODY, "I8: no rest %lld ms after the last trouble",
                   (long long)(world->now_us - world->healed_us) / 1000);
}

static void world_run(struct world *world) {
    // People are done before trouble is, as a rule.
    int64_t trouble_us = begin_us + 2 * world->spread_us + dice_us(&world->dice, 60000000);
    uint32_t idle = 0;
    for (uint32_t steps = 0;; steps++) {
        if (steps % 1024 == 0)
            check_patience(world, steps);
        if (!world->healed_us && world->now_us > trouble_us && people_due_us(world) == INT64_MAX)
            heal(world);
        people_act(world);
        outside_advance(world);
        uint32_t who = dice_below(&world->dice, ROLES * WORKERS);
        if (loop_step(world, &world->workers[who / WORKERS][who % WORKERS])) {
            world->now_us += dice_us(&world->dice, world->tick_us);
            idle = 0;
            continue;
        }
        if (++idle < IDLE_ROUND)
            continue;
        idle = 0;
        if (!all_steps(world) && nothing_left(world))
            return;
    }
}

bool sim_run(const struct sim_request *request, struct sim_outcome *outcome) {
    struct world *world = &world_kept;
    outcome->failed = false;
    outcome->troubles = 0;
    outcome->digest = 0;
    outcome->order = outcome->sku = NOBODY;
    world->outcome = outcome;
    world_running = world;
    if (setjmp(world->escape) == 0) {
        world_begin(world, request);
        world_run(world);
        check_end(world);
    } else if (request->tell) {
        story_tell(world);
    }
    world_running = NULL;
    return !outcome->failed;
}
