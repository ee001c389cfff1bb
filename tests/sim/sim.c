// SPDX-License-Identifier: Apache-2.0
//
//   orderlog_sim [--orders N] [--seed N] [--world N] [--expect-failure] [--quiet]
//
// Runs worlds until N orders were placed, from a seed that is printed. World i of seed N is drawn
// from N + i; a world that fails is shrunk, its story told, and the command that replays it
// printed. --world runs the one world N only. --expect-failure turns the exit code around: for
// programs into which a fault was built.
#include "domain/order.h"
#include "sim/outcome.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    uint64_t orders;
    uint64_t seed;
    bool one_world;
    bool expect_failure;
    bool quiet;
};

static double cpu_s(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

static bool parse(int argc, char **argv, struct options *ret) {
    *ret = (struct options){.orders = 1000000, .seed = (uint64_t)time(NULL) * 1000003};
    for (int i = 1; i < argc; i++) {
        bool value = i + 1 < argc;
        if (strcmp(argv[i], "--expect-failure") == 0) {
            ret->expect_failure = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            ret->quiet = true;
        } else if (strcmp(argv[i], "--orders") == 0 && value) {
            ret->orders = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0 && value) {
            ret->seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--world") == 0 && value) {
            ret->seed = strtoull(argv[++i], NULL, 10);
            ret->one_world = true;
        } else {
            return false;
        }
    }
    return true;
}

// ---- a failure ---------------------------------------------------------------------------------

static void tell(const char *program, const struct sim_request *failed, const char *failure) {
    (void)printf("world %llu: %s\n", (unsigned long long)failed->seed, failure);
    (void)fflush(stdout);
    struct sim_request smallest = sim_shrink(failed);
    struct sim_outcome outcome = {0};
    smallest.tell = stdout;
    (void)printf("its smallest part that still breaks that promise:\n");
    (void)sim_run(&smallest, &outcome);
    uint32_t orders = 0;
    for (uint64_t out = ~smallest.orders_out; out; out &= out - 1)
        orders++;
    uint64_t troubles = 0;
    for (int kind = 0; kind < TROUBLE_COUNT; kind++)
        troubles += outcome.by_trouble[kind];
    (void)printf("with at most %u orders and %llu troubles; all of it again: %s --world %llu\n",
                 orders, (unsigned long long)troubles, program, (unsigned long long)failed->seed);
}

// Now and then: a world that cannot be repeated cannot be understood.
static bool repeats(const struct sim_request *request, uint64_t digest) {
    struct sim_outcome again = {0};
    if (sim_run(request, &again) && again.digest == digest)
        return true;
    (void)printf("world %llu went otherwise when it was repeated\n",
                 (unsigned long long)request->seed);
    return false;
}

// ---- a run -------------------------------------------------------------------------------------

static void print_table(const struct sim_outcome *total, double s, uint64_t worlds) {
    (void)printf("%-44s %llu in %llu worlds\n", "orders placed", (unsigned long long)total->orders,
                 (unsigned long long)worlds);
    for (int status = 0; status < ORDER_STATUS_COUNT; status++)
        if (total->by_status[status])
            (void)printf("  ended as %-33s %llu\n", order_status_names[status],
                         (unsigned long long)total->by_status[status]);
    (void)printf("%-44s %llu\n", "orders refused", (unsigned long long)total->unknown_orders);
    (void)printf("%-44s %llu\n", "events", (unsigned long long)total->events);
    (void)printf("%-44s %llu\n", "messages between roles", (unsigned long long)total->messages);
    (void)printf("%-44s %llu\n", "commands refused", (unsigned long long)total->refusals);
    (void)printf("%-44s %llu\n", "transactions", (unsigned long long)total->transactions);
    for (int kind = 0; kind < TROUBLE_COUNT; kind++)
        (void)printf("  %-42s %llu\n", trouble_names[kind],
                     (unsigned long long)total->by_trouble[kind]);
    (void)printf("%.1f s of CPU: %.0f orders/s\n", s, (double)total->orders / s);
}

// A run in which something never happened would prove little.
static bool tried_everything(const struct sim_outcome *total) {
    bool all = total->by_status[ORDER_STATUS_COMPLETED] &&
               total->by_status[ORDER_STATUS_CANCELLED] &&
               total->by_status[ORDER_STATUS_REJECTED] && total->by_status[ORDER_STATUS_EXPIRED] &&
               total->by_status[ORDER_STATUS_NEEDS_ATTENTION] && total->unknown_orders;
    for (int kind = 0; kind < TROUBLE_COUNT; kind++)
        all = all && total->by_trouble[kind];
    return all;
}

int main(int argc, char **argv) {
    struct options options;
    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr,
                      "usage: %s [--orders N] [--seed N | --world N] [--expect-failure] "
                      "[--quiet]\n",
                      argv[0]);
        return 2;
    }
    struct sim_request request = {.seed = options.seed};
    struct sim_outcome total = {0};
    uint64_t worlds = 0;
    if (!options.one_world)
        (void)printf("seed %llu (--seed repeats it)\n", (unsigned long long)options.seed);
    double begin_s = cpu_s();
    bool good = true, repeated = true;
    while (good && repeated && total.orders < options.orders &&
           !(options.one_world && worlds == 1)) {
        request.seed = options.seed + worlds++;
        good = sim_run(&request, &total);
        if (good && worlds % 64 == 1)
            repeated = repeats(&request, total.digest);
    }
    double s = cpu_s() - begin_s;
    if (!good && options.quiet)
        (void)printf("world %llu: %s\n", (unsigned long long)request.seed, total.failure);
    else if (!good)
        tell(argv[0], &request, total.failure);
    else if (!options.quiet)
        print_table(&total, s, worlds);
    if (good && options.orders >= 100000 && !options.one_world && !tried_everything(&total)) {
        (void)printf("some ends or troubles never happened\n");
        good = false;
    }
    return (good && repeated) == options.expect_failure;
}
