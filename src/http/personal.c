// SPDX-License-Identifier: Apache-2.0
#include "http/personal.h"

#include "http/openapi_limits.h"

#include <stdlib.h>
#include <string.h>

enum { PAD = 64 };

const char personal_of_customer[] = "customer";
const char personal_of_order[] = "order.shipping_address";

// --- what there is to say about a person -------------------------------------------------------

// Absent and null are the same: neither is written.
static void read_text(const struct body_part *part, const char *name, bool required, size_t max,
                      struct jsonout *out) {
    const char *text = NULL;
    size_t length = 0;
    if (body_part_string(part, name, required, 1, max, PROBLEM_INVALID_VALUE, &text, &length))
        jsonout_string_n(out, name, text, length);
}

static void read_country(const struct body_part *part, struct jsonout *out) {
    const char *text = NULL;
    size_t length = 0;
    if (!body_part_string(part, "country", true, 2, 2, PROBLEM_INVALID_VALUE, &text, &length))
        return;
    if (text[0] < 'A' || text[0] > 'Z' || text[1] < 'A' || text[1] > 'Z')
        body_part_refuse(part, "country", PROBLEM_INVALID_VALUE,
                         "is to be two capital letters of ISO 3166, such as DE");
    jsonout_string_n(out, "country", text, length);
}

void personal_read_address(const struct body_part *address, struct jsonout *out) {
    static const char *const fields[] = {"name",        "line1",   "line2", "city", "region",
                                         "postal_code", "country", "phone", NULL};
    body_part_allow(address, fields);
    jsonout_object_begin(out, NULL);
    read_text(address, "name", false, OPENAPI_PERSON_NAME_LENGTH_MAX, out);
    read_text(address, "line1", true, OPENAPI_ADDRESS_LINE_LENGTH_MAX, out);
    read_text(address, "line2", false, OPENAPI_ADDRESS_LINE_LENGTH_MAX, out);
    read_text(address, "city", true, OPENAPI_ADDRESS_LINE_LENGTH_MAX, out);
    read_text(address, "region", false, OPENAPI_ADDRESS_LINE_LENGTH_MAX, out);
    read_text(address, "postal_code", false, OPENAPI_ADDRESS_CODE_LENGTH_MAX, out);
    read_country(address, out);
    read_text(address, "phone", false, OPENAPI_ADDRESS_CODE_LENGTH_MAX, out);
    jsonout_object_end(out);
}

// What no address can be without; whether mail arrives only mail can tell (RFC 5321).
static void read_email(const struct body_part *root, struct jsonout *out) {
    const char *text = NULL;
    size_t length = 0;
    if (!body_part_string(root, "email", false, OPENAPI_EMAIL_LENGTH_MIN, OPENAPI_EMAIL_LENGTH_MAX,
                          PROBLEM_INVALID_VALUE, &text, &length))
        return;
    const char *at = memrchr(text, '@', length);
    if (!at || at == text || at + 1 == text + length || memchr(text, ' ', length))
        body_part_refuse(root, "email", PROBLEM_INVALID_VALUE, "is to be like name@example.org");
    jsonout_string_n(out, "email", text, length);
}

static void read_addresses(const struct body_part *root, struct jsonout *out) {
    const struct jsonin *array = NULL;
    jsonout_array_begin(out, "addresses");
    if (body_part_array(root, "addresses", false, &array)) {
        if (array->length > OPENAPI_CUSTOMER_ADDRESSES_ITEMS_MAX)
            body_part_refuse(root, "addresses", PROBLEM_INVALID_VALUE,
                             "has %u items, at most %d are taken", array->length,
                             OPENAPI_CUSTOMER_ADDRESSES_ITEMS_MAX);
        size_t i = 0;
        for (const struct jsonin *item = array->first;
             item && i < OPENAPI_CUSTOMER_ADDRESSES_ITEMS_MAX; item = item->next, i++) {
            struct body_part address;
            if (body_part_item(root, "addresses", item, i, &address))
                personal_read_address(&address, out);
        }
    }
    jsonout_array_end(out);
}

void personal_read_customer(const struct body_part *root, struct jsonout *out) {
    jsonout_object_begin(out, NULL);
    read_text(root, "name", true, OPENAPI_PERSON_NAME_LENGTH_MAX, out);
    read_email(root, out);
    read_addresses(root, out);
    jsonout_object_end(out);
}

// --- sealing -----------------------------------------------------------------------------------

static struct seal_place place_of(const char *kind, const char *shop, struct view customer,
                                  const struct id *subject) {
    return (struct seal_place){.kind = kind,
                               .shop = {shop, (uint32_t)strlen(shop)},
                               .customer = customer,
                               .subject = subject ? *subject : (struct id){{0}}};
}

static bool are_fresh(const struct customer_keys_view *people) {
    return customer_keys_age_ms(people->keys) <= people->keys_age_ms_max;
}

