// SPDX-License-Identifier: Apache-2.0
//
// The steps that all commands share, and the commands with a word or two of content.
#include "http/command.h"

#include "command_seal.h"
#include "domain/money.h"
#include "event/message.h"
#include "service/uninitialized.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { CONTENT_FEW = 2048 };

void command_done(struct command *command) {
    free(command->bytes);
    command->bytes = NULL;
}

// --- the idempotency key -----------------------------------------------------------------------

static bool make_key(char ret_key[COMMAND_KEY_MAX + 1], struct problem *problem) {
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return problem_set(problem, PROBLEM_UNAVAILABLE, "no random numbers");
    (void)snprintf(ret_key, COMMAND_KEY_MAX + 1, "%016llx%016llx", (unsigned long long)random[0],
                   (unsigned long long)random[1]);
    return true;
}

// A structured-field string: "…" with \" and \\ inside.
static bool unquote(const char *header, char ret_key[COMMAND_KEY_MAX + 1]) {
    size_t used = 0;
    const char *at = header + 1;
    for (; *at && *at != '"'; at++) {
        if (*at == '\\') {
            at++;
            if (*at != '"' && *at != '\\')
                return false;
        }
        if (*at < 0x20 || *at > 0x7E || used == COMMAND_KEY_MAX)
            return false;
        ret_key[used++] = *at;
    }
    ret_key[used] = '\0';
    return used > 0 && at[0] == '"' && at[1] == '\0';
}

bool command_key_parse(const char *header, char ret_key[COMMAND_KEY_MAX + 1],
                       struct problem *problem) {
    if (!header)
        return make_key(ret_key, problem);
    bool ok = header[0] != '\0';
    if (header[0] == '"') {
        ok = unquote(header, ret_key);
    } else {
        size_t length = strlen(header);
        ok = ok && length <= COMMAND_KEY_MAX;
        for (size_t i = 0; ok && i < length; i++)
            ok = header[i] > 0x20 && header[i] < 0x7F && header[i] != '"';
        if (ok)
            memcpy(ret_key, header, length + 1);
    }
    return ok || problem_set(problem, PROBLEM_INVALID_IDEMPOTENCY_KEY,
                             "Idempotency-Key takes 1 to %d printable ASCII characters, bare or in "
                             "double quotes",
                             COMMAND_KEY_MAX);
}

bool command_line_key(const struct jsonin *root, char ret_key[COMMAND_KEY_MAX + 1],
                      struct problem *problem) {
    struct body_part part;
    const char *key = NULL;
    size_t length = 0;
    if (!body_part_root(&part, root, problem) ||
        !body_part_string(&part, "idempotency_key", true, 1, COMMAND_KEY_MAX,
                          PROBLEM_INVALID_IDEMPOTENCY_KEY, &key, &length))
        return false;
    if (length > COMMAND_KEY_MAX)
        return problem_add(problem, PROBLEM_INVALID_IDEMPOTENCY_KEY, "idempotency_key",
                           "is to have at most %d bytes", COMMAND_KEY_MAX);
    memcpy(ret_key, key, length);
    ret_key[length] = '\0';
    return true;
}

// --- ids and encoding --------------------------------------------------------------------------

void command_check_shop(const struct command_context *context, const struct body_part *part) {
    const char *shop = NULL;
    size_t length = 0;
    if (body_part_string(part, "shop_id", false, OPENAPI_SHOP_ID_LENGTH_MIN,
                         OPENAPI_SHOP_ID_LENGTH_MAX, PROBLEM_INVALID_VALUE, &shop, &length) &&
        strcmp(shop, context->caller->shop_id) != 0)
        body_part_refuse(part, "shop_id", PROBLEM_WRONG_SHOP, "is not the shop of this API key");
}

struct id command_key_id(const struct command_context *context, enum record_id type,
                         const char *aggregate) {
    struct id_part parts[5];
    size_t count = 0;
    const char *shop = context->caller->shop_id;
    const char *customer = context->caller->customer_id;
    const char *kind = record_types[type]->name;
    parts[count++] = (struct id_part){shop, strlen(shop)};
    parts[count++] = (struct id_part){kind, strlen(kind)};
    if (aggregate)
        parts[count++] = (struct id_part){aggregate, strlen(aggregate)};
    parts[count++] = (struct id_part){context->idempotency_key, strlen(context->idempotency_key)};
    // Customers have keys of their own: nobody's is used up by another's, or by theirs the shop's.
    if (http_caller_is_customer(context->caller))
        parts[count++] = (struct id_part){customer, strlen(customer)};
    return id_hash(parts, count);
}

