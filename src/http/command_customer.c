// SPDX-License-Identifier: Apache-2.0
//
// Commands about a customer. They are not decided by a processor: the last record of a customer
// counts, so the record is what the command asks for. Whether it is readable is decided by the keys
// alone (include/privacy/customer_keys.h).
#include "command_seal.h"
#include "http/personal.h"

#include <string.h>

static bool check_id(const char *customer_id, struct problem *problem) {
    size_t length = strlen(customer_id);
    return (customer_id_valid(customer_id, length) &&
            body_characters(customer_id, length) <= OPENAPI_CUSTOMER_ID_LENGTH_MAX) ||
           problem_set(problem, PROBLEM_INVALID_PARAMETER,
                       "a customer id has from 1 to %d characters, without '/'",
                       OPENAPI_CUSTOMER_ID_LENGTH_MAX);
}

static struct command begin(const struct command_context *context, const char *customer_id) {
    const char *shop = context->caller->shop_id;
    struct command command = {.topic = TOPIC_CUSTOMERS, .type = RECORD_CUSTOMER};
    command.key_len =
        topic_sku_key(shop, strlen(shop), customer_id, strlen(customer_id), command.key);
    return command;
}

static bool write_record(const struct command_context *context, const struct jsonout *text,
                         const char *customer_id, struct command *command,
                         struct problem *problem) {
    struct personal_sealed sealed;
    const struct view customer = command_view(customer_id);
    if (!personal_seal(context, personal_of_customer, customer, NULL, text, &sealed, problem))
        return false;
    struct customer record = {
        .shop_id = command_view(context->caller->shop_id),
        .customer_id = customer,
    };
    const struct id key_id = command_key_id(context, RECORD_CUSTOMER, customer_id);
    bool ok = command_content_id(RECORD_CUSTOMER, &record, &key_id, sealed.print,
                                 &command->command_id, problem);
    record.command_id = command->command_id;
    record.created_at = sealed.key_created_at;
    record.updated_at = context->now_us;
    record.has_personal = true;
    record.personal = sealed.record;
    ok = ok && command_encode(context, &record, command, problem);
    personal_sealed_done(&sealed);
    return ok;
}

bool command_customer(const struct command_context *context, const char *customer_id,
                      const struct jsonin *root, struct command *ret, struct problem *problem) {
    static const char *const fields[] = {"name", "email", "addresses", "shop_id", NULL};
    struct command command;
    struct body_part part;
    if (!check_id(customer_id, problem) || !body_part_root(&part, root, problem))
        return false;
    command = begin(context, customer_id);
    body_part_allow(&part, fields);
    command_check_shop(context, &part);
    struct jsonout text;
    jsonout_init(&text);
    personal_read_customer(&part, &text);
    bool ok = problem->type == PROBLEM_NONE &&
              write_record(context, &text, customer_id, &command, problem);
    seal_forget(text.bytes, text.length);
    jsonout_done(&text);
    if (ok)
        *ret = command;
    return ok;
}

bool command_erase_customer(const struct command_context *context, const char *customer_id,
                            struct command *ret, struct problem *problem) {
    if (!check_id(customer_id, problem))
        return false;
    struct command command = begin(context, customer_id);
    struct customer record = {
        .shop_id = command_view(context->caller->shop_id),
        .customer_id = command_view(customer_id),
    };
    const struct id key_id = command_key_id(context, RECORD_CUSTOMER_ERASED, customer_id);
    if (!command_content_id(RECORD_CUSTOMER, &record, &key_id, /* print= */ NULL,
                            &command.command_id, problem))
        return false;
    record.command_id = command.command_id;
    record.created_at = record.updated_at = context->now_us;
    record.has_erased_at = true;
    record.erased_at = context->now_us;
    if (!command_encode(context, &record, &command, problem))
        return false;
    *ret = command;
    return true;
}
