// SPDX-License-Identifier: Apache-2.0
//
// A shop's file is read as its orders were: whole, each with the faults for which it cannot be
// taken. And a generated day is such a file, the same one every time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/order_file.h"
#include "cli/shop_day.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER                                                                                     \
    "order_id,customer_id,ordered_at,line_no,sku,description,quantity,unit_price_minor,currency,"  \
    "line_total_minor\n"

static char path[] = "/tmp/orderlog-file.XXXXXX";

static int make_file(void **state) {
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void write_file(const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *text, struct order_file *ret) {
    struct error err = {0};
    write_file(text);
    if (!order_file_read(path, ret, &err))
        fail_msg("%s", err.msg);
}

static const struct file_order *find(const struct order_file *file, const char *id) {
    const uint32_t number = intern_find(&file->order_ids, id, strlen(id));
    assert_int_not_equal(number, INTERN_NONE);
    return &file->orders[number];
}

static const struct file_sku *find_sku(const struct order_file *file, const char *code) {
    const uint32_t number = intern_find(&file->sku_codes, code, strlen(code));
    assert_int_not_equal(number, INTERN_NONE);
    return &file->skus[number];
}

static void an_interrupted_order_is_one_order(void **state) {
    (void)state;
    struct order_file file;
    read_file(HEADER "1,c,2026-01-01T10:00:00,1,A,Ant,1,100,GBP,100\n"
                     "1,c,2026-01-01T10:00:00,2,B,Bee,2,200,GBP,400\n"
                     "2,,2026-01-01T10:01:00,1,A,Ant,5,100,GBP,500\n"
                     "1,c,2026-01-01T10:02:00,3,C,Cat,3,300,GBP,900\n",
              &file);
    assert_int_equal(file.order_ids.count, 2);
    const struct file_order *order = find(&file, "1");
    assert_int_equal(order->lines_count, 3);
    assert_int_equal(order->total_minor, 1400);
    assert_string_equal(order->ordered_at, "2026-01-01T10:00:00");
    for (int i = 0; i < 3; i++)
        assert_int_equal(file.lines[order->lines_first + (uint32_t)i].quantity, i + 1);
    assert_string_equal(find(&file, "2")->customer, "");
    assert_int_equal(file.total_minor, 1900);
    order_file_done(&file);
}

static void what_cannot_be_ordered_is_marked_and_needs_no_stock(void **state) {
    (void)state;
    struct order_file file;
    read_file(HEADER "C1,c,,1,A,Ant,-1,100,GBP,-100\n"
                     "2,c,,1,A,Ant,1,-5,GBP,-5\n"
                     "3,c,,1,A,Ant,7,0,GBP,0\n"
                     "4,c,,1,A,Ant,1,1,GBP,1\n4,c,,2,A,Ant,1,1,EUR,1\n"
                     "5,c,,1,A,Ant,1000001,1,GBP,1\n"
                     "6,c,,1,A,Ant,2,100,GBP,200\n6,c,,2,A,Ant,0,100,GBP,0\n",
              &file);
    assert_int_equal(find(&file, "C1")->faults, FAULT_QUANTITY);
    assert_int_equal(find(&file, "2")->faults, FAULT_PRICE);
    assert_int_equal(find(&file, "3")->faults, FAULT_NONE);
    assert_int_equal(find(&file, "4")->faults, FAULT_CURRENCY);
    assert_int_equal(find(&file, "5")->faults, FAULT_QUANTITY);
    assert_int_equal(find(&file, "6")->faults, FAULT_QUANTITY);
    assert_int_equal(find_sku(&file, "A")->quantity, 7);
    order_file_done(&file);
}

static void a_products_price_is_the_first_positive_one_and_its_name_goes_with_it(void **state) {
    (void)state;
    struct order_file file;
    read_file(HEADER "1,c,,1,A,damaged,1,0,GBP,0\n"
                     "2,c,,1,A,Ant,1,250,GBP,250\n"
                     "3,c,,1,A,Anthill,1,300,GBP,300\n"
                     "4,c,,1,a,,1,0,GBP,0\n",
              &file);
    assert_int_equal(find_sku(&file, "A")->price_minor, 250);
    assert_string_equal(intern_bytes(&file.names, find_sku(&file, "A")->name, NULL), "Ant");
    // Upper and lower case are two SKUs; without a name the SKU stands in.
    assert_int_equal(find_sku(&file, "a")->price_minor, 0);
    assert_int_equal(find_sku(&file, "a")->name, INTERN_NONE);
    order_file_done(&file);
}

static void columns_are_found_by_name(void **state) {
    (void)state;
    struct order_file file;
    read_file("currency,unit_price_minor,quantity,extra,description,sku,ordered_at,customer_id,"
              "order_id\nEUR,5,2,x,Ant,A,,c,1\n",
              &file);
    assert_int_equal(find(&file, "1")->total_minor, 10);
    assert_string_equal(find(&file, "1")->currency, "EUR");
    order_file_done(&file);
}

static void assert_refused(const char *text, const char *why) {
    struct order_file file;
    struct error err = {0};
    write_file(text);
    assert_false(order_file_read(path, &file, &err));
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    assert_null(file.orders);
}

static void a_bad_file_is_refused_before_anything_is_sent(void **state) {
    (void)state;
    assert_refused("", "is empty");
    assert_refused("order_id,sku\n1,A\n", "no column customer_id");
    assert_refused(HEADER "1,c,,1,A,Ant,one,100,GBP,100\n", "line 2: quantity is no whole number");
    assert_refused(HEADER "1,c,,1,A,Ant,1,1.5,GBP,1\n", "unit_price_minor is no whole number");
    assert_refused(HEADER "1,c,,1,A,Ant,1,100\n", "8 fields instead of 10");
    assert_refused(HEADER ",c,,1,A,Ant,1,100,GBP,1\n", "order_id must have");
    assert_refused(HEADER "1,c,,1,A/B,Ant,1,100,GBP,1\n", "sku must have");
    assert_refused(HEADER "1,c,,1,A,Ant,9223372036854775807,100,GBP,1\n", "out of range");
}

static char *generate(uint64_t seed, size_t *ret_len) {
    const struct shop_day day = {.orders = 3000,
                                 .skus = 150,
                                 .seed = seed,
                                 .lines_mean = 3,
                                 .day = "2026-03-02",
                                 .currency = "EUR"};
    char *text = NULL;
    struct error err = {0};
    FILE *out = open_memstream(&text, ret_len);
    assert_non_null(out);
    assert_true(shop_day_write(&day, out, &err));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void a_generated_day_is_the_same_every_time(void **state) {
    (void)state;
    size_t len = 0;
    size_t again_len = 0;
    size_t other_len = 0;
    char *text = generate(7, &len);
    char *again = generate(7, &again_len);
    char *other = generate(8, &other_len);
    assert_int_equal(len, again_len);
    assert_memory_equal(text, again, len);
    assert_true(len != other_len || memcmp(text, other, len) != 0);
    free(text);
    free(again);
    free(other);
}

static void a_generated_day_is_shaped_like_a_shops(void **state) {
    (void)state;
    size_t len = 0;
    char *text = generate(7, &len);
    struct order_file file;
    read_file(text, &file);
    free(text);
    assert_int_equal(file.order_ids.count, 3000);
    assert_true(file.lines_count > 8000 && file.lines_count < 10000); // 3 on average
    uint32_t longest = 0;
    int guests = 0;
    for (uint32_t i = 0; i < file.order_ids.count; i++) {
        assert_int_equal(file.orders[i].faults, FAULT_NONE);
        assert_true(i == 0 ||
                    strcmp(file.orders[i - 1].ordered_at, file.orders[i].ordered_at) <= 0);
        guests += file.orders[i].customer[0] == '\0';
        if (file.orders[i].lines_count > longest)
            longest = file.orders[i].lines_count;
    }
    assert_true(longest >= 15);
    assert_true(guests > 200 && guests < 400);
    // The best seller sells many times what the last one does; every SKU has its own name.
    assert_true(find_sku(&file, "OL-00000")->quantity > 20 * find_sku(&file, "OL-00149")->quantity);
    assert_int_equal(file.names.count, file.sku_codes.count);
    order_file_done(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_order_is_one_order),
        cmocka_unit_test(what_cannot_be_ordered_is_marked_and_needs_no_stock),
        cmocka_unit_test(a_products_price_is_the_first_positive_one_and_its_name_goes_with_it),
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(a_bad_file_is_refused_before_anything_is_sent),
        cmocka_unit_test(a_generated_day_is_the_same_every_time),
        cmocka_unit_test(a_generated_day_is_shaped_like_a_shops),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