static bool unavailable(struct problem *problem, const char *why) {
    problem->retry_after_s = 5;
    return problem_set(problem, PROBLEM_PERSONAL_DATA_UNAVAILABLE, "%s", why);
}

// The customer's current key. False: the problem says why, or that one is wanted.
static bool find_key(const struct command_context *context, struct view customer,
                     struct customer_keys_found *ret, struct problem *problem) {
    const struct customer_keys_view *people = context->people;
    if (!people || !people->keys)
        return unavailable(problem, "customers.master.key.file is not set here");
    if (!are_fresh(people))
        return unavailable(problem, "the keys of customers are not known to be current");
    switch (customer_keys_current(people->keys, context->caller->shop_id, customer.ptr,
                                  customer.len, ret)) {
    case CUSTOMER_KEYS_FOUND:
        return true;
    case CUSTOMER_KEYS_ERASED:
        return problem_set(problem, PROBLEM_CUSTOMER_ERASED,
                           "an erased customer's id is not used again: take another");
    case CUSTOMER_KEYS_LOCKED:
        return unavailable(problem, "the customer's key is sealed with a master key that is not in "
                                    "customers.master.key.file");
    case CUSTOMER_KEYS_NONE:
        break;
    }
    context->wants_key->wanted = true;
    memcpy(context->wants_key->customer_id, customer.ptr, customer.len);
    context->wants_key->customer_id[customer.len] = '\0';
    return false;
}

static bool seal_padded(const struct customer_keys_found *found, const struct seal_place *place,
                        const struct jsonout *text, struct personal_sealed *ret) {
    const size_t padded = (text->length + PAD - 1) / PAD * PAD;
    uint8_t *plain = malloc(padded);
    ret->bytes = malloc(padded + SEAL_TAG_LEN);
    bool ok = plain && ret->bytes;
    if (ok) {
        memset(plain, ' ', padded);
        memcpy(plain, text->bytes, text->length);
        ok = seal_print(&found->key, place, text->bytes, text->length, ret->print) &&
             seal_close(&found->key, place, plain, padded, ret->nonce, ret->bytes);
        seal_forget(plain, padded);
    }
    free(plain);
    ret->record = (struct personal){
        .key_id = found->id,
        .nonce = {(const char *)ret->nonce, SEAL_NONCE_LEN},
        .ciphertext = {(const char *)ret->bytes, (uint32_t)(padded + SEAL_TAG_LEN)},
    };
    ret->key_created_at = found->created_at;
    return ok;
}

bool personal_seal(const struct command_context *context, const char *kind, struct view customer,
                   const struct id *subject, const struct jsonout *text,
                   struct personal_sealed *ret, struct problem *problem) {
    struct customer_keys_found found;
    *ret = (struct personal_sealed){.bytes = NULL};
    if (text->failed)
        return problem_set(problem, PROBLEM_UNAVAILABLE, "out of memory");
    if (!find_key(context, customer, &found, problem))
        return false;
    const struct seal_place place = place_of(kind, context->caller->shop_id, customer, subject);
    bool ok = seal_padded(&found, &place, text, ret);
    seal_forget(&found, sizeof(found));
    if (ok)
        return true;
    personal_sealed_done(ret);
    return unavailable(problem, "it could not be sealed");
}

void personal_sealed_done(struct personal_sealed *sealed) {
    free(sealed->bytes);
    sealed->bytes = NULL;
}

// --- opening -----------------------------------------------------------------------------------

enum personal_state personal_open(const struct customer_keys_view *people, const char *shop,
                                  struct view customer, const char *kind, const struct id *subject,
                                  const struct personal *sealed, char **ret, size_t *ret_length) {
    struct seal_key key;
    if (!people->keys || !are_fresh(people))
        return PERSONAL_UNAVAILABLE;
    switch (
        customer_keys_find(people->keys, shop, customer.ptr, customer.len, &sealed->key_id, &key)) {
    case CUSTOMER_KEYS_FOUND:
        break;
    case CUSTOMER_KEYS_ERASED:
        return PERSONAL_ERASED;
    case CUSTOMER_KEYS_NONE: // made this moment: the fold is a little behind
    case CUSTOMER_KEYS_LOCKED:
        return PERSONAL_UNAVAILABLE;
    }
    const struct seal_place place = place_of(kind, shop, customer, subject);
    size_t length =
        sealed->ciphertext.len > SEAL_TAG_LEN ? sealed->ciphertext.len - SEAL_TAG_LEN : 0;
    char *text = malloc(length + 1);
    bool ok = text && seal_open(&key, &place, sealed->nonce, sealed->ciphertext, (uint8_t *)text);
    seal_forget(&key, sizeof(key));
    if (!ok) {
        free(text);
        return PERSONAL_UNAVAILABLE;
    }
    while (length > 0 && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
    *ret = text;
    *ret_length = length;
    return PERSONAL_OPEN;
}
