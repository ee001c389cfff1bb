// SPDX-License-Identifier: Apache-2.0
//
// Configuration: every source is heard in its order, and what is wrong is answered with what would
// be right.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config_flag flags[] = {
    {"stock", "auto|N", "How much stock", NULL},
    {"json", NULL, "As JSON", NULL},
    {0},
};

static struct config_command command(enum config_role role) {
    flags[0].value = NULL;
    flags[1].value = NULL;
    return (struct config_command){.usage = "gateway",
                                   .about = "Takes orders.",
                                   .role = role,
                                   .flags = flags,
                                   .arguments_max = 1};
}

static bool load(enum config_role role, char **argv, char **envp, struct config *ret,
                 struct error *err) {
    struct config_command what = command(role);
    int argc = 0;
    while (argv[argc])
        argc++;
    int count = 0;
    enum config_action action = CONFIG_RUN;
    return config_load(&what, argc, argv, envp, ret, &count, &action, err);
}

static void expect_refused(char **argv, char **envp, const char *const *parts) {
    struct config config;
    struct error err = {0};
    assert_false(load(ROLE_GATEWAY, argv, envp, &config, &err));
    for (; *parts; parts++) {
        if (!strstr(err.msg, *parts))
            fail_msg("'%s' does not say '%s'", err.msg, *parts);
    }
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})
#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *write_file(const char *text) {
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/orderlog-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    return path;
}

static void without_sources_the_defaults_hold(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_GATEWAY, ARGV(NULL), NULL, &config, &err));
    assert_int_equal(config.gateway_port, 8080);
    assert_string_equal(config.log_level, "info");
    assert_int_equal(config.http_body_bytes_max, 4 * 1024 * 1024);
    assert_false(config.projector_synchronous_commit);
    assert_null(config.api_key);
    assert_string_equal(config_settings_find(&config.kafka, "bootstrap.servers"), "127.0.0.1:9092");
    assert_string_equal(config.postgres_dsn, "dbname=orderlog");
    config_free(&config);
}

static void a_flag_beats_the_environment_and_that_the_file(void **state) {
    (void)state;
    char *path = write_file("# comment\nlog.level = debug\nslot=3\n\n[gateway]\n port = 1001 \n"
                            "host = 0.0.0.0\n[query]\nport=7\n");
    char flag[96];
    (void)snprintf(flag, sizeof(flag), "--config=%s", path);
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_GATEWAY, ARGV(flag, "--gateway.port", "1003"),
                     ARGV("ORDERLOG_GATEWAY_PORT=1002", "ORDERLOG_GATEWAY_HOST=::1", "OTHER=1",
                          "ORDERLOG_QUERY_HOST="),
                     &config, &err));
    assert_int_equal(unlink(path), 0);
    assert_string_equal(config.log_level, "debug");
    assert_int_equal(config.gateway_port, 1003);
    assert_string_equal(config.gateway_host, "::1");
    assert_int_equal(config.query_port, 7);
    assert_string_equal(config.query_host, "127.0.0.1");
    config_free(&config);
}

static void dashes_in_names_are_double_underscores_in_the_environment(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_GATEWAY, ARGV(NULL), ARGV("ORDERLOG_HTTP_CONNECTIONS_PER__IP_MAX=5"),
                     &config, &err));
    assert_int_equal(config.http_connections_per_ip_max, 5);
    config_free(&config);
}

static void durations_and_sizes_take_units(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_GATEWAY,
                     ARGV("--gateway.backlog.ms.max=3s", "--http.body.bytes.max=2MiB"), NULL,
                     &config, &err));
    assert_int_equal(config.gateway_backlog_ms_max, 3000);
    assert_int_equal(config.http_body_bytes_max, 2 << 20);
    config_free(&config);
    expect_refused(ARGV("--http.body.bytes.max=2s"), NULL, SAYS("KiB"));
}

