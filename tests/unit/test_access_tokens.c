// SPDX-License-Identifier: Apache-2.0
//
// The file of keys while tokens come in: it changes, it breaks, and what is remembered follows it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/access_tokens.h"
#include "http/scope.h"
#include "service/clock.h"

#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 4096, DEADLINE_MS = 10000 };

static char path[] = "/tmp/test_access_tokens.XXXXXX";
static EVP_PKEY *keys[2];
static struct access_tokens *tokens;
static struct http_access access_;
static struct config config;

static void encode(const void *bytes, size_t length, char *ret) {
    size_t padded = (size_t)EVP_EncodeBlock((uint8_t *)ret, bytes, (int)length);
    while (padded > 0 && ret[padded - 1] == '=')
        padded--;
    ret[padded] = '\0';
    for (char *at = ret; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

static void write_file(const char *text) {
    char next[sizeof(path) + 8];
    (void)snprintf(next, sizeof(next), "%s.new", path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, path), 0);
}

static void write_keys(const EVP_PKEY *key) {
    uint8_t raw[32];
    char x[64], text[256];
    size_t length = sizeof(raw);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &length), 1);
    encode(raw, length, x);
    (void)snprintf(text, sizeof(text),
                   "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"%s\"}]}",
                   x);
    write_file(text);
}

static void make_token(EVP_PKEY *key, int64_t good_for_s, const char *subject, char *ret) {
    char claims[512], part[TEXT_MAX];
    uint8_t signature[64];
    size_t length = sizeof(signature);
    (void)snprintf(
        claims, sizeof(claims),
        "{\"iss\":\"i\",\"aud\":\"a\",\"shop\":\"main\",\"sub\":\"%s\",\"scope\":\"ops\","
        "\"exp\":%lld}",
        subject, (long long)(clock_now_us() / 1000000 + good_for_s));
    static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"k\"}";
    encode(header, strlen(header), ret);
    strcat(ret, ".");
    encode(claims, strlen(claims), part);
    strcat(ret, part);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &length, (const uint8_t *)ret, strlen(ret)),
                     1);
    EVP_MD_CTX_free(context);
    encode(signature, length, part);
    strcat(ret, ".");
    strcat(ret, part);
}

static bool is_taken(const char *token) {
    struct http_caller caller = {.scopes = 0};
    const char *why = NULL;
    bool taken = access_.verify(access_.verify_state, token, strlen(token), &caller, &why);
    assert_true(taken ? caller.scopes == SCOPE_OPS && strcmp(caller.shop_id, "main") == 0
                      : why != NULL);
    return taken;
}

static void await(const char *token, bool taken) {
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (is_taken(token) != taken) {
        if (clock_monotonic_ms() > deadline_ms)
            fail_msg("not %s in time", taken ? "taken" : "refused");
        (void)poll(NULL, 0, 5);
    }
}

static int begin(void **state) {
    (void)state;
    struct error err = {0};
    config = (struct config){.jwt_jwks = path,
                             .jwt_issuer = "i",
                             .jwt_audience = "a",
                             .jwt_claim_shop = "shop",
                             .jwt_claim_customer = "customer",
                             .jwt_remembered_max = 8};
    write_keys(keys[0]);
    access_ = (struct http_access){0};
    if (!access_tokens_start(&config, &tokens, &err))
        fail_msg("%s", err.msg);
    access_tokens_add(tokens, &access_);
    return 0;
}

static int end(void **state) {
    (void)state;
    access_tokens_stop(tokens);
    return 0;
}

// Tokens that were remembered, too.
static void a_change_of_keys_counts_within_a_second(void **state) {
    (void)state;
    char first[TEXT_MAX], second[TEXT_MAX];
    make_token(keys[0], 3600, "s", first);
    make_token(keys[1], 3600, "s", second);
    for (int i = 0; i < 3; i++) {
        assert_true(is_taken(first));
        assert_false(is_taken(second));
    }
    int64_t begin_ms = clock_monotonic_ms();
    write_keys(keys[1]);
    await(first, false);
    if (!getenv("ORDERLOG_TEST_SLOW"))
        assert_true(clock_monotonic_ms() - begin_ms < 1000);
    assert_true(is_taken(second));
}

