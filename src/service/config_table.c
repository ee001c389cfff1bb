// SPDX-License-Identifier: Apache-2.0
//
// Rows made from the option list, and everything that is done to one option: look-up, parsing,
// range check, what to tell the operator.
#include "config_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field_) .offset = offsetof(struct config, field_)
#define ROW_STR(field_, name_, default_, roles_, doc_)                                             \
    {AT(field_), .name = name_, .kind = OPTION_STR, .text = default_, .roles = roles_, .doc = doc_},
#define ROW_SECRET(field_, name_, default_, roles_, doc_)                                          \
    {AT(field_),       .name = name_,   .kind = OPTION_SECRET,                                     \
     .text = default_, .roles = roles_, .doc = doc_},
#define ROW_NUMBER(kind_, field_, name_, default_, min_, max_, roles_, doc_)                       \
    {AT(field_),  .name = name_, .kind = kind_,   .number = default_,                              \
     .min = min_, .max = max_,   .roles = roles_, .doc = doc_},
#define ROW_INT(...) ROW_NUMBER(OPTION_INT, __VA_ARGS__)
#define ROW_MS(...) ROW_NUMBER(OPTION_MS, __VA_ARGS__)
#define ROW_BYTES(...) ROW_NUMBER(OPTION_BYTES, __VA_ARGS__)
#define ROW_BOOL(field_, name_, default_, roles_, doc_)                                            \
    {AT(field_),         .name = name_,   .kind = OPTION_BOOL,                                     \
     .number = default_, .roles = roles_, .doc = doc_},
#define ROW_CHOICE(field_, name_, default_, choices_, roles_, doc_)                                \
    {AT(field_),      .name = name_, .kind = OPTION_CHOICE, .text = default_, .choices = choices_, \
     .roles = roles_, .doc = doc_},

const struct option config_options[OPTION_COUNT] = {
    CONFIG_OPTIONS(ROW_STR, ROW_SECRET, ROW_INT, ROW_MS, ROW_BYTES, ROW_BOOL, ROW_CHOICE)};

const struct option *config_option_find(const char *name) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(config_options[i].name, name) == 0)
            return &config_options[i];
    }
    return NULL;
}

void config_option_env_name(const struct option *option, char name[OPTION_NAME_MAX]) {
    char *at = name + snprintf(name, OPTION_NAME_MAX, "ORDERLOG_");
    for (const char *from = option->name; *from && at < name + OPTION_NAME_MAX - 3; from++) {
        if (*from == '-') {
            *at++ = '_';
            *at++ = '_';
        } else {
            *at++ = *from == '.' ? '_' : (char)toupper((unsigned char)*from);
        }
    }
    *at = '\0';
}

void *config_option_field(const struct config *config, const struct option *option) {
    return (char *)config + option->offset;
}

void config_roles_text(unsigned roles, char *text, size_t size) {
    static const char *const names[] = {"gateway",
                                        "process order",
                                        "process inventory",
                                        "process payment",
                                        "process shipping",
                                        "project",
                                        "query",
                                        "setup",
                                        "the tools"};
    char *at = text;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t left = size - (size_t)(at - text);
        if (!(roles & (1u << i)) || left < strlen(names[i]) + 3)
            continue;
        at += snprintf(at, left, "%s%s", at == text ? "" : ", ", names[i]);
    }
}

void config_option_allowed(const struct option *option, char *text, size_t size) {
    long long min = (long long)option->min;
    long long max = (long long)option->max;
    switch (option->kind) {
    case OPTION_STR:
    case OPTION_SECRET:
        (void)snprintf(text, size, "text");
        break;
    case OPTION_INT:
        (void)snprintf(text, size, "a whole number from %lld to %lld", min, max);
        break;
    case OPTION_MS:
        (void)snprintf(text, size, "milliseconds from %lld to %lld, or a number with s, m or h",
                       min, max);
        break;
    case OPTION_BYTES:
        (void)snprintf(text, size, "bytes from %lld to %lld, or a number with KiB, MiB or GiB", min,
                       max);
        break;
    case OPTION_BOOL:
        (void)snprintf(text, size, "true or false");
        break;
    case OPTION_CHOICE:
        (void)snprintf(text, size, "one of %s", option->choices);
        break;
    }
}

// --- parsing -----------------------------------------------------------------------------------

