// SPDX-License-Identifier: Apache-2.0
//
// `orderlog generate`: invented orders for trying things out, where no real ones are at hand.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/shop_day.h"
#include "service/config.h"
#include "service/service.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int generate(const struct config_flag *flags) {
    struct shop_day day = {.currency = flags_value(flags, "currency")};
    int64_t seed = 0;
    if (!flags_int(flags, "orders", 0, 10000000, &day.orders) ||
        !flags_int(flags, "skus", 1, SHOP_DAY_SKUS_MAX, &day.skus) ||
        !flags_int(flags, "seed", 0, INT64_MAX, &seed) ||
        !flags_real(flags, "lines-mean", 1, 100, &day.lines_mean) ||
        !flags_day(flags, "day", &day.day))
        return EXIT_USAGE;
    if (strlen(day.currency) != 3) {
        (void)fprintf(stderr, "orderlog: --currency must be an ISO 4217 code such as GBP\n");
        return EXIT_USAGE;
    }
    day.seed = (uint64_t)seed;

    struct error err = {0};
    if (!shop_day_write(&day, stdout, &err)) {
        (void)fprintf(stderr, "orderlog generate: %s\n", err.msg);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int cmd_generate(int argc, char **argv) {
    struct config_flag flags[] = {
        {"orders", "N", "How many orders; default 1000", "1000"},
        {"seed", "S", "The same seed gives the same orders; default 1", "1"},
        {"skus", "K", "How many different products are sold; default 200", "200"},
        {"day", "YYYY-MM-DD", "The day of the orders; default 2026-03-02", "2026-03-02"},
        {"lines-mean", "X", "Lines per order on average; default 3", "3"},
        {"currency", "CODE", "Currency of all prices; default GBP", "GBP"},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "generate [--orders N] [--seed S] [--skus K] [--day YYYY-MM-DD] > FILE.csv",
        .about = "Writes a shop's day of invented orders as CSV, in the columns that replay reads.",
        .role = ROLE_TOOL,
        .flags = flags,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    exit_code = generate(flags);
    config_free(&config);
    return exit_code;
}
