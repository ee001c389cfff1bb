// SPDX-License-Identifier: Apache-2.0
//
// `orderlog simulate provider|carrier`: the outside world as a process of its own.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/simulator.h"
#include "service/config.h"
#include "service/service.h"

#include <stdio.h>
#include <string.h>

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

struct simulation {
    const struct simulator_kind *kind;
    struct simulator_options options;
    struct simulator *simulator;
};

static bool start(void *state, struct error *err) {
    struct simulation *simulation = state;
    return simulator_start(simulation->kind, &simulation->options, &simulation->simulator, err);
}

static void stop(void *state) {
    simulator_stop(((struct simulation *)state)->simulator);
}

static bool read_flags(const struct config_flag *flags, struct simulator_options *ret) {
    int64_t port, seed, delay_ms, silence_ms, dispatch_ms, deliver_ms;
    if (!flags_int(flags, "port", 0, 65535, &port) ||
        !flags_int(flags, "delay-ms", 0, HOUR_MS, &delay_ms) ||
        !flags_int(flags, "silence-ms", 0, HOUR_MS, &silence_ms) ||
        !flags_int(flags, "lose-percent", 0, 100, &ret->lose_percent) ||
        !flags_int(flags, "break-percent", 0, 100, &ret->break_percent) ||
        !flags_int(flags, "seed", 0, INT64_MAX, &seed) ||
        !flags_int(flags, "dispatch-after-ms", 0, DAY_MS, &dispatch_ms) ||
        !flags_int(flags, "deliver-after-ms", 0, DAY_MS, &deliver_ms))
        return false;
    ret->host = flags_value(flags, "host");
    ret->port = (int)port;
    ret->ledger_path = flags_value(flags, "ledger");
    ret->delay_us = delay_ms * 1000;
    ret->silence_us = silence_ms * 1000;
    ret->seed = (uint64_t)seed;
    ret->automatic = !flags_is_set(flags, "manual");
    ret->dispatch_after_us = dispatch_ms * 1000;
    ret->deliver_after_us = deliver_ms * 1000;
    return true;
}

static int simulate(const struct config *config, const struct config_flag *flags,
                    const char *what) {
    static const struct service_part parts[] = {{"simulator", start, stop}, {NULL, NULL, NULL}};
    struct simulation simulation = {0};
    if (strcmp(what, "provider") == 0) {
        simulation.kind = &simulator_provider;
    } else if (strcmp(what, "carrier") == 0) {
        simulation.kind = &simulator_carrier;
    } else {
        (void)fprintf(stderr, "orderlog simulate: there are provider and carrier, not '%s'\n",
                      what);
        return EXIT_USAGE;
    }
    if (!read_flags(flags, &simulation.options))
        return EXIT_USAGE;
    return service_run("simulate", config, parts, &simulation);
}

int cmd_simulate(int argc, char **argv) {
    struct config_flag flags[] = {
        {"host", "ADDRESS", "Address to listen on; default 127.0.0.1", "127.0.0.1"},
        {"port", "N", "Port to listen on; default 0 takes a free one and logs it", "0"},
        {"ledger", "FILE", "Where the books are kept; without it in memory", ""},
        {"delay-ms", "N", "Answer everything so much later; default 0", "0"},
        {"silence-ms", "N", "Hold requests that get no answer for so long; default 10000", "10000"},
        {"lose-percent", "N", "Lose so many answers after the deed; default 0", "0"},
        {"break-percent", "N", "Answer so many with 500 after the deed; default 0", "0"},
        {"seed", "N", "Seed of that chance; default 1", "1"},
        {"manual", NULL, "carrier: report nothing, operators say when", NULL},
        {"dispatch-after-ms", "N", "carrier: from booked to ready; default 200", "200"},
        {"deliver-after-ms", "N", "carrier: from dispatched to delivered; default 300", "300"},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "simulate provider|carrier --port N --ledger FILE",
        .about = "Plays a payment provider or a carrier over HTTP, with books of its own. The "
                 "payment method decides: tok_decline, tok_delay_MS, tok_timeout, tok_lost, "
                 "tok_broken, tok_capture_decline; everything else is authorised at once.",
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
    exit_code = simulate(&config, flags, arguments[0]);
    config_free(&config);
    return exit_code;
}
