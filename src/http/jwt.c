// SPDX-License-Identifier: Apache-2.0
//
// What is cheap is checked before the signature, so that a token of another issuer, or one that is
// over, costs no elliptic curve; nothing that is read before the signature is believed.
#include "http/jwt.h"

#include "event/id.h"
#include "http/jsonin.h"
#include "http/scope.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SIGNATURE_BYTES_MAX = 1024, PARSE_BYTES_MAX = 64 * JWT_BYTES_MAX };

// Seconds from 1970 to the year 9999: what a clock can say.
#define TIME_S_MAX INT64_C(253402300800)

struct part {
    const char *text;
    size_t length;
};

struct reading {
    const struct jwt_rules *rules;
    struct arena arena;
    struct part parts[3]; // header, claims, signature; base64url
    const struct jsonin *header;
    const struct jsonin *claims;
    const char *why;
};

static bool refuse(struct reading *reading, const char *why) {
    reading->why = why;
    return false;
}

// --- form --------------------------------------------------------------------------------------

static bool split(struct reading *reading, const char *token, size_t length) {
    const char *end = token + length;
    if (length > JWT_BYTES_MAX)
        return refuse(reading, "the token is too long");
    for (size_t i = 0; i < 3; i++) {
        const char *dot = i < 2 ? memchr(token, '.', (size_t)(end - token)) : end;
        if (!dot)
            return refuse(reading, "the token does not have three parts");
        reading->parts[i] = (struct part){token, (size_t)(dot - token)};
        token = dot + (i < 2);
    }
    return true;
}

static const struct jsonin *read_object(struct reading *reading, const struct part *part) {
    struct jsonin_error ignored;
    size_t length = 0;
    uint8_t *bytes = arena_alloc(&reading->arena, part->length + 1);
    if (!bytes || !jwks_base64url(part->text, part->length, bytes, part->length, &length))
        return NULL;
    const struct jsonin *root = jsonin_read(&reading->arena, (const char *)bytes, length, &ignored);
    return root && root->kind == JSONIN_OBJECT ? root : NULL;
}

static const struct jsonin *text_member(const struct jsonin *object, const char *name) {
    const struct jsonin *member = jsonin_member(object, name);
    return member && member->kind == JSONIN_STRING ? member : NULL;
}

static bool check_type(struct reading *reading) {
    const struct jsonin *type = jsonin_member(reading->header, "typ");
    if (!type)
        return true;
    if (type->kind != JSONIN_STRING)
        return refuse(reading, "the token's typ is not text");
    const char *text = type->text;
    text += strncasecmp(text, "application/", 12) == 0 ? 12 : 0;
    return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0 ||
           refuse(reading, "the token's typ is neither JWT nor at+jwt");
}

// The key that the token names, if the token claims the algorithm that is the key's.
static const struct jwks_key *find_key(struct reading *reading, const struct jwks *keys) {
    const struct jsonin *kid = text_member(reading->header, "kid");
    const struct jsonin *algorithm = text_member(reading->header, "alg");
    if (!kid || !algorithm) {
        (void)refuse(reading, "the token's header lacks alg or kid");
        return NULL;
    }
    const struct jwks_key *key = jwks_find(keys, kid->text, kid->length);
    if (!key) {
        (void)refuse(reading, "the token's kid is not one of the issuer's keys");
        return NULL;
    }
    if (strcmp(algorithm->text, jwks_algorithm(key)) != 0) {
        (void)refuse(reading, "the token's alg is not that of its key");
        return NULL;
    }
    return key;
}

static bool check_signature(struct reading *reading, const struct jwks_key *key) {
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t length = 0;
    const struct part *last = &reading->parts[2];
    const char *signed_text = reading->parts[0].text;
    size_t signed_length = (size_t)(last->text - 1 - signed_text);
    if (!jwks_base64url(last->text, last->length, signature, sizeof(signature), &length))
        return refuse(reading, "the token's signature is not base64url");
    return jwks_verify(key, signature, length, signed_text, signed_length) ||
           refuse(reading, "the token's signature is wrong");
}

// --- claims ------------------------------------------------------------------------------------

static bool check_issuer(struct reading *reading) {
    const struct jsonin *issuer = text_member(reading->claims, "iss");
    return (issuer && strcmp(issuer->text, reading->rules->issuer) == 0) ||
           refuse(reading, "the token is of another issuer (iss)");
}

static bool check_audience(struct reading *reading) {
    const struct jsonin *audience = jsonin_member(reading->claims, "aud");
    const struct jsonin *one = audience && audience->kind == JSONIN_ARRAY ? audience->first : NULL;
    if (audience && audience->kind == JSONIN_STRING &&
        strcmp(audience->text, reading->rules->audience) == 0)
        return true;
    for (; one; one = one->next) {
        if (one->kind == JSONIN_STRING && strcmp(one->text, reading->rules->audience) == 0)
            return true;
    }
    return refuse(reading, "the token is for somebody else (aud)");
}

