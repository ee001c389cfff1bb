// SPDX-License-Identifier: Apache-2.0
//
// `orderlog deadletters list|show|retry|drop`: what could not be handled, and what is to become of
// it.
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/letters.h"
#include "cli/settle.h"
#include "event/event_json.h"
#include "event/message.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "stream/parked.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES_MAX = 64 << 20, WAIT_S_MAX = 86400, HEX_SHOWN_MAX = 512 };

struct counts {
    size_t states[LETTER_STATES_COUNT];
};

static void format_place(const struct letter *letter, char *out, size_t size) {
    if (letter->index == PARKED_ALONE)
        (void)snprintf(out, size, "%d:%lld", letter->partition, (long long)letter->offset);
    else if (letter->index == PARKED_DEADLINE)
        (void)snprintf(out, size, "%d:%lld deadline", letter->partition, (long long)letter->offset);
    else
        (void)snprintf(out, size, "%d:%lld:%d", letter->partition, (long long)letter->offset,
                       letter->index);
}

// ---- list and show ------------------------------------------------------------------------------

// The message itself where it is one, else its bytes.
static void add_message(json_t *json, const struct schema_ids *ids, const struct letter *letter,
                        struct arena *arena) {
    struct message message;
    struct error err;
    arena_reset(arena);
    if (message_decode(ids, letter->value, letter->value_len, arena, &message, &err)) {
        (void)json_object_set_new(json, "type", json_string(record_types[message.type]->name));
        (void)json_object_set_new(json, "message",
                                  event_json(record_types[message.type], message.body));
        return;
    }
    char hex[2 * HEX_SHOWN_MAX + 1];
    const size_t shown =
        letter->value_len < HEX_SHOWN_MAX ? letter->value_len : (size_t)HEX_SHOWN_MAX;
    for (size_t i = 0; i < shown; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", letter->value[i]);
    hex[2 * shown] = '\0';
    (void)json_object_set_new(json, "bytes", json_integer((json_int_t)letter->value_len));
    (void)json_object_set_new(json, shown < letter->value_len ? "first_bytes_hex" : "bytes_hex",
                              json_string(hex));
}

static json_t *letter_json(const struct letter *letter) {
    char failed_at[CLOCK_TEXT_SIZE];
    char settled_at[CLOCK_TEXT_SIZE];
    clock_format_us(letter->failed_at_us, failed_at);
    clock_format_us(letter->settled_at_us, settled_at);
    return json_pack("{s:s, s:i, s:I, s:i, s:s, s:s, s:s, s:i, s:s, s:s?}", "topic",
                     topics[domains[letter->domain].inbox].name, "partition",
                     (int)letter->partition, "offset", (json_int_t)letter->offset, "index",
                     (int)letter->index, "key", letter->key, "state",
                     letter_state_names[letter->state], "error", letter->error, "failures",
                     (int)letter->failures, "failed_at", failed_at, "settled_at",
                     letter->settled_at_us ? settled_at : NULL);
}

static void print_json(const struct letter *letter, const struct letters *letters,
                       struct arena *arena, size_t flags) {
    json_t *json = letter_json(letter);
    if (json && letter->value)
        add_message(json, letters->schemas.ids, letter, arena);
    char *text = json ? json_dumps(json, flags) : NULL;
    printf("%s\n", text ? text : "");
    free(text);
    json_decref(json);
}

static void print_row(const struct letter *letter) {
    char place[64];
    char failed_at[CLOCK_TEXT_SIZE];
    format_place(letter, place, sizeof(place));
    clock_format_us(letter->failed_at_us, failed_at);
    printf("%-15s %-16s %-36s %-9s %.19sZ  %s\n", topics[domains[letter->domain].inbox].name, place,
           letter->key[0] ? letter->key : "-", letter_state_names[letter->state], failed_at,
           letter->error);
}

static int print_letters(const struct config *config, const struct letters_filter *filter,
                         bool whole, bool as_json, struct error *err) {
    struct letters letters;
    if (!letters_open(config, filter->domain, whole, &letters, err))
        return EXIT_UNAVAILABLE;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    struct counts counts = {0};
    bool titled = whole || as_json;
    for (size_t i = 0; i < letters.count; i++) {
        const struct letter *letter = &letters.items[i];
        if (!letters_match(filter, letter))
            continue;
        counts.states[letter->state]++;
        if (!titled)
            printf("%-15s %-16s %-36s %-9s %-20s  %s\n", "TOPIC", "AT", "KEY", "STATE", "FAILED",
                   "ERROR");
        titled = true;
        if (whole || as_json)
            print_json(letter, &letters, &arena, as_json ? JSON_COMPACT : JSON_INDENT(2));
        else
            print_row(letter);
    }
    arena_done(&arena);
    letters_close(&letters);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%zu parked, %zu set aside", counts.states[LETTER_PARKED],
                  counts.states[LETTER_ASIDE]);
    if (filter->settled)
        (void)fprintf(stderr, ", %zu retried, %zu dropped", counts.states[LETTER_RETRIED],
                      counts.states[LETTER_DROPPED]);
    (void)fprintf(stderr, "\n");
    return EXIT_OK;
}

