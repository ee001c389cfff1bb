// SPDX-License-Identifier: Apache-2.0
//
// CSV is read as RFC 4180 has it, and what is not CSV is refused with its line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/csv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char path[] = "/tmp/orderlog-csv.XXXXXX";

static int make_file(void **state) {
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void write_plain(const char *bytes, size_t len) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

// The whole file as text: fields in brackets, records ended by '.', an error as '!' and its line.
static void read_all(char *out, size_t size) {
    struct error err = {0};
    struct csv *csv = csv_open(path, &err);
    assert_non_null(csv);
    struct csv_record *record = calloc(1, sizeof(*record));
    assert_non_null(record);
    size_t used = 0;
    out[0] = '\0';
    enum csv_result result = CSV_RECORD;
    while (result == CSV_RECORD) {
        result = csv_next(csv, record, &err);
        if (result == CSV_RECORD) {
            for (uint32_t i = 0; i < record->count; i++) {
                assert_int_equal(strlen(record->fields[i].ptr), record->fields[i].len);
                used += (size_t)snprintf(out + used, size - used, "[%s]", record->fields[i].ptr);
            }
            used += (size_t)snprintf(out + used, size - used, ".");
        } else if (result == CSV_ERROR) {
            assert_int_equal(err.what, DISP_POISON);
            const char *line = strstr(err.msg, "line ");
            assert_non_null(line);
            (void)snprintf(out + used, size - used, "!%d", atoi(line + 5));
        }
    }
    free(record);
    csv_close(csv);
}

static void assert_reads(const char *text, const char *expected) {
    char out[512];
    write_plain(text, strlen(text));
    read_all(out, sizeof(out));
    assert_string_equal(out, expected);
}

static void records_and_fields_come_as_they_stand(void **state) {
    (void)state;
    assert_reads("", "");
    assert_reads("a,b\nc,d\n", "[a][b].[c][d].");
    assert_reads("a,b\r\nc,d\r\n", "[a][b].[c][d].");
    assert_reads("a,b\nc,d", "[a][b].[c][d].");
    assert_reads("a,,\n,\n", "[a][][].[][].");
    assert_reads("\n", "[].");
    assert_reads(" a , b \n", "[ a ][ b ].");
    assert_reads("\xef\xbb\xbf"
                 "a\n",
                 "[a].");
}

static void quotes_protect_commas_lines_and_quotes(void **state) {
    (void)state;
    assert_reads("\"a,b\",c\n", "[a,b][c].");
    assert_reads("\"a\nb\",c\nd,e\n", "[a\nb][c].[d][e].");
    assert_reads("\"say \"\"hi\"\"\",\"\"\n", "[say \"hi\"][].");
    assert_reads("\"\"\"\"\n", "[\"].");
    assert_reads("\"a\"", "[a].");
}

static void what_is_no_csv_is_refused_with_its_line(void **state) {
    (void)state;
    assert_reads("a\nb\"c\n", "[a].!2");
    assert_reads("\"a\"b\n", "!1");
    assert_reads("a\n\"b\n", "[a].!3");
    assert_reads("a\rb\n", "!1");
    const char nul[] = "a\nb\0c\n";
    char out[64];
    write_plain(nul, sizeof(nul) - 1);
    read_all(out, sizeof(out));
    assert_string_equal(out, "[a].!2");
}

static void a_missing_quote_does_not_swallow_the_memory(void **state) {
    (void)state;
    const size_t len = (size_t)CSV_RECORD_BYTES_MAX + 100;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    text[0] = '"';
    write_plain(text, len);
    free(text);
    char out[64];
    read_all(out, sizeof(out));
    assert_string_equal(out, "!1");
}

static void gzip_is_read_as_it_is_and_a_cut_off_file_is_noticed(void **state) {
    (void)state;
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 20000; i++)
        assert_true(gzprintf(file, "%d,%d\n", i, i * 7919 % 1000) > 0);
    assert_int_equal(gzclose(file), Z_OK);

    for (int cut = 0; cut < 2; cut++) {
        struct error err = {0};
        struct csv *csv = csv_open(path, &err);
        struct csv_record *record = calloc(1, sizeof(*record));
        assert_non_null(record);
        int count = 0;
        enum csv_result result;
        while ((result = csv_next(csv, record, &err)) == CSV_RECORD)
            assert_int_equal(atoi(record->fields[0].ptr), count++);
        assert_int_equal(result, cut ? CSV_ERROR : CSV_END);
        assert_true(cut ? count < 20000 : count == 20000);
        free(record);
        csv_close(csv);
        assert_int_equal(truncate(path, 20000), 0);
    }
}

static void a_file_that_is_not_there_is_said(void **state) {
    (void)state;
    struct error err = {0};
    assert_null(csv_open("/nowhere/orders.csv", &err));
    assert_non_null(strstr(err.msg, "/nowhere/orders.csv"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_and_fields_come_as_they_stand),
        cmocka_unit_test(quotes_protect_commas_lines_and_quotes),
        cmocka_unit_test(what_is_no_csv_is_refused_with_its_line),
        cmocka_unit_test(a_missing_quote_does_not_swallow_the_memory),
        cmocka_unit_test(gzip_is_read_as_it_is_and_a_cut_off_file_is_noticed),
        cmocka_unit_test(a_file_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