static bool too_large(struct problem *problem) {
    return problem_set(problem, PROBLEM_MESSAGE_TOO_LARGE, "a command has at most %d bytes",
                       COMMAND_BYTES_MAX);
}

bool command_content_id(enum record_id type, const void *record, const struct id *key_id,
                        const uint8_t *print, struct id *ret, struct problem *problem) {
    const struct record_type *kind = record_types[type];
    size_t size = kind->size_max(record);
    if (size > COMMAND_BYTES_MAX)
        return too_large(problem);
    uint8_t few[CONTENT_FEW] UNINITIALIZED; // most have no more
    uint8_t *bytes = size <= sizeof(few) ? few : malloc(size);
    if (!bytes)
        return problem_set(problem, PROBLEM_UNAVAILABLE, "out of memory");
    const uint8_t *end = kind->encode(bytes, bytes + size, record);
    assert(end);
    // Without the zeros at the end, among them nullable fields that are not there: so that a field
    // added to the schema later leaves a retry's id as it was. No content is another's beginning.
    while (end > bytes && end[-1] == 0)
        end--;
    *ret = id_hash((const struct id_part[]){{key_id->bytes, sizeof(key_id->bytes)},
                                            {bytes, (size_t)(end - bytes)},
                                            {print, SEAL_PRINT_LEN}},
                   print ? 3 : 2);
    if (bytes != few)
        free(bytes);
    return true;
}

bool command_encode(const struct command_context *context, const void *record,
                    struct command *command, struct problem *problem) {
    const struct record_type *kind = record_types[command->type];
    int32_t schema_id = schema_ids_of(context->ids, command->topic, command->type);
    assert(schema_id >= 0);
    size_t size = message_size_max(kind, record);
    if (size > COMMAND_BYTES_MAX)
        return too_large(problem);
    command->bytes = malloc(size);
    if (!command->bytes)
        return problem_set(problem, PROBLEM_UNAVAILABLE, "out of memory");
    const uint8_t *end =
        message_encode(schema_id, kind, record, command->bytes, command->bytes + size);
    assert(end);
    command->length = (size_t)(end - command->bytes);
    return true;
}

bool command_sku_valid(const char *sku, size_t length) {
    size_t characters = body_characters(sku, length);
    if (characters < OPENAPI_SKU_LENGTH_MIN || characters > OPENAPI_SKU_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)sku[i] < 0x20 || sku[i] == 0x7F || sku[i] == '/')
            return false;
    }
    return true;
}

// A missing body is an empty object.
static bool open_body(const struct command_context *context, const struct jsonin *root,
                      const char *const *fields, struct body_part *ret_part,
                      struct problem *problem) {
    if (!body_part_root(ret_part, root, problem))
        return false;
    body_part_allow(ret_part, fields);
    command_check_shop(context, ret_part);
    return true;
}

// --- about an order ----------------------------------------------------------------------------

// The fields that the three commands begin with, in the same place.
#define SAME_ORDER_FIELD(record, field)                                                            \
    (offsetof(struct record, field) == offsetof(struct deliver_order, field))
#define SAME_ORDER_HEAD(record)                                                                    \
    _Static_assert(SAME_ORDER_FIELD(record, command_id) && SAME_ORDER_FIELD(record, key_id) &&     \
                       SAME_ORDER_FIELD(record, shop_id) && SAME_ORDER_FIELD(record, order_id) &&  \
                       SAME_ORDER_FIELD(record, idempotency_key) &&                                \
                       SAME_ORDER_FIELD(record, received_at),                                      \
                   "commands about orders begin alike")
SAME_ORDER_HEAD(cancel_order);
SAME_ORDER_HEAD(dispatch_order);

union about_order {
    struct cancel_order cancel;
    struct dispatch_order dispatch;
    struct deliver_order head;
};

