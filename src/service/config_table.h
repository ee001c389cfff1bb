// SPDX-License-Identifier: Apache-2.0
//
// The option list as rows, and what the files of the loader share.
#ifndef ORDERLOG_SERVICE_CONFIG_TABLE_H
#define ORDERLOG_SERVICE_CONFIG_TABLE_H

#include "service/config.h"

enum option_kind {
    OPTION_STR,
    OPTION_SECRET,
    OPTION_INT,
    OPTION_MS,
    OPTION_BYTES,
    OPTION_BOOL,
    OPTION_CHOICE,
};

struct option {
    const char *name;
    enum option_kind kind;
    size_t offset; // of the field in struct config
    unsigned roles;
    const char *text;    // default of strings and choices
    const char *choices; // "a|b"
    int64_t number;      // default of numbers and booleans
    int64_t min;
    int64_t max;
    const char *doc;
};

#define OPTION_ID(field, ...) OPTION_ID_##field,
enum option_id {
    CONFIG_OPTIONS(OPTION_ID, OPTION_ID, OPTION_ID, OPTION_ID, OPTION_ID, OPTION_ID, OPTION_ID)
        OPTION_COUNT
};
#undef OPTION_ID

extern const struct option config_options[OPTION_COUNT];

enum { OPTION_NAME_MAX = 128 };

// Where each value came from, and the strings.
struct config_store {
    char sources[OPTION_COUNT][CONFIG_SOURCE_MAX]; // "" for a default
    char *texts[OPTION_COUNT];                     // owned
};

const struct option *config_option_find(const char *name);

// "gateway.port" → "ORDERLOG_GATEWAY_PORT".
void config_option_env_name(const struct option *option, char name[OPTION_NAME_MAX]);

// The field of this option. Numbers are int64_t, strings const char *, booleans bool.
void *config_option_field(const struct config *config, const struct option *option);

// "a number of milliseconds from 1 to 5000, or with s, m, h"
void config_option_allowed(const struct option *option, char *text, size_t size);

// Names of roles, "gateway, query".
void config_roles_text(unsigned roles, char *text, size_t size);

// Parses, checks and stores one value.
bool config_option_set(struct config *config, const struct option *option, const char *value,
                       const char *source, struct error *err);

// Any name: an option, kafka.KEY or postgres.KEY.
bool config_set(struct config *config, const char *name, const char *value, const char *source,
                struct error *err);

// Refuses a name nobody knows, with the nearest one that is known.
bool config_refuse_unknown(const char *name, const char *source, struct error *err);

// Edits between two names, counted up to `limit` + 1.
size_t config_distance(const char *a, const char *b, size_t limit);

// --- passthrough -------------------------------------------------------------------------------

bool config_passthrough_set(struct config_settings *settings, bool kafka, const char *key,
                            const char *value, const char *source, struct error *err);
bool config_passthrough_is_secret(const char *key);

// postgres.conninfo with the settings added; owned, NULL when memory is out.
char *config_passthrough_dsn(const char *conninfo, const struct config_settings *settings);

// --- file --------------------------------------------------------------------------------------

bool config_file_load(struct config *config, const char *path, struct error *err);

#endif