static void an_error_names_option_source_and_what_is_allowed(void **state) {
    (void)state;
    expect_refused(ARGV("--gateway.prot=1"), NULL,
                   SAYS("--gateway.prot", "unknown", "gateway.port"));
    expect_refused(ARGV("--gateway.port=70000"), NULL, SAYS("gateway.port", "from 0 to 65535"));
    expect_refused(ARGV("--gateway.port=80x"), NULL, SAYS("80x"));
    expect_refused(ARGV("--gateway.port=99999999999999999999"), NULL, SAYS("from 0 to 65535"));
    expect_refused(ARGV("--gateway.port="), NULL, SAYS("from 0 to 65535"));
    expect_refused(ARGV("--gateway.port"), NULL, SAYS("needs a value"));
    expect_refused(ARGV("--query.port=1"), NULL, SAYS("--query.port", "not used here", "query"));
    expect_refused(ARGV("--log.level=loud"), NULL, SAYS("debug|info|warn|error"));
    expect_refused(ARGV("--log.level=deb"), NULL, SAYS("debug|info|warn|error"));
    expect_refused(ARGV(NULL), ARGV("ORDERLOG_GATEWAY_PRT=1"), SAYS("ORDERLOG_GATEWAY_PORT"));
    expect_refused(ARGV(NULL), ARGV("ORDERLOG_GATEWAY_PORT=x"), SAYS("ORDERLOG_GATEWAY_PORT"));
    expect_refused(ARGV("-x"), NULL, SAYS("two dashes"));
}

static void an_error_in_a_file_names_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"log.level=info\n[gateway]\nprot=1\n", ":3: unknown option 'gateway.prot'"},
        {"log.level\n", ":1: expected"},
        {"\n[gateway\n", ":2: a section"},
        {"kafka.acks=1\n", ":1: kafka.acks cannot be set"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *path = write_file(rows[i].text);
        expect_refused(ARGV("--config", path), NULL, SAYS(rows[i].says));
        assert_int_equal(unlink(path), 0);
    }
    expect_refused(ARGV("--config", "/nonexistent/file"), NULL, SAYS("/nonexistent/file"));
}

static void variables_of_others_under_our_prefix_are_left_alone(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_GATEWAY, ARGV(NULL),
                     ARGV("ORDERLOG_CACHE=/x", "ORDERLOG_PRESET=dev", "ORDERLOG_TEST_SEED=1"),
                     &config, &err));
    config_free(&config);
}

static void library_settings_pass_through(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    assert_true(load(ROLE_PROJECT,
                     ARGV("--kafka.security.protocol=SSL", "--postgres.sslmode", "x'"),
                     ARGV("ORDERLOG_KAFKA_BOOTSTRAP_SERVERS=a:1", "ORDERLOG_KAFKA_LINGER_MS=7",
                          "ORDERLOG_POSTGRES_CONNECT_TIMEOUT=3", "ORDERLOG_REGISTRY=http://r",
                          "ORDERLOG_POSTGRES=host=h"),
                     &config, &err));
    assert_string_equal(config_settings_find(&config.kafka, "bootstrap.servers"), "a:1");
    assert_string_equal(config_settings_find(&config.kafka, "linger.ms"), "7");
    assert_string_equal(config_settings_find(&config.kafka, "security.protocol"), "SSL");
    assert_string_equal(config.registry_url, "http://r");
    assert_string_equal(config.postgres_dsn, "host=h connect_timeout='3' sslmode='x\\''");
    config_free(&config);

    assert_true(load(ROLE_PROJECT, ARGV("--postgres.sslmode=a b"),
                     ARGV("ORDERLOG_POSTGRES=postgresql://h/db"), &config, &err));
    assert_string_equal(config.postgres_dsn, "postgresql://h/db?sslmode=a%20b");
    config_free(&config);
}

static void what_correctness_depends_on_is_refused_with_the_reason(void **state) {
    (void)state;
    static const char *const keys[] = {
        "enable.idempotence", "acks",
        "isolation.level",    "enable.auto.commit",
        "auto.offset.reset",  "enable.auto.offset.store",
        "transactional.id",   "group.id",
        "group.instance.id",  "partitioner",
        "max.in.flight",      "transaction.timeout.ms",
        "check.crcs",         "partition.assignment.strategy",
        "enabled_events",     "delivery.report.only.error",
        "client.id",          "heartbeat.interval.ms",
        "message.max.bytes",  "queue.buffering.max.ms",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char flag[96];
        (void)snprintf(flag, sizeof(flag), "--kafka.%s=x", keys[i]);
        expect_refused(ARGV(flag), NULL, SAYS(keys[i], "cannot be set: "));
    }
    expect_refused(ARGV("--postgres.client_encoding=LATIN1"), NULL, SAYS("UTF-8"));
    expect_refused(ARGV(NULL), ARGV("ORDERLOG_KAFKA_ACKS=1"), SAYS("ORDERLOG_KAFKA_ACKS"));
}

