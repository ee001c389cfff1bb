// SPDX-License-Identifier: Apache-2.0
//
// `orderlog projection pause|resume|reset NAME`: what an operator does to a read model while the
// projectors run.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/read_models.h"
#include "service/log.h"
#include "service/service.h"
#include "store/projection_control.h"

#include <stdio.h>
#include <string.h>

static bool pause_or_resume(struct db *db, const char *name, bool pause, struct error *err) {
    bool changed = false;
    if (!projection_control_pause(db, name, pause, &changed, err))
        return false;
    if (!changed)
        printf("%s was %s before.\n", name, pause ? "paused" : "not paused");
    else if (pause)
        printf("%s is paused: it stays as it is until `orderlog projection resume %s`.\n", name,
               name);
    else
        printf("%s goes on from where it was paused.\n", name);
    return true;
}

static bool reset(struct db *db, const char *name, struct error *err) {
    if (!projection_control_reset(db, projection_files, projection_files_count, name, err))
        return false;
    printf("%s is empty; projectors build it again from offset 0 (`orderlog status` tells how far "
           "they are).\n",
           name);
    return true;
}

static int run(const struct config *config, const char *what, const char *name,
               const struct config_flag *flags) {
    if (strcmp(what, "pause") != 0 && strcmp(what, "resume") != 0 && strcmp(what, "reset") != 0) {
        (void)fprintf(stderr, "usage: orderlog projection pause|resume|reset NAME\n");
        return EXIT_USAGE;
    }
    if (!read_model_is_known("projection", name))
        return EXIT_USAGE;
    const char *confirmed = flags_value(flags, "confirm");
    if (strcmp(what, "reset") == 0 && (!confirmed || strcmp(confirmed, name) != 0)) {
        (void)fprintf(stderr,
                      "orderlog projection: reset empties the tables of %s, and who reads finds "
                      "nothing in them until they are built again. Say that you mean it: "
                      "--confirm %s\n",
                      name, name);
        return EXIT_USAGE;
    }
    struct db *db = db_new(config->postgres_dsn, "orderlog projection", "SET lock_timeout = '60s'");
    struct error err = {0};
    bool ok = db ? db_connect(db, &err) : error_set(&err, DISP_FATAL, 0, "out of memory");
    if (ok)
        ok = strcmp(what, "reset") == 0
                 ? reset(db, name, &err)
                 : pause_or_resume(db, name, strcmp(what, "pause") == 0, &err);
    db_free(db);
    if (ok)
        return EXIT_OK;
    (void)fprintf(stderr, "orderlog projection: %s\n", err.msg);
    return err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
}

int cmd_projection(int argc, char **argv) {
    struct config_flag flags[] = {
        {"confirm", "NAME", "reset: the read model's name once more", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "projection pause|resume|reset NAME",
        .about =
            "pause: once this has returned, no projector changes the read model; the others of "
            "its topic go on. resume: projectors take it up again within a second, from where "
            "it was. reset: empties its tables, and projectors build it again from the "
            "beginning of the log.",
        .role = ROLE_TOOL,
        .flags = flags,
        .arguments_min = 2,
        .arguments_max = 2,
    };
    struct config config;
    char **arguments = NULL;
    int arguments_count = 0;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "projection", -1);
    exit_code = run(&config, arguments[0], arguments[1], flags);
    config_free(&config);
    return exit_code;
}
