// SPDX-License-Identifier: Apache-2.0
//
// `orderlog status`: what runs, how far everything is behind, and what waits for people.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/status.h"
#include "service/log.h"
#include "service/service.h"

#include <stdlib.h>

int cmd_status(int argc, char **argv) {
    struct config_flag flags[] = {
        {"json", NULL, "As one JSON object", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "status [--json]",
        .about = "Prints how many records each processor and each read model is behind, which "
                 "workers and services run, the oldest open order, and what could not be handled.",
        .role = ROLE_TOOL,
        .flags = flags,
    };
    struct config config;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "status", -1);
    struct error err = {0};
    struct status *status = calloc(1, sizeof(*status));
    bool ok = status ? status_gather(&config, status, &err)
                     : error_set(&err, DISP_FATAL, 0, "out of memory");
    if (!ok) {
        (void)fprintf(stderr, "orderlog status: %s\n", err.msg);
        exit_code = err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
    } else if (flags_is_set(flags, "json")) {
        exit_code = status_print_json(status, stdout) ? EXIT_OK : EXIT_FAILED;
    } else {
        status_print(status, stdout);
    }
    free(status);
    config_free(&config);
    return exit_code;
}
