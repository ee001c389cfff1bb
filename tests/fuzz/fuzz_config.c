// SPDX-License-Identifier: Apache-2.0
//
// Configuration of any content, from all its sources: every value is taken or named, and what was
// taken can be printed.
//
//   command line, one argument per line; zero byte; environment, one variable per line; zero byte;
//   the file
#include "service/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 16 };

// A copy that ends with a zero byte.
static char *take_text(const uint8_t **at, const uint8_t *end) {
    const uint8_t *zero = memchr(*at, '\0', (size_t)(end - *at));
    size_t length = (size_t)((zero ? zero : end) - *at);
    char *text = strndup((const char *)*at, length);
    assert(text);
    *at = zero ? zero + 1 : end;
    return text;
}

static int split(char *text, char **words, int count) {
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    words[count] = NULL;
    return count;
}

static void load(int argc, char **argv, char **envp) {
    static const enum config_role roles[] = {ROLE_ORDER, ROLE_GATEWAY, ROLE_PROJECT, ROLE_TOOL};
    struct config_flag flags[] = {{.name = "stock", .value_name = "N", .doc = "Stock"},
                                  {.name = "now", .doc = "At once"},
                                  {0}};
    const struct config_command command = {
        .usage = "fuzz",
        .about = "Reads.",
        .role = roles[argc % 4],
        .flags = flags,
        .arguments_max = 2,
    };
    struct config config;
    enum config_action action;
    struct error err = {0};
    int arguments_count = 0;
    if (!config_load(&command, argc, argv, envp, &config, &arguments_count, &action, &err)) {
        assert(err.msg[0]);
        return;
    }
    if (action == CONFIG_SHOW_HELP) { // nothing was set
        config_free(&config);
        return;
    }
    char *printed = NULL;
    size_t printed_length = 0;
    FILE *out = open_memstream(&printed, &printed_length);
    assert(out && (action != CONFIG_RUN || arguments_count <= command.arguments_max));
    config_print(&config, command.role, out);
    (void)fclose(out);
    assert(printed_length > 0);
    free(printed);
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *at = data;
    char *arguments = take_text(&at, data + size);
    char *environment = take_text(&at, data + size);
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t written = write(fd, at, (size_t)(data + size - at));
    assert(written == data + size - at);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    char flag[] = "--config";
    char *argv[WORDS_MAX + 1] = {flag, path};
    char *envp[WORDS_MAX + 1];
    (void)split(environment, envp, 0);
    load(split(arguments, argv, 2), argv, envp);
    (void)close(fd);
    free(arguments);
    free(environment);
    return 0;
}
