// SPDX-License-Identifier: Apache-2.0
//
// Against the example of RFC 7677, section 3.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire_scram.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define NONCES NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static const char SERVER_FIRST[] = "r=" NONCES ",s=" SALT ",i=4096";
static const char CLIENT_FINAL[] =
    "c=biws,r=" NONCES ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
static const char SERVER_FINAL[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

// As if chance had come to the example's nonce.
static void begin(struct wire_scram *scram) {
    char text[WIRE_SCRAM_TEXT_MAX];
    struct error err;
    assert_true(wire_scram_first(scram, false, "user", text, &err));
    assert_memory_equal(text, "n,,n=user,r=", 12);
    (void)snprintf(scram->nonce, sizeof(scram->nonce), NONCE);
    (void)snprintf(scram->first, sizeof(scram->first), "n=user,r=" NONCE);
}

static bool answer(const char *server_first, char out[WIRE_SCRAM_TEXT_MAX], struct error *err) {
    struct wire_scram scram;
    begin(&scram);
    return wire_scram_final(&scram, server_first, strlen(server_first), "pencil", out, err);
}

static void exchange_the_example(struct wire_scram *scram, char text[WIRE_SCRAM_TEXT_MAX]) {
    struct error err;
    begin(scram);
    assert_true(wire_scram_final(scram, SERVER_FIRST, strlen(SERVER_FIRST), "pencil", text, &err));
}

static void the_example_is_answered_and_believed(void **state) {
    (void)state;
    struct wire_scram scram;
    struct error err;
    char text[WIRE_SCRAM_TEXT_MAX];
    exchange_the_example(&scram, text);
    assert_string_equal(text, CLIENT_FINAL);
    assert_true(wire_scram_verify(&scram, SERVER_FINAL, strlen(SERVER_FINAL), &err));
}

static void a_server_that_does_not_know_the_password_is_not_believed(void **state) {
    (void)state;
    struct wire_scram scram;
    struct error err;
    char text[WIRE_SCRAM_TEXT_MAX];
    exchange_the_example(&scram, text);
    static const char *const others[] = {
        "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "v=6rri", "e=other-error", ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(wire_scram_verify(&scram, others[i], strlen(others[i]), &err));
        assert_int_equal(err.what, DISP_FATAL);
    }
}

static void what_is_no_answer_to_us_is_refused(void **state) {
    (void)state;
    static const char *const others[] = {
        "",
        "r=",
        "r=" NONCE ",s=" SALT ",i=4096", // nothing of the server's
        "r=xOprNGfwEbeRWgbNEkqOabc,s=" SALT ",i=4096",
        "r=" NONCES ",s=" SALT ",i=1",         // fewer than the RFC asks for
        "r=" NONCES ",s=" SALT ",i=999999999", // more than anybody can want
        "r=" NONCES ",s=,i=4096",
        "r=" NONCES ",s=*,i=4096",
        "r=" NONCES ",i=4096",
        "e=unknown-user",
    };
    struct error err;
    char text[WIRE_SCRAM_TEXT_MAX];
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(answer(others[i], text, &err));
        assert_int_equal(err.what, DISP_FATAL);
    }
}

static void a_name_may_have_commas_and_equal_signs(void **state) {
    (void)state;
    struct wire_scram scram;
    struct error err;
    char text[WIRE_SCRAM_TEXT_MAX];
    assert_true(wire_scram_first(&scram, true, "a=b,c", text, &err));
    assert_memory_equal(text, "n,,n=a=3Db=2Cc,r=", 17);
    char long_name[WIRE_SCRAM_TEXT_MAX];
    memset(long_name, ',', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_false(wire_scram_first(&scram, true, long_name, text, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_answered_and_believed),
        cmocka_unit_test(a_server_that_does_not_know_the_password_is_not_believed),
        cmocka_unit_test(what_is_no_answer_to_us_is_refused),
        cmocka_unit_test(a_name_may_have_commas_and_equal_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
