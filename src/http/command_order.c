// SPDX-License-Identifier: Apache-2.0
//
// The command that places an order: the one with lines, prices and a total. All fields are checked
// before anything is refused, so that a caller hears of everything at once; prices are looked up
// only for an order that is otherwise right.
#include "http/command.h"

#include "command_seal.h"
#include "domain/money.h"
#include "domain/order.h"
#include "http/personal.h"
#include "service/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static const char default_payment_method[] = "tok_ok";

enum { LINES_FEW = 8 }; // most orders have no more

// What the body says beside the record itself.
struct reading {
    struct place_order record; // lines: `few`, or owned
    bool *explicit_price;      // per line: `few_explicit`, or owned
    bool has_expected_total;
    int64_t expected_total_minor;
    bool has_address;
    struct jsonout address;        // owned; where has_address
    struct personal_sealed sealed; // owned; the same
    struct order_line few[LINES_FEW];
    bool few_explicit[LINES_FEW];
};

static void read_name(const struct body_part *part, const char *name, bool required,
                      struct view *ret) {
    const char *text = NULL;
    size_t length = 0;
    if (body_part_string(part, name, required, OPENAPI_NAME_LENGTH_MIN, OPENAPI_NAME_LENGTH_MAX,
                         PROBLEM_INVALID_VALUE, &text, &length))
        *ret = (struct view){text, (uint32_t)length};
}

// A customer orders for nobody else, and need not say for whom.
static void read_customer(const struct http_caller *caller, const struct body_part *part,
                          struct view *ret) {
    bool is_customer = http_caller_is_customer(caller);
    read_name(part, "customer_id", !is_customer, ret);
    if (!is_customer)
        return;
    struct view own = command_view(caller->customer_id);
    if (ret->ptr && (ret->len != own.len || memcmp(ret->ptr, own.ptr, own.len) != 0))
        body_part_refuse(part, "customer_id", PROBLEM_FORBIDDEN,
                         "is not the customer of this token");
    *ret = own;
}

static void read_currency(const struct body_part *part, struct view *ret) {
    const char *text = NULL;
    size_t length = 0;
    if (!body_part_string(part, "currency", true, CURRENCY_LEN, CURRENCY_LEN,
                          PROBLEM_UNKNOWN_CURRENCY, &text, &length))
        return;
    if (money_currency_known(text, length))
        *ret = (struct view){text, (uint32_t)length};
    else
        body_part_refuse(part, "currency", PROBLEM_UNKNOWN_CURRENCY, "is not an ISO 4217 code");
}

static void read_time(const struct body_part *part, struct place_order *record) {
    const char *text = NULL;
    size_t length = 0;
    if (!body_part_string(part, "ordered_at", false, OPENAPI_ORDER_ORDERED_AT_LENGTH_MIN,
                          OPENAPI_ORDER_ORDERED_AT_LENGTH_MAX, PROBLEM_INVALID_VALUE, &text,
                          &length))
        return;
    record->has_ordered_at = clock_parse_us(text, &record->ordered_at);
    if (!record->has_ordered_at)
        body_part_refuse(part, "ordered_at", PROBLEM_INVALID_VALUE,
                         "is to be a time like 2026-01-31T12:34:56Z");
}

// Whose address it is must be somebody who may have personal data.
static void read_address(const struct body_part *part, struct reading *reading) {
    struct body_part address;
    const struct view *customer = &reading->record.customer_id;
    if (!body_part_object(part, "shipping_address", false, &address))
        return;
    reading->has_address = true;
    personal_read_address(&address, &reading->address);
    if (customer->ptr && !customer_id_valid(customer->ptr, customer->len))
        body_part_refuse(part, "customer_id", PROBLEM_INVALID_VALUE,
                         "is not to hold a '/' where there is a shipping_address");
}

static void read_amount(const struct body_part *part, const char *name, int64_t *ret) {
    (void)body_part_int(part, name, false, OPENAPI_OPTIONAL_AMOUNT_MIN, OPENAPI_OPTIONAL_AMOUNT_MAX,
                        PROBLEM_INVALID_AMOUNT, ret);
}

