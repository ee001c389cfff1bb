// SPDX-License-Identifier: Apache-2.0
//
// The generator refuses what it cannot encode faithfully, naming file and field: a schema that
// almost works is found at build time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/orderlog-generate.XXXXXX";
static char output[8192];

static void file_path(char *path, size_t size, const char *name) {
    int len = snprintf(path, size, "%s/%s", root, name);
    assert_true(len > 0 && (size_t)len < size);
}

static void write_file(const char *name, const char *text) {
    char path[256];
    file_path(path, sizeof(path), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name) {
    char path[256];
    file_path(path, sizeof(path), name);
    (void)unlink(path);
}

// Runs the generator over root/schemas; its messages go to output.
static int generate(void) {
    char command[1024];
    (void)snprintf(command, sizeof(command), "%s %s/schemas %s/out 2>&1", ORDERLOG_GENERATE, root,
                   root);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof(output) - 1, pipe)] = '\0';
    return pclose(pipe);
}

static const char good_field[] = "{\"name\": \"sku\", \"type\": \"string\"}";

static void write_record(const char *fields) {
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "{\"type\": \"record\", \"name\": \"Thing\", \"namespace\": \"orderlog\", "
                   "\"fields\": [%s]}",
                   fields);
    write_file("schemas/topic/thing.avsc", text);
}

static void refuses(const char *fields, const char *why) {
    write_record(fields);
    int status = generate();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
        fail_msg("status %d for %s: %s", status, fields, output);
    if (!strstr(output, why) || !strstr(output, "topic/thing.avsc"))
        fail_msg("expected \"%s\" and the file, got \"%s\"", why, output);
}

static void what_is_supported_is_generated(void **state) {
    (void)state;
    write_record("{\"name\": \"a\", \"type\": \"boolean\"},"
                 "{\"name\": \"b\", \"type\": [\"null\", \"int\"], \"default\": null},"
                 "{\"name\": \"c\", \"type\": {\"type\": \"array\", \"items\": "
                 "{\"type\": \"record\", \"name\": \"Part\", \"fields\": ["
                 "{\"name\": \"d\", \"type\": {\"type\": \"array\", \"items\": \"long\"}},"
                 "{\"name\": \"e\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", "
                 "\"symbols\": [\"X\", \"Y\"]}}]}}},"
                 "{\"name\": \"f\", \"type\": [\"null\", \"Part\"]},"
                 "{\"name\": \"g\", \"type\": [\"null\", \"orderlog.Kind\"]}");
    if (generate() != 0)
        fail_msg("%s", output);
}

static void types_outside_the_subset_are_refused(void **state) {
    (void)state;
    refuses("{\"name\": \"x\", \"type\": \"double\"}", "Thing.x: type \"double\"");
    refuses("{\"name\": \"x\", \"type\": \"null\"}", "Thing.x: type \"null\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"map\", \"values\": \"long\"}}",
            "Thing.x: type \"map\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 4}}",
            "Thing.x: type \"fixed\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"bytes\", \"logicalType\": \"decimal\"}}",
            "Thing.x: logical type \"decimal\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"long\", \"logicalType\": "
            "\"timestamp-millis\"}}",
            "Thing.x: logical type \"timestamp-millis\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"array\", \"items\": \"boolean\"}}",
            "Thing.x: arrays hold");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"array\", \"items\": "
            "{\"type\": \"array\", \"items\": \"long\"}}}",
            "Thing.x: an array of arrays");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"array\", \"items\": [\"null\", \"long\"]}}",
            "Thing.x: the items of an array cannot be nullable");
}

static void unions_other_than_null_and_one_type_are_refused(void **state) {
    (void)state;
    refuses("{\"name\": \"x\", \"type\": [\"long\", \"null\"]}", "Thing.x: the only union");
    refuses("{\"name\": \"x\", \"type\": [\"null\", \"long\", \"string\"]}", "the only union");
    refuses("{\"name\": \"x\", \"type\": [\"null\", [\"null\", \"long\"]]}", "can be nullable");
    refuses("{\"name\": \"x\", \"type\": [\"null\", {\"type\": \"array\", \"items\": \"long\"}]}",
            "Thing.x: only a plain type, enum or record can be nullable");
}

