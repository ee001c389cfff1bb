// SPDX-License-Identifier: Apache-2.0
//
// The loader: defaults, then file, environment and flags, each overriding what came before. The
// file's name itself comes from --config or ORDERLOG_CONFIG, so flags are looked through twice.
#include "service/config.h"

#include "config_table.h"
#include "service/service.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool load_defaults(struct config *config, struct error *err) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &config_options[i];
        void *field = config_option_field(config, option);
        switch (option->kind) {
        case OPTION_STR:
        case OPTION_SECRET:
        case OPTION_CHOICE:
            *(const char **)field = option->text;
            break;
        case OPTION_INT:
        case OPTION_MS:
        case OPTION_BYTES:
            *(int64_t *)field = option->number;
            break;
        case OPTION_BOOL:
            *(bool *)field = option->number != 0;
            break;
        }
    }
    return config_passthrough_set(&config->kafka, /* kafka= */ true, "bootstrap.servers",
                                  "127.0.0.1:9092", "", err);
}

// --- environment -------------------------------------------------------------------------------

static const struct {
    const char *env;
    const char *name;
} shortcuts[] = {
    {"ORDERLOG_KAFKA_BOOTSTRAP", "kafka.bootstrap.servers"},
    {"ORDERLOG_POSTGRES", "postgres.conninfo"},
    {"ORDERLOG_REGISTRY", "registry.url"},
};

static const struct option *option_of_env(const char *env, bool near) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char name[OPTION_NAME_MAX];
        config_option_env_name(&config_options[i], name);
        if (near ? config_distance(env, name, 2) <= 2 : strcmp(env, name) == 0)
            return &config_options[i];
    }
    return NULL;
}

// ORDERLOG_KAFKA_LINGER_MS → kafka.linger.ms; libpq's keywords keep their underscores.
static bool passthrough_of_env(const char *env, char name[OPTION_NAME_MAX]) {
    bool kafka = strncmp(env, "ORDERLOG_KAFKA_", 15) == 0 && env[15];
    bool postgres = strncmp(env, "ORDERLOG_POSTGRES_", 18) == 0 && env[18];
    if ((!kafka && !postgres) || strlen(env) >= OPTION_NAME_MAX)
        return false;
    size_t prefix = kafka ? 6 : 9;
    memcpy(name, kafka ? "kafka." : "postgres.", prefix);
    const char *from = env + (kafka ? 15 : 18);
    char *at = name + prefix;
    for (; *from; from++)
        *at++ = *from == '_' && kafka ? '.' : (char)tolower((unsigned char)*from);
    *at = '\0';
    return true;
}

static bool load_variable(struct config *config, const char *env, const char *value,
                          struct error *err) {
    // As in most shells' habits, an empty variable is an unset one.
    if (!value[0] || strcmp(env, "ORDERLOG_CONFIG") == 0)
        return true;
    for (size_t i = 0; i < sizeof(shortcuts) / sizeof(shortcuts[0]); i++) {
        if (strcmp(env, shortcuts[i].env) == 0)
            return config_set(config, shortcuts[i].name, value, env, err);
    }
    const struct option *option = option_of_env(env, /* near= */ false);
    if (option)
        return config_option_set(config, option, value, env, err);
    char name[OPTION_NAME_MAX];
    if (passthrough_of_env(env, name))
        return config_set(config, name, value, env, err);

    // Others may use our prefix for things of their own; what is nearly ours is a slip of the pen.
    option = option_of_env(env, /* near= */ true);
    if (!option)
        return true;
    char meant[OPTION_NAME_MAX];
    config_option_env_name(option, meant);
    return error_set(err, DISP_FATAL, 0, "environment: unknown variable %.80s; did you mean %s?",
                     env, meant);
}

static bool load_environment(struct config *config, char **envp, struct error *err) {
    for (; envp && *envp; envp++) {
        const char *equals = strchr(*envp, '=');
        if (!equals || strncmp(*envp, "ORDERLOG_", 9) != 0)
            continue;
        char *env = strndup(*envp, (size_t)(equals - *envp));
        if (!env)
            return error_set(err, DISP_FATAL, 0, "out of memory");
        bool ok = load_variable(config, env, equals + 1, err);
        free(env);
        if (!ok)
            return false;
    }
    return true;
}