static void read_line(const struct command_context *context, const struct body_part *line,
                      struct order_line *ret, bool *ret_explicit) {
    static const char *const fields[] = {"sku", "quantity", "unit_price_minor", NULL};
    const char *sku = NULL;
    size_t length = 0;
    body_part_allow(line, fields);
    if (body_part_string(line, "sku", true, OPENAPI_SKU_LENGTH_MIN, OPENAPI_SKU_LENGTH_MAX,
                         PROBLEM_INVALID_VALUE, &sku, &length)) {
        ret->sku = (struct view){sku, (uint32_t)length};
        if (!command_sku_valid(sku, length))
            body_part_refuse(line, "sku", PROBLEM_INVALID_VALUE, "is not to hold a '/'");
    }
    (void)body_part_int(line, "quantity", true, OPENAPI_ORDER_LINE_QUANTITY_MIN,
                        OPENAPI_ORDER_LINE_QUANTITY_MAX, PROBLEM_INVALID_QUANTITY, &ret->quantity);
    *ret_explicit = body_part_int(
        line, "unit_price_minor", false, OPENAPI_ORDER_LINE_UNIT_PRICE_MINOR_MIN,
        OPENAPI_ORDER_LINE_UNIT_PRICE_MINOR_MAX, PROBLEM_INVALID_AMOUNT, &ret->unit_price_minor);
    if (*ret_explicit && !(context->caller->scopes & SCOPE_ORDERS_IMPORT))
        body_part_refuse(line, "unit_price_minor", PROBLEM_FORBIDDEN,
                         "is for callers with the scope orders:import");
}

static bool read_lines(const struct command_context *context, const struct body_part *part,
                       struct reading *reading) {
    const struct jsonin *array = NULL;
    if (!body_part_array(part, "lines", true, &array))
        return true;
    size_t count = array->length;
    if (count < OPENAPI_ORDER_LINES_ITEMS_MIN)
        body_part_refuse(part, "lines", PROBLEM_NO_LINES, "is empty");
    if (count > COMMAND_LINES_MAX)
        body_part_refuse(part, "lines", PROBLEM_TOO_MANY_LINES,
                         "has %zu lines, at most %d are taken", count, COMMAND_LINES_MAX);
    if (count == 0 || count > COMMAND_LINES_MAX)
        return true;
    const bool are_few = count <= LINES_FEW;
    reading->record.lines = are_few ? reading->few : calloc(count, sizeof(*reading->record.lines));
    reading->explicit_price =
        are_few ? reading->few_explicit : calloc(count, sizeof(*reading->explicit_price));
    if (!reading->record.lines || !reading->explicit_price)
        return problem_set(part->problem, PROBLEM_UNAVAILABLE, "out of memory");
    reading->record.lines_count = (uint32_t)count;
    size_t i = 0;
    for (const struct jsonin *item = array->first; item; item = item->next, i++) {
        struct body_part line;
        if (body_part_item(part, "lines", item, i, &line))
            read_line(context, &line, &reading->record.lines[i], &reading->explicit_price[i]);
    }
    return true;
}

// The last one only in lines of a batch.
static const char *const line_fields[] = {
    "customer_id",     "currency", "payment_method",       "reference",
    "ordered_at",      "lines",    "discount_minor",       "shipping_minor",
    "tax_minor",       "shop_id",  "expected_total_minor", "shipping_address",
    "idempotency_key", NULL,
};
enum { LINE_FIELDS = sizeof(line_fields) / sizeof(line_fields[0]) };

static void allow_fields(const struct command_context *context, const struct body_part *part) {
    const char *fields[LINE_FIELDS];
    memcpy(fields, line_fields, sizeof(line_fields));
    if (!context->key_in_body)
        fields[LINE_FIELDS - 2] = NULL;
    body_part_allow(part, fields);
}

static bool read_order(const struct command_context *context, const struct jsonin *root,
                       struct reading *reading, struct problem *problem) {
    struct place_order *record = &reading->record;
    struct body_part part;
    if (!body_part_root(&part, root, problem))
        return false;
    allow_fields(context, &part);
    command_check_shop(context, &part);
    read_customer(context->caller, &part, &record->customer_id);
    read_currency(&part, &record->currency);
    record->payment_method = command_view(default_payment_method);
    read_name(&part, "payment_method", false, &record->payment_method);
    read_name(&part, "reference", false, &record->reference);
    read_time(&part, record);
    read_address(&part, reading);
    if (!read_lines(context, &part, reading))
        return false;
    read_amount(&part, "discount_minor", &record->discount_minor);
    read_amount(&part, "shipping_minor", &record->shipping_minor);
    read_amount(&part, "tax_minor", &record->tax_minor);
    reading->has_expected_total = body_part_int(
        &part, "expected_total_minor", false, OPENAPI_OPTIONAL_AMOUNT_MIN,
        OPENAPI_OPTIONAL_AMOUNT_MAX, PROBLEM_INVALID_AMOUNT, &reading->expected_total_minor);
    return problem->type == PROBLEM_NONE;
}

// --- prices ------------------------------------------------------------------------------------

static void refuse_line(struct problem *problem, size_t index, const char *name,
                        enum problem_type type, const char *detail) {
    char field[PROBLEM_FIELD_MAX];
    (void)snprintf(field, sizeof(field), "lines[%zu].%s", index, name);
    (void)problem_add(problem, type, field, "%s", detail);
}

