// SPDX-License-Identifier: Apache-2.0
//
// A file of order lines, read whole and grouped: rows of one order_id are one order wherever they
// stand in the file. Columns are found by their names in the header; others are ignored.
// What is kept per line is small (24 bytes), so that a year of a shop fits.
#ifndef ORDERLOG_CLI_ORDER_FILE_H
#define ORDERLOG_CLI_ORDER_FILE_H

#include "cli/intern.h"
#include "service/error.h"

#include <stdbool.h>
#include <stdint.h>

struct file_line {
    uint32_t order;
    uint32_t sku;
    int64_t quantity;
    int64_t unit_price_minor;
};

enum file_fault {
    FAULT_NONE = 0,
    FAULT_QUANTITY = 1 << 0, // a quantity below 1 or above 1,000,000
    FAULT_PRICE = 1 << 1,    // a negative price
    FAULT_CURRENCY = 1 << 2, // lines in several currencies
    FAULT_LINES = 1 << 3,    // more than 1,000 lines
};

struct file_order {
    char customer[65];    // terminated; empty = guest
    char currency[8];     // terminated
    char ordered_at[40];  // terminated; of the first row; empty if unknown
    uint32_t lines_first; // into order_file.lines
    uint32_t lines_count;
    int64_t total_minor; // sum of quantity x unit price
    int faults;          // of enum file_fault: reasons for which it must be refused
};

struct file_sku {
    uint32_t name;       // into order_file.names; INTERN_NONE: none, the SKU stands in
    int64_t price_minor; // the first positive one, or 0
    char currency[8];
    int64_t quantity; // sum over the orders without fault: the stock they need
};

struct order_file {
    struct intern order_ids; // numbers = indexes of orders
    struct intern sku_codes; // numbers = indexes of skus
    struct intern names;
    struct file_order *orders; // owned
    struct file_sku *skus;     // owned
    struct file_line *lines;   // owned, by order, in the file's order within
    uint32_t lines_count;
    int64_t total_minor;
    uint64_t fingerprint; // of the file's content: names its idempotency keys
};

// False: err says which line and column. *ret is then empty.
bool order_file_read(const char *path, struct order_file *ret, struct error *err);
void order_file_done(struct order_file *file);

#endif
