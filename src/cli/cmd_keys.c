// SPDX-License-Identifier: Apache-2.0
//
// `orderlog keys create|list|revoke`: API keys. A new key's token is printed once and nowhere kept.
#include "cli/access_key.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"

#include <stdio.h>
#include <string.h>

static int fail(const struct error *err) {
    (void)fprintf(stderr, "orderlog keys: %s\n", err->msg);
    return err->what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

static bool is_shop(const char *text) {
    const size_t len = strlen(text);
    return len >= 1 && len <= 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static void print_scopes(const char *unknown) {
    (void)fprintf(stderr, "orderlog keys: --scopes does not know '%s'; it takes\n", unknown);
    for (int bit = 0; bit < SCOPE_BITS; bit++)
        (void)fprintf(stderr, "  %-16s  %s\n", scope_word(bit), scope_allows(bit));
    (void)fprintf(stderr, "  NAME:* for all that begin so; all; and the sets\n");
    for (const char *const *set = scope_sets(); *set; set++) {
        char words[SCOPES_TEXT_MAX];
        scopes_format(scopes_of_key_word(*set, strlen(*set)), ", ", words);
        (void)fprintf(stderr, "  %-16s  %s\n", *set, words);
    }
}

static int create(const struct config *config, const struct config_flag *flags) {
    struct access_grant grant = {.shop_id = flags_value(flags, "shop"),
                                 .note = flags_value(flags, "note")};
    if (!is_shop(grant.shop_id)) {
        (void)fprintf(stderr, "orderlog keys: --shop must be 1 to 64 of A-Z a-z 0-9 _ . -\n");
        return EXIT_USAGE;
    }
    char scopes[2 * SCOPES_TEXT_MAX];
    const char *unknown = NULL;
    (void)snprintf(scopes, sizeof(scopes), "%s", flags_value(flags, "scopes"));
    if (!access_scopes_parse(scopes, &grant, &unknown)) {
        print_scopes(unknown);
        return EXIT_USAGE;
    }

    struct access_token token;
    struct error err = {0};
    if (!access_token_make(&token, &err) || !access_key_store(config, &token, &grant, &err))
        return fail(&err);
    char text[ACCESS_TOKEN_MAX + 1];
    access_token_format(&token, text);
    printf("%s\n", text);
    (void)fprintf(stderr,
                  "Key %s was stored. The line above is its token: it is shown this once.\n",
                  token.id);
    return EXIT_OK;
}

static void print_row(void *state, const struct access_key_row *row) {
    (void)state;
    char created_at[CLOCK_TEXT_SIZE];
    clock_format_us(row->created_at_us, created_at);
    printf("%-16s %-12s %.19sZ  %s  %s\n", row->id, row->shop_id, created_at, row->scopes,
           row->note);
}

static int list(const struct config *config) {
    printf("%-16s %-12s %-21s %s\n", "ID", "SHOP", "CREATED", "SCOPES, NOTE");
    struct error err = {0};
    return access_keys_list(config, print_row, NULL, &err) ? EXIT_OK : fail(&err);
}

struct search {
    const char *id;
    bool found;
};

static void search_id(void *state, const struct access_key_row *row) {
    struct search *search = state;
    if (strcmp(row->id, search->id) == 0)
        search->found = true;
}

static int revoke(const struct config *config, const char *id) {
    struct search search = {.id = id};
    struct error err = {0};
    if (!access_keys_list(config, search_id, &search, &err))
        return fail(&err);
    if (!search.found) {
        (void)fprintf(stderr, "orderlog keys: there is no key %s; `orderlog keys list` shows all\n",
                      id);
        return EXIT_FAILED;
    }
    if (!access_key_revoke(config, id, &err))
        return fail(&err);
    printf("Key %s is revoked.\n", id);
    return EXIT_OK;
}

int cmd_keys(int argc, char **argv) {
    struct config_flag flags[] = {
        {"shop", "SHOP", "create: the tenant the key belongs to", "main"},
        {"scopes", "LIST", "create: such as orders:read,customers:*; a wrong word lists all",
         "read,write"},
        {"note", "TEXT", "create: what the key is for", NULL},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "keys create [--shop SHOP] [--scopes LIST] [--note TEXT] | list | revoke ID",
        .about = "Makes, lists and revokes API keys. The log keeps only a hash of each.",
        .role = ROLE_TOOL,
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 2,
    };
    struct config config;
    char **arguments = NULL;
    int arguments_count = 0;
    int exit_code = EXIT_OK;
    if (!config_from_command_line(&command, argc, argv, &config, &arguments, &arguments_count,
                                  &exit_code))
        return exit_code;
    log_init_from_words(config.log_level, config.log_format, "keys", -1);

    if (strcmp(arguments[0], "create") == 0 && arguments_count == 1) {
        exit_code = create(&config, flags);
    } else if (strcmp(arguments[0], "list") == 0 && arguments_count == 1) {
        exit_code = list(&config);
    } else if (strcmp(arguments[0], "revoke") == 0 && arguments_count == 2) {
        exit_code = revoke(&config, arguments[1]);
    } else {
        (void)fprintf(stderr, "usage: orderlog %s\n", command.usage);
        exit_code = EXIT_USAGE;
    }
    config_free(&config);
    return exit_code;
}