static bool price_lines(const struct command_context *context, struct reading *reading,
                        struct problem *problem) {
    const struct command_prices *prices = context->prices;
    const char *shop = context->caller->shop_id;
    for (uint32_t i = 0; i < reading->record.lines_count; i++) {
        struct order_line *line = &reading->record.lines[i];
        struct catalogue_price price;
        if (reading->explicit_price[i])
            continue;
        if (!prices->fresh) {
            problem->retry_after_s = 2;
            return problem_set(problem, PROBLEM_CATALOGUE_STALE,
                               "the catalogue has not been complete for too long");
        }
        if (!prices->find(prices->state, shop, strlen(shop), line->sku.ptr, line->sku.len,
                          &price)) {
            refuse_line(problem, i, "sku", PROBLEM_UNKNOWN_SKU, "is not in the catalogue");
        } else if (memcmp(price.currency, reading->record.currency.ptr, CURRENCY_LEN) != 0) {
            refuse_line(problem, i, "sku", PROBLEM_CURRENCY_DIFFERS,
                        "is not sold in the order's currency");
        } else {
            line->unit_price_minor = price.price_minor;
            line->has_price_version = true;
            line->price_version = price.price_version;
        }
    }
    return problem->type == PROBLEM_NONE;
}

static bool check_total(const struct reading *reading, struct problem *problem) {
    const struct place_order *record = &reading->record;
    struct order_amounts amounts;
    const char *reason = NULL;
    int32_t line = -1;
    if (!order_amounts(record->lines, record->lines_count, record->discount_minor,
                       record->shipping_minor, record->tax_minor, &amounts, &reason, &line)) {
        struct order_amounts without;
        const char *ignored = NULL;
        int32_t ignored_line = -1;
        if (order_amounts(record->lines, record->lines_count, 0, record->shipping_minor,
                          record->tax_minor, &without, &ignored, &ignored_line))
            return problem_add(problem, PROBLEM_INVALID_AMOUNT, "discount_minor", "%s", reason);
        if (line < 0)
            return problem_add(problem, PROBLEM_TOTAL_OVERFLOW, "", "%s", reason);
        refuse_line(problem, (size_t)line, "quantity", PROBLEM_TOTAL_OVERFLOW, reason);
        return false;
    }
    if (reading->has_expected_total && reading->expected_total_minor != amounts.total_minor)
        return problem_add(problem, PROBLEM_TOTAL_DIFFERS, "expected_total_minor",
                           "the total is %" PRId64, amounts.total_minor);
    return true;
}

// --- all together ------------------------------------------------------------------------------

static bool seal_address(const struct command_context *context, const struct id *order_id,
                         struct reading *reading, struct problem *problem) {
    return !reading->has_address ||
           personal_seal(context, personal_of_order, reading->record.customer_id, order_id,
                         &reading->address, &reading->sealed, problem);
}

static bool build(const struct command_context *context, const struct jsonin *root,
                  struct reading *reading, struct command *command, struct problem *problem) {
    struct place_order *record = &reading->record;
    if (!read_order(context, root, reading, problem))
        return false;
    struct id key_id = command_key_id(context, RECORD_PLACE_ORDER, NULL);
    command->order_id = key_id;
    record->shop_id = command_view(context->caller->shop_id);
    record->order_id = key_id;
    record->idempotency_key = command_view(context->idempotency_key);
    if (!seal_address(context, &key_id, reading, problem))
        return false;
    // Before prices: a retry has the same id also when the catalogue has changed in between. And
    // without the address as it is sealed, which is another each time.
    const uint8_t *print = reading->has_address ? reading->sealed.print : NULL;
    if (!command_content_id(RECORD_PLACE_ORDER, record, &key_id, print, &command->command_id,
                            problem) ||
        !price_lines(context, reading, problem) || !check_total(reading, problem))
        return false;
    record->command_id = command->command_id;
    record->key_id = key_id;
    record->received_at = context->now_us;
    record->has_shipping_address = reading->has_address;
    if (reading->has_address)
        record->shipping_address = reading->sealed.record;
    id_format(&command->order_id, command->key);
    command->key_len = ID_TEXT_LEN;
    return command_encode(context, record, command, problem);
}

bool command_place_order(const struct command_context *context, const struct jsonin *root,
                         struct command *ret, struct problem *problem) {
    struct reading reading = {0};
    struct command command = {.topic = TOPIC_ORDERS_INBOX, .type = RECORD_PLACE_ORDER};
    assert(problem->type == PROBLEM_NONE);
    bool ok = build(context, root, &reading, &command, problem);
    if (reading.record.lines != reading.few)
        free(reading.record.lines);
    if (reading.explicit_price != reading.few_explicit)
        free(reading.explicit_price);
    if (reading.has_address) {
        seal_forget(reading.address.bytes, reading.address.length);
        jsonout_done(&reading.address);
        personal_sealed_done(&reading.sealed);
    }
    if (ok)
        *ret = command;
    return ok;
}