static bool suffix_factor(enum option_kind kind, const char *suffix, int64_t *ret) {
    static const struct {
        enum option_kind kind;
        const char *suffix;
        int64_t factor;
    } suffixes[] = {
        {OPTION_MS, "ms", 1},           {OPTION_MS, "s", 1000},
        {OPTION_MS, "m", 60000},        {OPTION_MS, "h", 3600000},
        {OPTION_BYTES, "KiB", 1 << 10}, {OPTION_BYTES, "MiB", 1 << 20},
        {OPTION_BYTES, "GiB", 1 << 30},
    };
    *ret = 1;
    if (!suffix[0])
        return true;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (suffixes[i].kind == kind && strcmp(suffixes[i].suffix, suffix) == 0) {
            *ret = suffixes[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct option *option, const char *value, int64_t *ret) {
    char *end = NULL;
    if (!isdigit((unsigned char)value[0]) && value[0] != '-')
        return false;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    int64_t factor = 1;
    int64_t product = 0;
    if (errno || end == value || !suffix_factor(option->kind, end, &factor))
        return false;
    if (__builtin_mul_overflow((int64_t)number, factor, &product))
        return false;
    if (product < option->min || product > option->max)
        return false;
    *ret = product;
    return true;
}

static bool parse_bool(const char *value, bool *ret) {
    *ret = strcmp(value, "true") == 0;
    return *ret || strcmp(value, "false") == 0;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *at = choices; length > 0 && at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, value, length) == 0 && (at[length] == '|' || !at[length]))
            return true;
    }
    return false;
}

static bool refuse_value(const struct option *option, const char *value, const char *source,
                         struct error *err) {
    char allowed[160];
    config_option_allowed(option, allowed, sizeof(allowed));
    if (option->kind == OPTION_SECRET)
        value = "(hidden)";
    return error_set(err, DISP_FATAL, 0, "%s: %s cannot be '%.80s': it takes %s", source,
                     option->name, value, allowed);
}

static bool store_text(struct config *config, const struct option *option, const char *value,
                       struct error *err) {
    char *copy = strdup(value);
    if (!copy)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    char **slot = &config->store->texts[option - config_options];
    free(*slot);
    *slot = copy;
    *(const char **)config_option_field(config, option) = copy;
    return true;
}

bool config_option_set(struct config *config, const struct option *option, const char *value,
                       const char *source, struct error *err) {
    void *field = config_option_field(config, option);
    switch (option->kind) {
    case OPTION_CHOICE:
        if (!is_choice(option->choices, value))
            return refuse_value(option, value, source, err);
        __attribute__((fallthrough));
    case OPTION_STR:
    case OPTION_SECRET:
        if (!store_text(config, option, value, err))
            return false;
        break;
    case OPTION_INT:
    case OPTION_MS:
    case OPTION_BYTES:
        if (!parse_number(option, value, field))
            return refuse_value(option, value, source, err);
        break;
    case OPTION_BOOL: {
        bool parsed = false;
        if (!parse_bool(value, &parsed))
            return refuse_value(option, value, source, err);
        *(bool *)field = parsed;
        break;
    }
    }
    (void)snprintf(config->store->sources[option - config_options], CONFIG_SOURCE_MAX, "%s",
                   source);
    return true;
}

bool config_set(struct config *config, const char *name, const char *value, const char *source,
                struct error *err) {
    if (strncmp(name, "kafka.", 6) == 0 && name[6])
        return config_passthrough_set(&config->kafka, /* kafka= */ true, name + 6, value, source,
                                      err);
    const struct option *option = config_option_find(name);
    if (option)
        return config_option_set(config, option, value, source, err);
    if (strncmp(name, "postgres.", 9) == 0 && name[9])
        return config_passthrough_set(&config->postgres, /* kafka= */ false, name + 9, value,
                                      source, err);
    return config_refuse_unknown(name, source, err);
}

// --- near names --------------------------------------------------------------------------------

size_t config_distance(const char *a, const char *b, size_t limit) {
    enum { LENGTH_MAX = 96 };
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length >= LENGTH_MAX || b_length >= LENGTH_MAX)
        return limit + 1;
    size_t row[LENGTH_MAX];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_length] <= limit ? row[b_length] : limit + 1;
}

bool config_refuse_unknown(const char *name, const char *source, struct error *err) {
    size_t best = strlen(name) / 3 + 2;
    const char *near = NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t distance = config_distance(name, config_options[i].name, best);
        if (distance < best) {
            best = distance;
            near = config_options[i].name;
        }
    }
    if (near)
        return error_set(err, DISP_FATAL, 0, "%s: unknown option '%.80s'; did you mean '%s'?",
                         source, name, near);
    return error_set(err, DISP_FATAL, 0, "%s: unknown option '%.80s'; --help lists the known ones",
                     source, name);
}