// ---- retry and drop -----------------------------------------------------------------------------

static int say_outcome(const struct settle_outcome *outcome, enum settle_how how, bool dry_run,
                       size_t aside) {
    const char *done = how == SETTLE_RETRY ? "put through" : "dropped";
    if (aside > 0)
        (void)fprintf(stderr,
                      "%zu that match are only set aside: nothing waits for them, and bytes that "
                      "are no message cannot be retried\n",
                      aside);
    if (dry_run) {
        printf("%zu under %zu key%s would be %s\n", outcome->asked, outcome->keys,
               outcome->keys == 1 ? "" : "s", done);
        return EXIT_OK;
    }
    printf("%zu of %zu under %zu key%s %s", outcome->settled, outcome->asked, outcome->keys,
           outcome->keys == 1 ? "" : "s", done);
    if (outcome->failed_again > 0)
        printf(", %zu failed again and %zu wait behind them (`orderlog deadletters list`)",
               outcome->failed_again, outcome->waiting);
    printf("\n");
    if (outcome->unknown > 0)
        (void)fprintf(stderr,
                      "Nothing was heard of %zu in time. The command is in the log: it is carried "
                      "out when that role's worker comes to it (`orderlog status`).\n",
                      outcome->unknown);
    return outcome->failed_again + outcome->unknown > 0 ? EXIT_FAILED : EXIT_OK;
}

static int settle(const struct config *config, const struct letters_filter *filter,
                  enum settle_how how, const struct config_flag *flags, struct error *err) {
    int64_t wait_s;
    if (!flags_int(flags, "wait", 0, WAIT_S_MAX, &wait_s))
        return EXIT_USAGE;
    const bool narrowed = filter->domain != DOMAIN_COUNT || filter->key || filter->error ||
                          filter->since_us != INT64_MIN || filter->until_us != INT64_MAX;
    if (!narrowed && !filter->settled) {
        (void)fprintf(stderr, "orderlog deadletters: say which with --topic, --key, --error, "
                              "--since or --until, or --all\n");
        return EXIT_USAGE;
    }
    struct letters letters;
    if (!letters_open(config, filter->domain, false, &letters, err))
        return EXIT_UNAVAILABLE;
    bool *chosen = calloc(letters.count + 1, sizeof(*chosen));
    size_t aside = 0;
    for (size_t i = 0; chosen && i < letters.count; i++) {
        chosen[i] = letters_match(filter, &letters.items[i]);
        aside += chosen[i] && letters.items[i].state == LETTER_ASIDE;
    }
    const bool dry_run = flags_is_set(flags, "dry-run");
    struct settle_outcome outcome = {0};
    const bool ok = chosen ? settle_letters(config, &letters, chosen, how, dry_run, wait_s * 1000,
                                            &outcome, err)
                           : error_set(err, DISP_FATAL, 0, "out of memory");
    free(chosen);
    letters_close(&letters);
    return ok ? say_outcome(&outcome, how, dry_run, aside) : EXIT_UNAVAILABLE;
}

// ---- the command --------------------------------------------------------------------------------

