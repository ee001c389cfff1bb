// SPDX-License-Identifier: Apache-2.0
//
// `orderlog gateway`.
#include "cli/commands.h"
#include "http/gateway.h"

int cmd_gateway(int argc, char **argv) {
    const struct config_command command = {
        .usage = "gateway",
        .about = "Takes commands over HTTP and acknowledges them once the log has them.",
        .role = ROLE_GATEWAY,
    };
    struct config config;
    int exit_code = 0;
    if (!config_from_command_line(&command, argc, argv, &config, NULL, NULL, &exit_code))
        return exit_code;
    exit_code = gateway_run(&config);
    config_free(&config);
    return exit_code;
}
