// SPDX-License-Identifier: Apache-2.0
//
// `orderlog bench`: how much a machine takes, and how fast, from outside.
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/replay.h"
#include "service/log.h"
#include "service/service.h"

#include <curl/curl.h>
#include <signal.h>

enum { ORDERS_MAX = 10000000 };

static bool read_flags(const struct config *config, const struct config_flag *flags,
                       struct bench_plan *plan) {
    plan->gateway_url =
        flags_value(flags, "gateway") ? flags_value(flags, "gateway") : config->gateway_url;
    plan->query_url = flags_value(flags, "query") ? flags_value(flags, "query") : config->query_url;
    plan->token = flags_value(flags, "key") ? flags_value(flags, "key") : config->api_key;
    if (!plan->token) {
        (void)fprintf(stderr, "orderlog bench: give an API key with the scopes read, write and "
                              "import: --key TOKEN (see `orderlog keys create`)\n");
        return false;
    }
    if (!flags_int(flags, "rate", 1, 1000000, &plan->rate) ||
        !flags_int(flags, "seconds", 1, 86400, &plan->seconds) ||
        !flags_int(flags, "connections", 1, REPLAY_THREADS_MAX, &plan->connections) ||
        !flags_int(flags, "skus", BENCH_LINES_MAX, 100000, &plan->skus) ||
        !flags_int(flags, "batch", 0, 10000, &plan->batch) ||
        !flags_int(flags, "wait", 1, 3600, &plan->wait_s))
        return false;
    if (plan->rate * plan->seconds <= ORDERS_MAX)
        return true;
    (void)fprintf(stderr, "orderlog bench: at most %d orders: lower --rate or --seconds\n",
                  ORDERS_MAX);
    return false;
}

static int run(const struct bench_plan *plan, bool as_json) {
    struct bench_run run;
    struct error err = {0};
    int exit_code = EXIT_OK;
    if (!bench_run(plan, &run, &err)) {
        (void)fprintf(stderr, "orderlog bench: %s\n", err.msg);
        exit_code = EXIT_FAILED;
    } else if (!bench_report(&run, as_json, stdout)) {
        exit_code = EXIT_FAILED;
    }
    bench_run_done(&run);
    return exit_code;
}

int cmd_bench(int argc, char **argv) {
    struct config_flag flags[] = {
        {"rate", "N", "Orders per second; default 100", "100"},
        {"seconds", "N", "For so long; default 10", "10"},
        {"connections", "N", "Connections to the gateway, and as many to read; default 32", "32"},
        {"batch", "N", "Orders in one request; 0 (default): one POST each", "0"},
        {"skus", "N", "Products to spread them over; default 100", "100"},
        {"wait", "SECONDS", "Patience with what does not become visible; default 60", "60"},
        {"json", NULL, "Print the summary as JSON", NULL},
        {"gateway", "URL", "Where to send commands; default: gateway.url", NULL},
        {"query", "URL", "Where to read from; default: query.url", NULL},
        {"key", "TOKEN", "API key with read, write and import; default: api.key", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "bench [--rate N] [--seconds N] [--batch N] [--json] [--key TOKEN]",
        .about = "Places invented orders at a fixed rate, whether or not earlier ones have been "
                 "answered, and tells how long after its time each was accepted and visible to "
                 "its own reader. Then it reads every accepted order back. It adds products "
                 "BENCH-… with stock, and orders that stay: not for a shop's own log. Exit "
                 "status 1: an accepted order is missing, or not what was sent.",
        .role = ROLE_TOOL,
        .flags = flags,
    };
    struct config config;
    char **arguments = NULL;
    int arguments_count = 0;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "bench", -1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    struct bench_plan plan = {0};
    exit_code =
        read_flags(&config, flags, &plan) ? run(&plan, flags_is_set(flags, "json")) : EXIT_USAGE;
    curl_global_cleanup();
    config_free(&config);
    return exit_code;
}
