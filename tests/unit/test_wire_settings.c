// SPDX-License-Identifier: Apache-2.0
//
// A setting of security that a connection of ours cannot follow is refused by name; none is left
// out unseen.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire_settings.h"

enum { SETTINGS_MAX = 8 };

static bool read_settings(const char *const (*pairs)[2], struct wire_settings *ret,
                          struct error *err) {
    static struct config_setting items[SETTINGS_MAX];
    struct config config = {.kafka = {.items = items}};
    for (; pairs[config.kafka.count][0]; config.kafka.count++)
        items[config.kafka.count] =
            (struct config_setting){.name = (char *)(uintptr_t)pairs[config.kafka.count][0],
                                    .value = (char *)(uintptr_t)pairs[config.kafka.count][1],
                                    .source = "the test"};
    return wire_settings_read(&config, "client", WIRE_LZ4, ret, err);
}

static void what_is_not_set_is_plain_and_compressed(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"bootstrap.servers", "a:1,b:2"}, {"fetch.min.bytes", "1"}, {NULL, NULL}};
    struct wire_settings settings;
    struct error err;
    assert_true(read_settings(pairs, &settings, &err));
    assert_string_equal(settings.servers, "a:1,b:2");
    assert_string_equal(settings.client_id, "client");
    assert_false(settings.tls);
    assert_int_equal(settings.mechanism, WIRE_SASL_NONE);
    assert_int_equal(settings.compression, WIRE_LZ4);
}

static void sasl_over_tls_is_followed(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"security.protocol", "SASL_SSL"},
                                           {"sasl.mechanisms", "SCRAM-SHA-512"},
                                           {"sasl.username", "u"},
                                           {"sasl.password", "p"},
                                           {"ssl.ca.location", "/authority.pem"},
                                           {"ssl.endpoint.identification.algorithm", "none"},
                                           {"compression.type", "zstd"},
                                           {NULL, NULL}};
    struct wire_settings settings;
    struct error err;
    assert_true(read_settings(pairs, &settings, &err));
    assert_true(settings.tls);
    assert_true(settings.tls_any_host);
    assert_false(settings.tls_unverified);
    assert_int_equal(settings.mechanism, WIRE_SASL_SCRAM_512);
    assert_string_equal(settings.user, "u");
    assert_string_equal(settings.ca_location, "/authority.pem");
    assert_int_equal(settings.compression, WIRE_ZSTD);
}

static void what_cannot_be_followed_is_refused_by_name(void **state) {
    (void)state;
    static const char *const refused[][3][2] = {
        {{"sasl.mechanism", "GSSAPI"}, {NULL, NULL}},
        {{"security.protocol", "quic"}, {NULL, NULL}},
        {{"compression.codec", "snappy"}, {NULL, NULL}},
        {{"ssl.keystore.location", "/store"}, {NULL, NULL}},
        {{"sasl.oauthbearer.config", "x"}, {NULL, NULL}},
        {{"enable.ssl.certificate.verification", "maybe"}, {NULL, NULL}},
    };
    struct wire_settings settings;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct error err;
        assert_false(read_settings(refused[i], &settings, &err));
        assert_int_equal(err.what, DISP_FATAL);
        assert_non_null(strstr(err.msg, refused[i][0][0]));
        assert_non_null(strstr(err.msg, "the test"));
    }
}

static void sasl_needs_a_mechanism_a_name_and_a_password(void **state) {
    (void)state;
    static const char *const no_mechanism[][2] = {{"security.protocol", "sasl_plaintext"},
                                                  {"sasl.username", "u"},
                                                  {"sasl.password", "p"},
                                                  {NULL, NULL}};
    static const char *const no_password[][2] = {{"security.protocol", "sasl_plaintext"},
                                                 {"sasl.mechanism", "PLAIN"},
                                                 {"sasl.username", "u"},
                                                 {NULL, NULL}};
    struct wire_settings settings;
    struct error err;
    assert_false(read_settings(no_mechanism, &settings, &err));
    assert_non_null(strstr(err.msg, "kafka.sasl.mechanism"));
    assert_false(read_settings(no_password, &settings, &err));
    assert_non_null(strstr(err.msg, "kafka.sasl.password"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_set_is_plain_and_compressed),
        cmocka_unit_test(sasl_over_tls_is_followed),
        cmocka_unit_test(what_cannot_be_followed_is_refused_by_name),
        cmocka_unit_test(sasl_needs_a_mechanism_a_name_and_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