static bool read_time(const struct jsonin *claim, int64_t *ret) {
    if (!claim || claim->kind != JSONIN_INTEGER || claim->integer < 0 ||
        claim->integer > TIME_S_MAX)
        return false;
    *ret = claim->integer;
    return true;
}

static bool check_times(struct reading *reading, int64_t now_s, struct jwt_identity *ret) {
    const struct jsonin *not_before = jsonin_member(reading->claims, "nbf");
    int64_t from_s = 0;
    int64_t until_s = 0;
    if (!read_time(jsonin_member(reading->claims, "exp"), &until_s))
        return refuse(reading, "the token does not say until when it is good (exp, whole seconds)");
    if (not_before && !read_time(not_before, &from_s))
        return refuse(reading, "the token's nbf is no time in whole seconds");
    ret->from_s = from_s - reading->rules->leeway_s;
    ret->caller.until_s = until_s + reading->rules->leeway_s;
    if (now_s >= ret->caller.until_s)
        return refuse(reading, "the token has expired");
    return now_s >= ret->from_s || refuse(reading, "the token is not good yet (nbf)");
}

static int scopes_in_text(const char *text) {
    int scopes = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        scopes |= scopes_of_word(text, length);
        text += length;
        text += strspn(text, " ");
    }
    return scopes;
}

// RFC 9068: scope is a text; some issuers give a list, in scope or scp.
static int read_scopes(const struct jsonin *claims) {
    const struct jsonin *scope = jsonin_member(claims, "scope");
    int scopes = 0;
    if (!scope)
        scope = jsonin_member(claims, "scp");
    if (scope && scope->kind == JSONIN_STRING)
        return scopes_in_text(scope->text);
    for (const struct jsonin *one = scope && scope->kind == JSONIN_ARRAY ? scope->first : NULL; one;
         one = one->next) {
        if (one->kind == JSONIN_STRING)
            scopes |= scopes_of_word(one->text, one->length);
    }
    return scopes;
}

// A short text, or false.
static bool copy_text(const struct jsonin *claim, char *ret, size_t size) {
    if (claim->kind != JSONIN_STRING || claim->length < 1 || claim->length >= size)
        return false;
    memcpy(ret, claim->text, claim->length + 1);
    return true;
}

static void name_caller(const struct jsonin *claims, struct http_caller *caller) {
    const struct jsonin *subject = text_member(claims, "sub");
    const struct id_part parts[] = {{subject ? subject->text : "", subject ? subject->length : 0},
                                    {caller->customer_id, strlen(caller->customer_id)}};
    const struct id hash = id_hash(parts, 2);
    (void)snprintf(caller->key_id, sizeof(caller->key_id), "jwt:%s", id_text(&hash).text);
}

static bool read_caller(struct reading *reading, struct http_caller *ret) {
    const struct jsonin *shop = jsonin_member(reading->claims, reading->rules->shop_claim);
    const struct jsonin *customer = jsonin_member(reading->claims, reading->rules->customer_claim);
    if (!shop || !copy_text(shop, ret->shop_id, sizeof(ret->shop_id)))
        return refuse(reading, "the token names no shop of 1 to 64 bytes");
    // Never the whole shop for a customer whose name cannot be read.
    if (customer && !copy_text(customer, ret->customer_id, sizeof(ret->customer_id)))
        return refuse(reading, "the token's customer is no text of 1 to 64 bytes");
    ret->scopes = read_scopes(reading->claims);
    if (customer)
        ret->scopes &= SCOPES_OF_CUSTOMERS;
    name_caller(reading->claims, ret);
    return true;
}

// --- all together ------------------------------------------------------------------------------

static bool verify(struct reading *reading, const struct jwks *keys, const char *token,
                   size_t length, int64_t now_s, struct jwt_identity *ret) {
    if (!split(reading, token, length))
        return false;
    reading->header = read_object(reading, &reading->parts[0]);
    if (!reading->header)
        return refuse(reading, "the token's header is no JSON object in base64url");
    if (jsonin_member(reading->header, "crit"))
        return refuse(reading, "the token wants extensions that are not known here (crit)");
    const struct jwks_key *key = check_type(reading) ? find_key(reading, keys) : NULL;
    if (!key)
        return false;
    reading->claims = read_object(reading, &reading->parts[1]);
    if (!reading->claims)
        return refuse(reading, "the token's claims are no JSON object in base64url");
    return check_issuer(reading) && check_audience(reading) && check_times(reading, now_s, ret) &&
           check_signature(reading, key) && read_caller(reading, &ret->caller);
}

bool jwt_verify(const struct jwks *keys, const struct jwt_rules *rules, const char *token,
                size_t length, int64_t now_s, struct jwt_identity *ret, const char **ret_why) {
    struct reading reading = {.rules = rules};
    arena_init(&reading.arena, PARSE_BYTES_MAX);
    *ret = (struct jwt_identity){0};
    bool ok = verify(&reading, keys, token, length, now_s, ret);
    arena_done(&reading.arena);
    *ret_why = reading.why;
    return ok;
}
