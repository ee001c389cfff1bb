// SPDX-License-Identifier: Apache-2.0
//
// What the operator asked for. Sources in rising priority: defaults, an INI file (`--config FILE`
// or ORDERLOG_CONFIG), environment, flags. `kafka.*` goes to librdkafka and `postgres.*` to libpq
// as they are, except for what correctness depends on: that is refused with the reason.
//
// A command's main calls config_from_command_line() first and returns *ret_exit_code when it says
// false (help was printed, or an error that names option, source and what is allowed).
// struct config is read-only afterwards and may be shared by all threads. Strings are owned by it.
#ifndef ORDERLOG_SERVICE_CONFIG_H
#define ORDERLOG_SERVICE_CONFIG_H

#include "service/config_options.h"
#include "service/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_role {
    ROLE_GATEWAY = 1 << 0,
    ROLE_ORDER = 1 << 1,
    ROLE_INVENTORY = 1 << 2,
    ROLE_PAYMENT = 1 << 3,
    ROLE_SHIPPING = 1 << 4,
    ROLE_PROJECT = 1 << 5,
    ROLE_QUERY = 1 << 6,
    ROLE_SETUP = 1 << 7,
    ROLE_TOOL = 1 << 8, // everything that runs once and ends
};

#define ROLES_PROCESS (ROLE_ORDER | ROLE_INVENTORY | ROLE_PAYMENT | ROLE_SHIPPING)
#define ROLES_SERVER (ROLES_PROCESS | ROLE_GATEWAY | ROLE_PROJECT | ROLE_QUERY)
#define ROLES_ALL (ROLES_SERVER | ROLE_SETUP | ROLE_TOOL)

enum { CONFIG_SOURCE_MAX = 256 };

// One `kafka.KEY` or `postgres.KEY`, name without the prefix.
struct config_setting {
    char *name;
    char *value;
    char source[CONFIG_SOURCE_MAX];
};

struct config_settings {
    struct config_setting *items; // owned, sorted by name
    size_t count;
};

#define CONFIG_FIELD_STR(field, ...) const char *field;
#define CONFIG_FIELD_NUMBER(field, ...) int64_t field;
#define CONFIG_FIELD_BOOL(field, ...) bool field;

struct config {
    enum config_role role; // the command's

    CONFIG_OPTIONS(CONFIG_FIELD_STR, CONFIG_FIELD_STR, CONFIG_FIELD_NUMBER, CONFIG_FIELD_NUMBER,
                   CONFIG_FIELD_NUMBER, CONFIG_FIELD_BOOL, CONFIG_FIELD_STR)

    // Hand these to rd_kafka_conf_set() BEFORE your own settings. kafka.bootstrap.servers is always
    // among them (default 127.0.0.1:9092).
    struct config_settings kafka;
    struct config_settings postgres;

    // postgres.conninfo with the postgres.* options added: give this to PQconnectdb. Owned.
    char *postgres_dsn;

    struct config_store *store; // owned: where each value came from, and the strings
};

// A flag that only one command has (`replay FILE --stock auto`). value_name NULL: a switch, whose
// value becomes "true". An array of these ends with name NULL.
struct config_flag {
    const char *name;       // without dashes
    const char *value_name; // shown by --help
    const char *doc;
    const char *value; // default on entry, may be NULL; set by the loader, borrowed from argv
};

// What --help says, and what is accepted.
struct config_command {
    const char *usage; // "replay FILE.csv[.gz] --stock auto|N"
    const char *about; // one or two sentences
    enum config_role role;
    struct config_flag *flags; // may be NULL
    int arguments_min;         // positional arguments
    int arguments_max;
};

// argv[0] is the first word after the command's own. On true *ret is filled in and *ret_arguments
// (may be NULL when none are allowed) points at the positional arguments, borrowed from argv and
// moved to its front, *ret_arguments_count of them. On false the command is to return
// *ret_exit_code at once: what there was to say has been printed.
bool config_from_command_line(const struct config_command *command, int argc, char **argv,
                              struct config *ret, char ***ret_arguments, int *ret_arguments_count,
                              int *ret_exit_code);

// The same without printing: for tests, and the core of the above. envp may be NULL.
enum config_action { CONFIG_RUN, CONFIG_SHOW_HELP, CONFIG_SHOW_CONFIG };
bool config_load(const struct config_command *command, int argc, char **argv, char **envp,
                 struct config *ret, int *ret_arguments_count, enum config_action *ret_action,
                 struct error *err);

void config_free(struct config *config);

// `name = value` lines with their source as a comment; secrets as "(hidden)".
void config_print(const struct config *config, enum config_role role, FILE *out);

void config_print_help(const struct config_command *command, FILE *out);

// The value of a passed-through setting, or NULL. Borrowed from config.
const char *config_settings_find(const struct config_settings *settings, const char *name);

#endif