static void a_broken_file_changes_nothing(void **state) {
    (void)state;
    char first[TEXT_MAX], second[TEXT_MAX];
    make_token(keys[0], 3600, "s", first);
    make_token(keys[1], 3600, "s", second);
    write_file("{\"keys\":[");
    assert_true(is_taken(first));
    write_keys(keys[1]); // seen after the broken one, or instead of it
    await(second, true);
    assert_int_equal(unlink(path), 0);
    for (int64_t until_ms = clock_monotonic_ms() + 600; clock_monotonic_ms() < until_ms;) {
        assert_true(is_taken(second));
        (void)poll(NULL, 0, 5);
    }
    write_keys(keys[0]);
    await(first, true);
}

static void a_remembered_token_is_good_until_its_time_is_over(void **state) {
    (void)state;
    char token[TEXT_MAX];
    make_token(keys[0], 2, "s", token);
    assert_true(is_taken(token));
    await(token, false);
}

// For what goes on for longer than a request: a token's time, and its issuer's keys.
static void what_a_token_opened_ends_with_it(void **state) {
    (void)state;
    char token[TEXT_MAX];
    struct http_caller caller;
    const char *why = NULL;
    make_token(keys[0], 2, "s", token);
    assert_true(access_.verify(access_.verify_state, token, strlen(token), &caller, &why));
    assert_true(http_access_holds(&access_, &caller));
    await(token, false);
    assert_false(http_access_holds(&access_, &caller));
    make_token(keys[0], 3600, "s", token);
    assert_true(access_.verify(access_.verify_state, token, strlen(token), &caller, &why));
    assert_true(http_access_holds(&access_, &caller));
    write_keys(keys[1]);
    await(token, false);
    assert_false(http_access_holds(&access_, &caller));
}

// More tokens than are remembered: each is taken, whether it is found or not.
static void what_is_remembered_is_bounded(void **state) {
    (void)state;
    static char many[64][TEXT_MAX];
    for (int i = 0; i < 64; i++) {
        char subject[16];
        (void)snprintf(subject, sizeof(subject), "s%d", i);
        make_token(keys[0], 3600, subject, many[i]);
    }
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 64; i++)
            assert_true(is_taken(many[i]));
}

static void *take_and_take(void *arg) {
    char token[TEXT_MAX];
    const int64_t until_ms = clock_monotonic_ms() + 500;
    for (int i = 0; clock_monotonic_ms() < until_ms; i++) {
        char subject[32];
        (void)snprintf(subject, sizeof(subject), "%d", i % 20);
        make_token(arg, 3600, subject, token);
        (void)is_taken(token);
    }
    return NULL;
}

static void many_threads_ask_while_keys_change(void **state) {
    (void)state;
    pthread_t threads[4];
    char token[TEXT_MAX];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_take, keys[i % 2]), 0);
    for (int i = 1; i < 6; i++) {
        write_keys(keys[i % 2]);
        (void)poll(NULL, 0, 80);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    make_token(keys[1], 3600, "s", token);
    await(token, true);
}

static void what_cannot_work_is_refused_at_the_start(void **state) {
    (void)state;
    struct access_tokens *none = NULL;
    struct error err = {0};
    struct config wrong = config;
    wrong.jwt_issuer = "";
    assert_false(access_tokens_start(&wrong, &none, &err));
    assert_non_null(strstr(err.msg, "jwt.issuer"));
    wrong = config;
    wrong.jwt_jwks = "/nowhere/keys.json";
    assert_false(access_tokens_start(&wrong, &none, &err));
    assert_non_null(strstr(err.msg, "/nowhere/keys.json"));
    wrong.jwt_jwks = "";
    assert_true(access_tokens_start(&wrong, &none, &err));
    assert_null(none);
}

static int make_keys(void **state) {
    (void)state;
    int fd = mkstemp(path);
    for (size_t i = 0; i < 2; i++)
        keys[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return fd >= 0 && close(fd) == 0 && keys[0] && keys[1] ? 0 : -1;
}

static int drop_keys(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++)
        EVP_PKEY_free(keys[i]);
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_of_keys_counts_within_a_second, begin, end),
        cmocka_unit_test_setup_teardown(a_broken_file_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_remembered_token_is_good_until_its_time_is_over, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_a_token_opened_ends_with_it, begin, end),
        cmocka_unit_test_setup_teardown(what_is_remembered_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(many_threads_ask_while_keys_change, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_work_is_refused_at_the_start, begin, end),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