static void recursion_is_refused(void **state) {
    (void)state;
    refuses("{\"name\": \"x\", \"type\": [\"null\", \"Thing\"]}", "Thing.x: type \"Thing\"");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"array\", \"items\": \"orderlog.Thing\"}}",
            "or recursive");
}

static void names_that_c_cannot_take_are_refused(void **state) {
    (void)state;
    refuses("{\"name\": \"default\", \"type\": \"long\"}", "Thing.default: a field's name");
    refuses("{\"name\": \"camelCase\", \"type\": \"long\"}", "Thing.camelCase: a field's name");
    refuses("{\"name\": \"x\", \"type\": [\"null\", \"long\"]},"
            "{\"name\": \"has_x\", \"type\": \"boolean\"}",
            "two fields would be called has_x");
    refuses("{\"name\": \"x\", \"type\": \"long\"}, {\"name\": \"x\", \"type\": \"long\"}",
            "two fields would be called x");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": \"Error\", "
            "\"symbols\": [\"A\"]}}",
            "struct error is already something else");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", "
            "\"symbols\": [\"A\", \"A\"]}}",
            "Kind: symbol A stands there twice");
    refuses("{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", "
            "\"symbols\": [\"COUNT\"]}}",
            "Kind: a symbol is");
}

static void what_is_not_understood_is_refused(void **state) {
    (void)state;
    refuses("{\"name\": \"x\", \"type\": \"long\", \"order\": \"ignore\"}",
            "Thing.x: attribute \"order\"");
    refuses("", "a record has 1 to");
    refuses("{\"name\": \"x\" \"type\": \"long\"}", "thing.avsc:1: ");
    refuses("{\"name\": \"x\"}", "Thing.x: no type");
}

static void a_file_holds_the_record_it_is_named_after(void **state) {
    (void)state;
    write_record(good_field);
    char from[256], to[256];
    file_path(from, sizeof(from), "schemas/topic/thing.avsc");
    file_path(to, sizeof(to), "schemas/topic/other.avsc");
    assert_int_equal(rename(from, to), 0);
    assert_int_not_equal(generate(), 0);
    assert_non_null(strstr(output, "other.avsc: the file of record Thing is called thing.avsc"));
    remove_file("schemas/topic/other.avsc");
}

static void write_second(const char *last_symbol) {
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "{\"type\": \"record\", \"name\": \"Second\", \"namespace\": \"orderlog\", "
                   "\"fields\": [{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": "
                   "\"Kind\", \"doc\": \"Words differ.\", \"symbols\": [\"A\", \"%s\"]}}]}",
                   last_symbol);
    write_file("schemas/topic/second.avsc", text);
}

static void one_name_has_one_definition(void **state) {
    (void)state;
    write_record("{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", "
                 "\"symbols\": [\"A\", \"B\"]}}");
    write_second("B");
    if (generate() != 0)
        fail_msg("%s", output);
    write_second("C");
    assert_int_not_equal(generate(), 0);
    assert_non_null(strstr(output, "Kind: defined differently in another file"));
    remove_file("schemas/topic/second.avsc");
}

static int begin(void **state) {
    (void)state;
    char path[256];
    if (!mkdtemp(root))
        return -1;
    static const char *const dirs[] = {"schemas", "schemas/topic", "out"};
    for (size_t i = 0; i < 3; i++) {
        file_path(path, sizeof(path), dirs[i]);
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    return 0;
}

static int end(void **state) {
    (void)state;
    static const char *const files[] = {"schemas/topic/thing.avsc", "out/types.h", "out/encode.c",
                                        "out/decode.c", "out/tables.c"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        remove_file(files[i]);
    static const char *const dirs[] = {"schemas/topic", "schemas", "out", ""};
    for (size_t i = 0; i < 4; i++) {
        char path[256];
        file_path(path, sizeof(path), dirs[i]);
        if (rmdir(path) != 0)
            return -1;
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_supported_is_generated),
        cmocka_unit_test(types_outside_the_subset_are_refused),
        cmocka_unit_test(unions_other_than_null_and_one_type_are_refused),
        cmocka_unit_test(recursion_is_refused),
        cmocka_unit_test(names_that_c_cannot_take_are_refused),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(a_file_holds_the_record_it_is_named_after),
        cmocka_unit_test(one_name_has_one_definition),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