static const char *find_environment(char **envp, const char *name) {
    size_t length = strlen(name);
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=' && (*envp)[length + 1])
            return *envp + length + 1;
    }
    return NULL;
}

// --- flags -------------------------------------------------------------------------------------

struct arguments {
    const struct config_command *command;
    struct config *config; // NULL on the first pass, which only looks for --config
    const char *file;
    enum config_action action;
    int positional;
};

static struct config_flag *find_flag(const struct config_command *command, const char *name) {
    for (struct config_flag *flag = command->flags; flag && flag->name; flag++) {
        if (strcmp(flag->name, name) == 0)
            return flag;
    }
    return NULL;
}

static bool is_switch(const struct config_command *command, const char *name) {
    const struct config_flag *flag = find_flag(command, name);
    if (flag)
        return flag->value_name == NULL;
    const struct option *option = config_option_find(name);
    return option && option->kind == OPTION_BOOL;
}

static bool set_flag(struct arguments *arguments, const char *name, const char *value,
                     struct error *err) {
    if (strcmp(name, "config") == 0) {
        arguments->file = value;
        return true;
    }
    if (!arguments->config)
        return true;
    struct config_flag *flag = find_flag(arguments->command, name);
    if (flag) {
        flag->value = value;
        return true;
    }
    char source[CONFIG_SOURCE_MAX];
    (void)snprintf(source, sizeof(source), "--%.100s", name);
    const struct option *option = config_option_find(name);
    if (option && !(option->roles & arguments->command->role)) {
        char roles[160];
        config_roles_text(option->roles, roles, sizeof(roles));
        return error_set(err, DISP_FATAL, 0, "%s is not used here, but by %s", source, roles);
    }
    return config_set(arguments->config, name, value, source, err);
}

// One argument that starts with "--"; *at moves on when its value is the next word.
static bool load_flag(struct arguments *arguments, int argc, char **argv, int *at,
                      struct error *err) {
    char name[OPTION_NAME_MAX];
    const char *word = argv[*at] + 2;
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    if (length == 0 || length >= sizeof(name))
        return error_set(err, DISP_FATAL, 0, "'%.80s' is not an option", argv[*at]);
    memcpy(name, word, length);
    name[length] = '\0';

    if (!equals && strcmp(name, "help") == 0) {
        arguments->action = CONFIG_SHOW_HELP;
        return true;
    }
    if (!equals && strcmp(name, "print-config") == 0) {
        if (arguments->action == CONFIG_RUN)
            arguments->action = CONFIG_SHOW_CONFIG;
        return true;
    }
    if (equals)
        return set_flag(arguments, name, equals + 1, err);
    if (is_switch(arguments->command, name))
        return set_flag(arguments, name, "true", err);
    bool known = strcmp(name, "config") == 0 || find_flag(arguments->command, name) ||
                 config_option_find(name) || strncmp(name, "kafka.", 6) == 0 ||
                 strncmp(name, "postgres.", 9) == 0;
    if (!known)
        return config_refuse_unknown(name, "command line", err);
    if (*at + 1 >= argc)
        return error_set(err, DISP_FATAL, 0, "--%s needs a value", name);
    return set_flag(arguments, name, argv[++*at], err);
}

static bool load_arguments(struct arguments *arguments, int argc, char **argv, struct error *err) {
    bool flags_over = false;
    for (int at = 0; at < argc; at++) {
        if (!flags_over && strcmp(argv[at], "--") == 0) {
            flags_over = true;
        } else if (!flags_over && strcmp(argv[at], "-h") == 0) {
            arguments->action = CONFIG_SHOW_HELP;
        } else if (!flags_over && strncmp(argv[at], "--", 2) == 0) {
            if (!load_flag(arguments, argc, argv, &at, err))
                return false;
        } else if (!flags_over && argv[at][0] == '-' && argv[at][1]) {
            return error_set(err, DISP_FATAL, 0,
                             "'%.80s' is not an option; options have two dashes", argv[at]);
        } else if (arguments->config) {
            // Only the second pass moves: the first needs the words where they are.
            argv[arguments->positional++] = argv[at];
        }
    }
    return true;
}

