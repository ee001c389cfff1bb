// SPDX-License-Identifier: Apache-2.0
//
// `orderlog replay`: a shop's past orders through the whole system, from outside, as a caller of
// its HTTP services.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/order_file.h"
#include "cli/replay.h"
#include "service/log.h"
#include "service/service.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool read_flags(const struct config *config, const struct config_flag *flags,
                       struct replay *replay) {
    replay->gateway_url =
        flags_value(flags, "gateway") ? flags_value(flags, "gateway") : config->gateway_url;
    replay->query_url =
        flags_value(flags, "query") ? flags_value(flags, "query") : config->query_url;
    replay->token = flags_value(flags, "key") ? flags_value(flags, "key") : config->api_key;
    if (!replay->token) {
        (void)fprintf(stderr, "orderlog replay: give an API key with the scopes read, write and "
                              "import: --key TOKEN (see `orderlog keys create`)\n");
        return false;
    }
    int64_t threads = 0;
    int64_t patience_s = 0;
    if (!flags_int(flags, "concurrency", 1, REPLAY_THREADS_MAX, &threads) ||
        !flags_int(flags, "rate", 0, 1000000, &replay->rate) ||
        !flags_int(flags, "patience", 1, 86400, &patience_s))
        return false;
    replay->threads = (int)threads;
    replay->patience_ms = patience_s * 1000;
    replay->stock = -1;
    if (strcmp(flags_value(flags, "stock"), "auto") == 0)
        return true;
    return flags_int(flags, "stock", 0, 1000000000, &replay->stock);
}

static int run(struct replay *replay, const char *path) {
    struct order_file file = {0};
    struct error err = {0};
    if (!order_file_read(path, &file, &err)) {
        (void)fprintf(stderr, "orderlog replay: %s\n", err.msg);
        return EXIT_BAD_INPUT;
    }
    (void)fprintf(stderr, "%s: %u orders, %u lines, %u SKUs\n", path, file.order_ids.count,
                  file.lines_count, file.sku_codes.count);
    replay->file = &file;
    bool ok = replay_init(replay, &err) && replay_stock(replay, &err) &&
              replay_orders(replay, &err) && replay_wait(replay, &err);
    int exit_code = EXIT_OK;
    if (!ok) {
        (void)fprintf(stderr, "orderlog replay: %s\n", err.msg);
        exit_code = EXIT_INTERNAL;
    } else if (!replay_report(replay, stdout)) {
        exit_code = EXIT_FAILED;
    }
    replay_done(replay);
    order_file_done(&file);
    return exit_code;
}

int cmd_replay(int argc, char **argv) {
    struct config_flag flags[] = {
        {"stock", "auto|N", "Stock to receive per SKU; auto: as much as the orders need", "auto"},
        {"gateway", "URL", "Where to send commands; default: gateway.url", NULL},
        {"query", "URL", "Where to read from; default: query.url", NULL},
        {"key", "TOKEN", "API key with read, write and import; default: api.key", NULL},
        {"rate", "N", "Orders per second at most; 0 (default): as fast as it goes", "0"},
        {"concurrency", "N", "Requests at one time; default 4", "4"},
        {"patience", "SECONDS", "Give up after so long without any progress; default 120", "120"},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "replay FILE.csv[.gz] [--stock auto|N] [--key TOKEN] [--rate N]",
        .about = "Registers a file's products and stock, places its orders through the gateway, "
                 "waits until each has come to an end, and counts the outcomes. Replaying the same "
                 "file again adds nothing. Exit status 1: something has no explanation.",
        .role = ROLE_TOOL,
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 1,
    };
    struct config config;
    char **arguments = NULL;
    int arguments_count = 0;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "replay", -1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);

    struct replay replay = {0};
    exit_code = read_flags(&config, flags, &replay) ? run(&replay, arguments[0]) : EXIT_USAGE;
    curl_global_cleanup();
    config_free(&config);
    return exit_code;
}
