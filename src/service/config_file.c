// SPDX-License-Identifier: Apache-2.0
//
// INI files: `name = value`, sections whose name is put before the names inside, comments that
// start a line with # or ;. Nothing is quoted or continued; spaces around a value are dropped.
//
//   log.level = debug
//   [gateway]
//   port = 8080
#include "config_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LINE_MAX = 4096 };

static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static bool load_line(struct config *config, char *line, char section[OPTION_NAME_MAX],
                      const char *source, struct error *err) {
    line = trim(line);
    size_t length = strlen(line);
    if (length == 0 || line[0] == '#' || line[0] == ';')
        return true;
    if (line[0] == '[') {
        if (line[length - 1] != ']' || length - 2 >= OPTION_NAME_MAX)
            return error_set(err, DISP_FATAL, 0, "%s: a section looks like [gateway]", source);
        line[length - 1] = '\0';
        (void)snprintf(section, OPTION_NAME_MAX, "%s", trim(line + 1));
        return true;
    }
    char *equals = strchr(line, '=');
    if (!equals)
        return error_set(err, DISP_FATAL, 0, "%s: expected 'name = value', [section] or # comment",
                         source);
    *equals = '\0';
    const char *key = trim(line);
    char name[2 * OPTION_NAME_MAX];
    int name_length = snprintf(name, sizeof(name), "%s%s%s", section, section[0] ? "." : "", key);
    if (name_length < 0 || (size_t)name_length >= sizeof(name))
        return error_set(err, DISP_FATAL, 0, "%s: the name is too long", source);
    return config_set(config, name, trim(equals + 1), source, err);
}

bool config_file_load(struct config *config, const char *path, struct error *err) {
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(err, DISP_FATAL, errno, "cannot read configuration file %s: %s", path,
                         strerror(errno));
    char line[FILE_LINE_MAX];
    char section[OPTION_NAME_MAX] = "";
    bool ok = true;
    for (int number = 1; ok && fgets(line, sizeof(line), file); number++) {
        char source[CONFIG_SOURCE_MAX];
        (void)snprintf(source, sizeof(source), "%.200s:%d", path, number);
        if (strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n')
            ok = error_set(err, DISP_FATAL, 0, "%s: the line is longer than %d bytes", source,
                           FILE_LINE_MAX - 2);
        else
            ok = load_line(config, line, section, source, err);
    }
    if (ok && ferror(file))
        ok = error_set(err, DISP_FATAL, errno, "cannot read configuration file %s: %s", path,
                       strerror(errno));
    (void)fclose(file);
    return ok;
}
