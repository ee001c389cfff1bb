// SPDX-License-Identifier: Apache-2.0
//
// Any body for any command: refused with a problem, or encoded into a message that decodes again.
// The first byte chooses the command.
#include "event/message.h"
#include "fuzz/support/fuzz_ids.h"
#include "http/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find_price(void *state, const char *shop, size_t shop_len, const char *sku,
                       size_t sku_len, struct catalogue_price *ret) {
    (void)state;
    (void)shop;
    (void)shop_len;
    *ret = (struct catalogue_price){(int64_t)sku_len * 100, 1, "EUR"};
    return sku_len > 0 && sku[0] != 'x';
}

static bool build(uint8_t choice, const struct command_context *context, const struct jsonin *root,
                  struct command *ret, struct problem *problem) {
    static const enum record_id about_order[] = {RECORD_CANCEL_ORDER, RECORD_DISPATCH_ORDER,
                                                 RECORD_DELIVER_ORDER};
    static const enum record_id about_sku[] = {RECORD_SET_PRODUCT, RECORD_RECEIVE_STOCK,
                                               RECORD_ADJUST_STOCK};
    if (choice < 3)
        return command_about_order(context, about_order[choice],
                                   "4b2c5a3e-0000-8000-8000-000000000001", root, ret, problem);
    if (choice < 6)
        return command_about_sku(context, about_sku[choice - 3], "A", root, ret, problem);
    if (choice < 7)
        return command_place_order(context, root, ret, problem);
    return command_customer(context, "c", root, ret, problem);
}

static void check_decodes(const struct schema_ids *ids, const struct command *command) {
    struct arena arena;
    struct message message;
    struct error err = {0};
    arena_init(&arena, 16 << 20);
    bool decoded = message_decode(ids, command->bytes, command->length, &arena, &message, &err);
    assert(decoded && message.type == command->type);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct schema_ids *ids = fuzz_ids();
    static const struct http_caller caller = {.shop_id = "main",
                                              .scopes = SCOPE_ORDERS_WRITE | SCOPE_ORDERS_IMPORT};
    static const struct command_prices prices = {.find = find_price, .fresh = true};
    if (size == 0)
        return 0;
    char key[COMMAND_KEY_MAX + 1] = "key";
    struct problem problem;
    const struct jsonin *root = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    problem_init(&problem);
    struct command_context context = {.caller = &caller,
                                      .ids = ids,
                                      .prices = &prices,
                                      .idempotency_key = key,
                                      .key_in_body = (data[0] & 0x80) != 0};
    struct command command;
    bool ok = body_parse(&arena, (const char *)data + 1, size - 1, &root, &problem) &&
              (!context.key_in_body || command_line_key(root, key, &problem)) &&
              build(data[0] % 8, &context, root, &command, &problem);
    arena_reset(&arena);
    if (ok) {
        check_decodes(ids, &command);
        command_done(&command);
        arena_done(&arena);
        return 0;
    }
    size_t length = 0;
    assert(problem.type != PROBLEM_NONE);
    char *text = problem_render(&problem, "/", 1, &length);
    assert(text);
    // What we say of a bad body is itself a good one.
    problem_init(&problem);
    bool parsed = body_parse(&arena, text, length, &root, &problem);
    assert(parsed);
    arena_done(&arena);
    free(text);
    return 0;
}