// The domain of "orders", "orders.inbox" or "orders.deadletters".
static bool find_domain(const char *text, int *ret) {
    for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
        const char *inbox = topics[domains[domain].inbox].name;
        const size_t stem = strcspn(inbox, ".");
        if (strcmp(text, inbox) == 0 ||
            strcmp(text, topics[domains[domain].deadletters].name) == 0 ||
            (strlen(text) == stem && strncmp(text, inbox, stem) == 0)) {
            *ret = domain;
            return true;
        }
    }
    (void)fprintf(stderr,
                  "orderlog deadletters: --topic takes orders, inventory, payments or shipping, "
                  "not '%s'\n",
                  text);
    return false;
}

static bool take_time(const struct config_flag *flags, const char *name, int64_t *ret_us) {
    const char *text = flags_value(flags, name);
    char midnight[32];
    if (!text)
        return true;
    (void)snprintf(midnight, sizeof(midnight), "%.10sT00:00:00Z", text);
    if (clock_parse_us(strlen(text) == 10 ? midnight : text, ret_us))
        return true;
    (void)fprintf(stderr,
                  "orderlog deadletters: --%s takes a day or a moment, as 2026-01-31 or "
                  "2026-01-31T12:34:56Z, not '%s'\n",
                  name, text);
    return false;
}

static int run(const struct config *config, const struct config_flag *flags, const char *what,
               const char *usage) {
    struct letters_filter filter = {
        .domain = DOMAIN_COUNT,
        .key = flags_value(flags, "key"),
        .error = flags_value(flags, "error"),
        .since_us = INT64_MIN,
        .until_us = INT64_MAX,
        .settled = flags_is_set(flags, "all"),
    };
    const char *topic = flags_value(flags, "topic");
    if ((topic && !find_domain(topic, &filter.domain)) ||
        !take_time(flags, "since", &filter.since_us) ||
        !take_time(flags, "until", &filter.until_us))
        return EXIT_USAGE;
    const bool as_json = flags_is_set(flags, "json");
    struct error err = {0};
    int exit_code = EXIT_USAGE;
    if (strcmp(what, "list") == 0)
        exit_code = print_letters(config, &filter, false, as_json, &err);
    else if (strcmp(what, "show") == 0)
        exit_code = print_letters(config, &filter, true, as_json, &err);
    else if (strcmp(what, "retry") == 0)
        exit_code = settle(config, &filter, SETTLE_RETRY, flags, &err);
    else if (strcmp(what, "drop") == 0)
        exit_code = settle(config, &filter, SETTLE_DROP, flags, &err);
    else
        (void)fprintf(stderr, "usage: orderlog %s\n", usage);
    if (err.what == DISP_NONE)
        return exit_code;
    (void)fprintf(stderr, "orderlog deadletters: %s\n", err.msg);
    return err.what == DISP_RETRY ? EXIT_UNAVAILABLE : EXIT_NOT_SET_UP;
}

int cmd_deadletters(int argc, char **argv) {
    struct config_flag flags[] = {
        {"topic", "TOPIC", "Only of orders, inventory, payments or shipping", NULL},
        {"key", "KEY", "Only of this order id, or shop/SKU", NULL},
        {"error", "TEXT", "Only those whose error contains this", NULL},
        {"since", "TIME", "Only those that failed at or after this day or moment (UTC)", NULL},
        {"until", "TIME", "Only those that failed before this day or moment", NULL},
        {"all", NULL, "list, show: also what waits no more; retry, drop: whatever is parked", NULL},
        {"json", NULL, "list, show: one JSON object per line", NULL},
        {"dry-run", NULL, "retry, drop: only count", NULL},
        {"wait", "SECONDS", "retry, drop: how long to wait for the outcome", "30"},
        {NULL, NULL, NULL, NULL},
    };
    const struct config_command command = {
        .usage = "deadletters list|show|retry|drop [FILTER...] [--dry-run] [--json]",
        .about = "What could not be handled. Input that decodes but cannot be decided parks its "
                 "key: it and every later input of the key wait, all others go on. retry puts all "
                 "that waits under the keys of what matches through again, in its order and while "
                 "the system runs; what fails again stays parked. drop gives up what matches; the "
                 "key is free once nothing of it is left.",
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
    log_init_from_words(config.log_level, config.log_format, "deadletters", -1);
    service_signals_init();
    exit_code = run(&config, flags, arguments[0], command.usage);
    config_free(&config);
    return exit_code;
}
