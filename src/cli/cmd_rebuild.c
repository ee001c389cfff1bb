// SPDX-License-Identifier: Apache-2.0
//
// `orderlog rebuild NAME`: a read model made anew from the log, compared with the live one, and put
// in its place.
#include <stdio.h>

#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/read_models.h"
#include "cli/tool_schemas.h"
#include "service/log.h"
#include "service/service.h"
#include "store/projection.h"
#include "store/rebuild.h"

static const enum topic_id projected[] = {TOPIC_ORDERS_EVENTS, TOPIC_INVENTORY_EVENTS,
                                          TOPIC_PAYMENTS_EVENTS, TOPIC_SHIPPING_EVENTS,
                                          TOPIC_CUSTOMERS};

static int run(const struct config *config, const char *name, bool accept) {
    struct error err = {0};
    struct tool_schemas schemas = {0};
    enum rebuild_result result = REBUILD_FAILED;
    if (tool_schemas_open(config, projected, sizeof(projected) / sizeof(projected[0]), &schemas,
                          &err)) {
        const struct rebuild_options options = {.config = config,
                                                .ids = schemas.ids,
                                                .files = projection_files,
                                                .files_count = projection_files_count,
                                                .name = name,
                                                .accept = accept,
                                                .report = stdout};
        result = rebuild_read_model(&options, &err);
    }
    tool_schemas_close(&schemas);
    switch (result) {
    case REBUILD_SWAPPED:
        return EXIT_OK;
    case REBUILD_DIFFERS:
        (void)fprintf(stderr,
                      "orderlog rebuild: %s differs from what the log says and was left as it is; "
                      "--accept puts the rebuilt one in its place\n",
                      name);
        return EXIT_FAILED;
    case REBUILD_FAILED:
        break;
    }
    (void)fprintf(stderr, "orderlog rebuild: %s\n", err.msg);
    return err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
}

int cmd_rebuild(int argc, char **argv) {
    struct config_flag flags[] = {
        {"accept", NULL, "Swap also where the rebuilt one differs, as it is meant to", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "rebuild NAME [--accept]",
        .about = "Makes a read model anew from the beginning of the log, beside the live one; "
                 "compares both at the same offsets, and puts the new one in its place. Projectors "
                 "and reads go on meanwhile. Exit status 0: swapped; 1: they differ, nothing was "
                 "changed.",
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
    log_init_from_words(config.log_level, config.log_format, "rebuild", -1);
    service_signals_init();
    exit_code = read_model_is_known("rebuild", arguments[0])
                    ? run(&config, arguments[0], flags_is_set(flags, "accept"))
                    : EXIT_USAGE;
    config_free(&config);
    return exit_code;
}
