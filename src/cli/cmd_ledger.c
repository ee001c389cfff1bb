// SPDX-License-Identifier: Apache-2.0
//
// `orderlog ledger payment|carrier`: the books of the simulated provider or carrier, as they are.
#include "cli/commands.h"
#include "process/ledger.h"
#include "service/config.h"
#include "service/service.h"

#include <stdio.h>
#include <string.h>

static int dump(const struct config *config, const char *which) {
    const bool is_payment = strcmp(which, "payment") == 0;
    if (!is_payment && strcmp(which, "carrier") != 0) {
        (void)fprintf(stderr, "orderlog ledger: there are payment and carrier, not '%s'\n", which);
        return EXIT_USAGE;
    }
    const char *path = is_payment ? config->payment_ledger : config->carrier_ledger;
    if (path[0] == '\0') {
        (void)fprintf(stderr,
                      "orderlog ledger: no file is set: give %s.ledger, as the role that writes "
                      "it has it\n",
                      which);
        return EXIT_CONFIG;
    }
    struct error err = {0};
    if (!ledger_dump(path, stdout, &err)) {
        (void)fprintf(stderr, "orderlog ledger: %s\n", err.msg);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int cmd_ledger(int argc, char **argv) {
    const struct config_command command = {
        .usage = "ledger payment|carrier",
        .about = "Prints the books of the simulated payment provider or carrier, one effect per "
                 "line: microseconds, payment or shipment id, order id, action, result, amount, "
                 "currency.",
        .role = ROLE_TOOL,
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
    exit_code = dump(&config, arguments[0]);
    config_free(&config);
    return exit_code;
}