static void expect_version(union about_order *record, enum record_id type, int64_t version) {
    bool *has = type == RECORD_CANCEL_ORDER     ? &record->cancel.has_expected_version
                : type == RECORD_DISPATCH_ORDER ? &record->dispatch.has_expected_version
                                                : &record->head.has_expected_version;
    int64_t *expected = type == RECORD_CANCEL_ORDER     ? &record->cancel.expected_version
                        : type == RECORD_DISPATCH_ORDER ? &record->dispatch.expected_version
                                                        : &record->head.expected_version;
    *has = version != 0;
    *expected = version;
}

bool command_version_parse(const char *header, int64_t *ret, struct problem *problem) {
    *ret = 0;
    if (!header || strcmp(header, "*") == 0)
        return true;
    const char *digits = header + 1;
    size_t length = header[0] == '"' ? strspn(digits, "0123456789") : 0;
    if (length >= 1 && length <= 18 && digits[0] != '0' && strcmp(digits + length, "\"") == 0) {
        *ret = strtoll(digits, NULL, 10);
        return true;
    }
    return problem_set(problem, PROBLEM_INVALID_PARAMETER,
                       "If-Match is one version of the order as ETag tells it, such as \"3\"");
}

bool command_about_order(const struct command_context *context, enum record_id type,
                         const char *order_id, const struct jsonin *root, struct command *ret,
                         struct problem *problem) {
    static const char *const cancel_fields[] = {"reason", "shop_id", NULL};
    static const char *const other_fields[] = {"shop_id", NULL};
    union about_order record = {0};
    struct command command = {.topic = TOPIC_ORDERS_INBOX, .type = type};
    if (!id_parse(order_id, strlen(order_id), &command.order_id))
        return problem_set(problem, PROBLEM_INVALID_PARAMETER, "an order id is a UUID");
    struct id_text id = id_text(&command.order_id);
    struct body_part part;
    bool cancels = type == RECORD_CANCEL_ORDER;
    if (root) {
        if (!open_body(context, root, cancels ? cancel_fields : other_fields, &part, problem))
            return false;
        const char *reason = NULL;
        size_t length = 0;
        if (cancels &&
            body_part_string(&part, "reason", false, OPENAPI_TEXT_LENGTH_MIN,
                             OPENAPI_TEXT_LENGTH_MAX, PROBLEM_INVALID_VALUE, &reason, &length))
            record.cancel.reason = (struct view){reason, (uint32_t)length};
    }
    if (problem->type != PROBLEM_NONE)
        return false;

    record.head.shop_id = command_view(context->caller->shop_id);
    record.head.order_id = command.order_id;
    // The gateway does not know whose the order is: the order does.
    if (http_caller_is_customer(context->caller)) {
        assert(cancels && "customers' tokens are not taken by the other routes");
        record.cancel.customer_id = command_view(context->caller->customer_id);
    }
    record.head.idempotency_key = command_view(context->idempotency_key);
    expect_version(&record, type, context->expected_version);
    struct id key_id = command_key_id(context, type, id.text);
    if (!command_content_id(type, &record, &key_id, /* print= */ NULL, &command.command_id,
                            problem))
        return false;
    record.head.command_id = command.command_id;
    record.head.key_id = key_id;
    record.head.received_at = context->now_us;
    memcpy(command.key, id.text, ID_TEXT_LEN);
    command.key_len = ID_TEXT_LEN;
    if (!command_encode(context, &record, &command, problem))
        return false;
    *ret = command;
    return true;
}

// --- about a SKU -------------------------------------------------------------------------------

#define SAME_SKU_FIELD(record, field)                                                              \
    (offsetof(struct record, field) == offsetof(struct receive_stock, field))
#define SAME_SKU_HEAD(record)                                                                      \
    _Static_assert(SAME_SKU_FIELD(record, command_id) && SAME_SKU_FIELD(record, key_id) &&         \
                       SAME_SKU_FIELD(record, shop_id) && SAME_SKU_FIELD(record, sku) &&           \
                       SAME_SKU_FIELD(record, idempotency_key) &&                                  \
                       SAME_SKU_FIELD(record, received_at),                                        \
                   "commands about SKUs begin alike")
SAME_SKU_HEAD(set_product);
SAME_SKU_HEAD(adjust_stock);

union about_sku {
    struct set_product product;
    struct adjust_stock adjust;
    struct receive_stock head; // and the whole of itself
};