static bool check_positional(const struct config_command *command, int count, struct error *err) {
    if (count < command->arguments_min)
        return error_set(err, DISP_FATAL, 0, "something is missing; usage: orderlog %s",
                         command->usage);
    if (count > command->arguments_max)
        return error_set(err, DISP_FATAL, 0, "too many arguments; usage: orderlog %s",
                         command->usage);
    return true;
}

// --- all together ------------------------------------------------------------------------------

static bool load_all(const struct config_command *command, int argc, char **argv, char **envp,
                     struct config *config, int *ret_arguments_count,
                     enum config_action *ret_action, struct error *err) {
    struct arguments first = {.command = command, .action = CONFIG_RUN};
    if (!load_arguments(&first, argc, argv, err))
        return false;
    *ret_action = first.action;
    if (first.action == CONFIG_SHOW_HELP)
        return true;

    const char *file = first.file ? first.file : find_environment(envp, "ORDERLOG_CONFIG");
    if (!load_defaults(config, err))
        return false;
    if (file && !config_file_load(config, file, err))
        return false;
    if (!load_environment(config, envp, err))
        return false;
    struct arguments second = {.command = command, .config = config, .action = CONFIG_RUN};
    if (!load_arguments(&second, argc, argv, err))
        return false;
    if (first.action == CONFIG_RUN && !check_positional(command, second.positional, err))
        return false;
    config->postgres_dsn = config_passthrough_dsn(config->postgres_conninfo, &config->postgres);
    if (!config->postgres_dsn)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    *ret_arguments_count = second.positional;
    return true;
}

bool config_load(const struct config_command *command, int argc, char **argv, char **envp,
                 struct config *ret, int *ret_arguments_count, enum config_action *ret_action,
                 struct error *err) {
    struct config config = {.role = command->role, .store = calloc(1, sizeof(*config.store))};
    int count = 0;
    if (!config.store)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    if (!load_all(command, argc, argv, envp, &config, &count, ret_action, err)) {
        config_free(&config);
        return false;
    }
    *ret = config;
    *ret_arguments_count = count;
    return true;
}

static void settings_free(struct config_settings *settings) {
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->items[i].name);
        free(settings->items[i].value);
    }
    free(settings->items);
    *settings = (struct config_settings){0};
}

void config_free(struct config *config) {
    settings_free(&config->kafka);
    settings_free(&config->postgres);
    free(config->postgres_dsn);
    config->postgres_dsn = NULL;
    for (size_t i = 0; config->store && i < OPTION_COUNT; i++)
        free(config->store->texts[i]);
    free(config->store);
    config->store = NULL;
}

bool config_from_command_line(const struct config_command *command, int argc, char **argv,
                              struct config *ret, char ***ret_arguments, int *ret_arguments_count,
                              int *ret_exit_code) {
    struct error err = {0};
    enum config_action action = CONFIG_RUN;
    int count = 0;
    if (!config_load(command, argc, argv, environ, ret, &count, &action, &err)) {
        (void)fprintf(stderr, "orderlog %.*s: %s\n", (int)strcspn(command->usage, " "),
                      command->usage, err.msg);
        *ret_exit_code = EXIT_USAGE;
        return false;
    }
    if (action != CONFIG_RUN) {
        if (action == CONFIG_SHOW_HELP)
            config_print_help(command, stdout);
        else
            config_print(ret, command->role, stdout);
        config_free(ret);
        *ret_exit_code = EXIT_OK;
        return false;
    }
    if (ret_arguments)
        *ret_arguments = argv;
    if (ret_arguments_count)
        *ret_arguments_count = count;
    return true;
}