static void a_command_has_flags_and_arguments_of_its_own(void **state) {
    (void)state;
    struct config config;
    struct error err = {0};
    struct config_command what = command(ROLE_TOOL);
    int count = 0;
    enum config_action action = CONFIG_SHOW_HELP;
    char **argv = ARGV("--json", "file.csv", "--stock=auto");
    assert_true(config_load(&what, 3, argv, NULL, &config, &count, &action, &err));
    assert_int_equal(action, CONFIG_RUN);
    assert_int_equal(count, 1);
    assert_string_equal(argv[0], "file.csv");
    assert_string_equal(flags[0].value, "auto");
    assert_string_equal(flags[1].value, "true");
    config_free(&config);

    argv = ARGV("a", "--", "--b");
    assert_false(config_load(&what, 3, argv, NULL, &config, &count, &action, &err));
    assert_non_null(strstr(err.msg, "too many arguments"));
}

static char *printed(enum config_role role, char **argv, char **envp) {
    struct config config;
    struct error err = {0};
    assert_true(load(role, argv, envp, &config, &err));
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    config_print(&config, role, out);
    assert_int_equal(fclose(out), 0);
    config_free(&config);
    return text;
}

static void printing_shows_sources_and_hides_secrets(void **state) {
    (void)state;
    char *text = printed(ROLE_PROJECT, ARGV("--projector.threads=3", "--kafka.sasl.password=hush"),
                         ARGV("ORDERLOG_POSTGRES=password=hush", "ORDERLOG_LOG_LEVEL=warn",
                              "ORDERLOG_POSTGRES_PASSWORD=hush"));
    assert_non_null(strstr(text, "# --projector.threads\nprojector.threads = 3\n"));
    assert_non_null(strstr(text, "# ORDERLOG_LOG_LEVEL\nlog.level = warn\n"));
    assert_non_null(strstr(text, "# default\nwatchdog.ms = 60000\n"));
    assert_non_null(strstr(text, "postgres.conninfo = (hidden)"));
    assert_null(strstr(text, "hush"));
    assert_null(strstr(text, "gateway.port"));
    free(text);
}

static void what_is_printed_reads_back_as_the_same(void **state) {
    (void)state;
    char *before = printed(ROLE_ORDER, ARGV("--order.reservation.ttl.ms=5000"), NULL);
    char *path = write_file(before);
    char *after = printed(ROLE_ORDER, ARGV("--config", path), NULL);
    assert_int_equal(unlink(path), 0);
    assert_non_null(strstr(after, "\norder.reservation.ttl.ms = 5000\n"));
    free(before);
    free(after);
}

static void help_lists_what_the_role_uses(void **state) {
    (void)state;
    struct config_command what = command(ROLE_GATEWAY);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    config_print_help(&what, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "--gateway.port=8080"));
    assert_non_null(strstr(text, "from 0 to 65535"));
    assert_non_null(strstr(text, "--stock=auto|N"));
    assert_null(strstr(text, "--query.port"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sources_the_defaults_hold),
        cmocka_unit_test(a_flag_beats_the_environment_and_that_the_file),
        cmocka_unit_test(dashes_in_names_are_double_underscores_in_the_environment),
        cmocka_unit_test(durations_and_sizes_take_units),
        cmocka_unit_test(an_error_names_option_source_and_what_is_allowed),
        cmocka_unit_test(an_error_in_a_file_names_its_line),
        cmocka_unit_test(variables_of_others_under_our_prefix_are_left_alone),
        cmocka_unit_test(library_settings_pass_through),
        cmocka_unit_test(what_correctness_depends_on_is_refused_with_the_reason),
        cmocka_unit_test(a_command_has_flags_and_arguments_of_its_own),
        cmocka_unit_test(printing_shows_sources_and_hides_secrets),
        cmocka_unit_test(what_is_printed_reads_back_as_the_same),
        cmocka_unit_test(help_lists_what_the_role_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
