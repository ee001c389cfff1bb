// SPDX-License-Identifier: Apache-2.0
//
// What --help and --print-config say, made from the table.
#include "config_table.h"

#include <stdlib.h>
#include <string.h>

static void format_value(const struct config *config, const struct option *option, char *text,
                         size_t size) {
    const void *field = config_option_field(config, option);
    switch (option->kind) {
    case OPTION_SECRET:
        (void)snprintf(text, size, "%s", *(const char *const *)field ? "(hidden)" : "");
        break;
    case OPTION_STR:
    case OPTION_CHOICE: {
        const char *value = *(const char *const *)field;
        (void)snprintf(text, size, "%s", value ? value : "");
        break;
    }
    case OPTION_INT:
    case OPTION_MS:
    case OPTION_BYTES:
        (void)snprintf(text, size, "%lld", (long long)*(const int64_t *)field);
        break;
    case OPTION_BOOL:
        (void)snprintf(text, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    }
}

static void print_settings(const struct config_settings *settings, const char *prefix, FILE *out) {
    for (size_t i = 0; i < settings->count; i++) {
        const struct config_setting *setting = &settings->items[i];
        const char *value =
            config_passthrough_is_secret(setting->name) ? "(hidden)" : setting->value;
        (void)fprintf(out, "# %s\n%s.%s = %s\n", setting->source[0] ? setting->source : "default",
                      prefix, setting->name, value);
    }
}

void config_print(const struct config *config, enum config_role role, FILE *out) {
    (void)fputs("# The effective configuration; it can be used as a file with --config.\n", out);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &config_options[i];
        if (!(option->roles & role))
            continue;
        char value[1024];
        format_value(config, option, value, sizeof(value));
        const char *source = config->store->sources[i];
        // Lines that would not read back as they are become comments.
        bool usable = option->kind != OPTION_SECRET && value[0];
        (void)fprintf(out, "# %s\n%s%s = %s\n", source[0] ? source : "default", usable ? "" : "# ",
                      option->name, value);
    }
    print_settings(&config->kafka, "kafka", out);
    if (role & config_option_find("postgres.conninfo")->roles)
        print_settings(&config->postgres, "postgres", out);
}

static void print_wrapped(FILE *out, const char *indent, const char *text) {
    enum { WIDTH = 76 };
    while (*text) {
        size_t length = strlen(text);
        if (length > WIDTH) {
            length = WIDTH;
            while (length > 0 && text[length] != ' ')
                length--;
            if (length == 0)
                length = strlen(text);
        }
        (void)fprintf(out, "%s%.*s\n", indent, (int)length, text);
        text += length;
        text += *text == ' ';
    }
}

static void print_option(const struct option *option, FILE *out) {
    char allowed[160];
    char line[512];
    char number[40];
    const char *value = option->text ? option->text : "";
    if (option->kind == OPTION_BOOL) {
        value = option->number ? "true" : "false";
    } else if (option->kind != OPTION_STR && option->kind != OPTION_SECRET &&
               option->kind != OPTION_CHOICE) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)option->number);
        value = number;
    }
    config_option_allowed(option, allowed, sizeof(allowed));
    (void)fprintf(out, "  --%s=%s\n", option->name, value[0] ? value : "TEXT");
    (void)snprintf(line, sizeof(line), "%s. Takes %s.", option->doc, allowed);
    print_wrapped(out, "      ", line);
}

void config_print_help(const struct config_command *command, FILE *out) {
    (void)fprintf(out, "Usage: orderlog %s [options]\n\n", command->usage);
    print_wrapped(out, "", command->about);

    if (command->flags && command->flags[0].name)
        (void)fputs("\nOptions of this command:\n", out);
    for (const struct config_flag *flag = command->flags; flag && flag->name; flag++) {
        (void)fprintf(out, "  --%s%s%s\n", flag->name, flag->value_name ? "=" : "",
                      flag->value_name ? flag->value_name : "");
        print_wrapped(out, "      ", flag->doc);
    }

    (void)fputs(
        "\nConfiguration, shown with its defaults. Each can also stand in a file, and in the\n"
        "environment as ORDERLOG_ and its name in capitals, '.' as '_' and '-' as '__'.\n",
        out);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (config_options[i].roles & command->role)
            print_option(&config_options[i], out);
    }
    (void)fputs(
        "  --kafka.KEY=VALUE, --postgres.KEYWORD=VALUE\n"
        "      Handed to librdkafka and libpq as they are; what correctness depends on is\n"
        "      refused. Processors write with a producer of their own: an ssl.* or sasl.*\n"
        "      setting that it cannot follow is refused there too.\n"
        "  --config=FILE\n"
        "      Read options from this INI file (or ORDERLOG_CONFIG). Flags come before the\n"
        "      environment, the environment before the file.\n"
        "  --print-config\n"
        "      Print the effective configuration and where each value came from, then end.\n"
        "  --help\n",
        out);
}