static void read_text(const struct body_part *part, const char *name, struct view *ret) {
    const char *text = NULL;
    size_t length = 0;
    if (body_part_string(part, name, true, OPENAPI_TEXT_LENGTH_MIN, OPENAPI_TEXT_LENGTH_MAX,
                         PROBLEM_INVALID_VALUE, &text, &length))
        *ret = (struct view){text, (uint32_t)length};
}

static void read_product(const struct body_part *part, struct set_product *ret) {
    const char *currency = NULL;
    size_t length = 0;
    read_text(part, "name", &ret->name);
    (void)body_part_int(part, "price_minor", true, OPENAPI_PRODUCT_PRICE_MINOR_MIN,
                        OPENAPI_PRODUCT_PRICE_MINOR_MAX, PROBLEM_INVALID_AMOUNT, &ret->price_minor);
    if (!body_part_string(part, "currency", true, CURRENCY_LEN, CURRENCY_LEN,
                          PROBLEM_UNKNOWN_CURRENCY, &currency, &length))
        return;
    if (money_currency_known(currency, length))
        ret->currency = (struct view){currency, (uint32_t)length};
    else
        body_part_refuse(part, "currency", PROBLEM_UNKNOWN_CURRENCY, "is not an ISO 4217 code");
}

static void read_adjustment(const struct body_part *part, struct adjust_stock *ret) {
    read_text(part, "reason", &ret->reason);
    if (body_part_int(part, "delta", true, OPENAPI_ADJUSTMENT_DELTA_MIN,
                      OPENAPI_ADJUSTMENT_DELTA_MAX, PROBLEM_INVALID_QUANTITY, &ret->delta) &&
        ret->delta == 0)
        body_part_refuse(part, "delta", PROBLEM_INVALID_QUANTITY, "is not to be 0");
}

static void read_sku_body(enum record_id type, const struct body_part *part, union about_sku *ret) {
    if (type == RECORD_SET_PRODUCT)
        read_product(part, &ret->product);
    else if (type == RECORD_ADJUST_STOCK)
        read_adjustment(part, &ret->adjust);
    else
        (void)body_part_int(part, "quantity", true, OPENAPI_RECEIPT_QUANTITY_MIN,
                            OPENAPI_RECEIPT_QUANTITY_MAX, PROBLEM_INVALID_QUANTITY,
                            &ret->head.quantity);
}

bool command_about_sku(const struct command_context *context, enum record_id type, const char *sku,
                       const struct jsonin *root, struct command *ret, struct problem *problem) {
    static const char *const product_fields[] = {"name", "price_minor", "currency", "shop_id",
                                                 NULL};
    static const char *const adjust_fields[] = {"delta", "reason", "shop_id", NULL};
    static const char *const receive_fields[] = {"quantity", "shop_id", NULL};
    union about_sku record = {0};
    struct command command = {.topic = TOPIC_INVENTORY_INBOX, .type = type};
    if (!command_sku_valid(sku, strlen(sku)))
        return problem_set(problem, PROBLEM_INVALID_PARAMETER,
                           "a SKU has from %d to %d characters, without '/'",
                           OPENAPI_SKU_LENGTH_MIN, OPENAPI_SKU_LENGTH_MAX);
    struct body_part part;
    if (!open_body(context, root,
                   type == RECORD_SET_PRODUCT    ? product_fields
                   : type == RECORD_ADJUST_STOCK ? adjust_fields
                                                 : receive_fields,
                   &part, problem))
        return false;
    read_sku_body(type, &part, &record);
    if (problem->type != PROBLEM_NONE)
        return false;

    record.head.shop_id = command_view(context->caller->shop_id);
    record.head.sku = command_view(sku);
    record.head.idempotency_key = command_view(context->idempotency_key);
    struct id key_id = command_key_id(context, type, sku);
    if (!command_content_id(type, &record, &key_id, /* print= */ NULL, &command.command_id,
                            problem))
        return false;
    record.head.command_id = command.command_id;
    record.head.key_id = key_id;
    record.head.received_at = context->now_us;
    command.key_len = topic_sku_key(record.head.shop_id.ptr, record.head.shop_id.len, sku,
                                    strlen(sku), command.key);
    if (!command_encode(context, &record, &command, problem))
        return false;
    *ret = command;
    return true;
}
