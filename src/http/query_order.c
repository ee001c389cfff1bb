// SPDX-License-Identifier: Apache-2.0
#include "query_order.h"

#include <string.h>

#include "service/uninitialized.h"

// What is shown, in this order, and how it travels.
#define ORDER_COLUMNS(COLUMN)                                                                      \
    COLUMN(order_id, ID)                                                                           \
    COLUMN(version, INTEGER)                                                                       \
    COLUMN(status, TEXT)                                                                           \
    COLUMN(reservation_status, TEXT)                                                               \
    COLUMN(payment_status, TEXT)                                                                   \
    COLUMN(shipment_status, TEXT)                                                                  \
    COLUMN(customer_id, TEXT)                                                                      \
    COLUMN(reference, TEXT)                                                                        \
    COLUMN(currency, TEXT)                                                                         \
    COLUMN(items_minor, INTEGER)                                                                   \
    COLUMN(discount_minor, INTEGER)                                                                \
    COLUMN(shipping_minor, INTEGER)                                                                \
    COLUMN(tax_minor, INTEGER)                                                                     \
    COLUMN(total_minor, INTEGER)                                                                   \
    COLUMN(captured_minor, INTEGER)                                                                \
    COLUMN(close_reason, TEXT)                                                                     \
    COLUMN(close_detail, TEXT)                                                                     \
    COLUMN(case_reason, TEXT)                                                                      \
    COLUMN(tracking, TEXT)                                                                         \
    COLUMN(ordered_at, TIME)                                                                       \
    COLUMN(placed_at, TIME)                                                                        \
    COLUMN(confirmed_at, TIME)                                                                     \
    COLUMN(dispatched_at, TIME)                                                                    \
    COLUMN(delivered_at, TIME)                                                                     \
    COLUMN(closed_at, TIME)                                                                        \
    COLUMN(updated_at, TIME)

enum kind { KIND_ID, KIND_INTEGER, KIND_TEXT, KIND_TIME };

#define COLUMN_ID(name_, kind_) COLUMN_##name_,
enum column {
    ORDER_COLUMNS(COLUMN_ID) COLUMN_lines,
    COLUMN_shop_id,
    COLUMN_address_customer_id,
    COLUMN_address_key_id,
    COLUMN_address_nonce,
    COLUMN_address_ciphertext,
};

#define COLUMN_ROW(name_, kind_) {#name_, KIND_##kind_},
static const struct {
    const char *name;
    enum kind kind;
} columns[] = {ORDER_COLUMNS(COLUMN_ROW)};
_Static_assert(sizeof(columns) / sizeof(columns[0]) == COLUMN_lines, "lines come behind");

#define COLUMN_SQL(name_, kind_) "o." #name_ ", "
#define SELECT_ORDER "SELECT " ORDER_COLUMNS(COLUMN_SQL) "s.lines, o.shop_id"
#define FROM_ORDER " FROM orders o LEFT JOIN order_line_sets s USING (order_id)"
#define WHERE_ORDER " WHERE o.order_id = ANY($1::uuid[])"

const char query_order_sql[] = SELECT_ORDER FROM_ORDER WHERE_ORDER;

const char query_order_addressed_sql[] = SELECT_ORDER
    ", a.customer_id, a.key_id, a.nonce, a.ciphertext" FROM_ORDER
    " LEFT JOIN order_addresses a ON a.order_id = o.order_id AND a.shop_id = o.shop_id" WHERE_ORDER;

struct id query_order_id(const PGresult *result, int row) {
    return db_uuid(result, row, COLUMN_order_id);
}

int64_t query_order_version(const PGresult *result, int row) {
    return db_int8(result, row, COLUMN_version);
}

const char *query_order_shop(const PGresult *result, int row) {
    return PQgetvalue(result, row, COLUMN_shop_id);
}

const char *query_order_customer(const PGresult *result, int row) {
    return PQgetvalue(result, row, COLUMN_customer_id);
}

static struct view cell(const PGresult *result, int row, int column) {
    return (struct view){PQgetvalue(result, row, column),
                         (uint32_t)PQgetlength(result, row, column)};
}

bool query_order_address(const PGresult *result, int row, struct view *ret_customer,
                         struct personal *ret_sealed) {
    if (db_is_null(result, row, COLUMN_address_key_id))
        return false;
    *ret_customer = cell(result, row, COLUMN_address_customer_id);
    *ret_sealed = (struct personal){.key_id = db_uuid(result, row, COLUMN_address_key_id),
                                    .nonce = cell(result, row, COLUMN_address_nonce),
                                    .ciphertext = cell(result, row, COLUMN_address_ciphertext)};
    return true;
}

// --- times -------------------------------------------------------------------------------------

enum { DAY_S = 86400, TIME_TEXT_MAX = sizeof("-000000-00-00T00:00:00.000000+00:00") };

struct date {
    int64_t year;
    unsigned month;
    unsigned day;
};

// Of the proleptic Gregorian calendar. Years begin in March here, so that a leap day is the last of
// one; 400 of them have 146097 days.
static struct date date_of(int64_t days_since_1970) {
    int64_t days = days_since_1970 + 719468; // since 1 March of year 0
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; // 0: March
    return (struct date){.year = era * 400 + year + (month >= 10),
                         .month = month < 10 ? month + 3 : month - 9,
                         .day = of_year - (153 * month + 2) / 5 + 1};
}

static char *put_digits(char *at, unsigned number, int digits) {
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + digits;
}

// As PostgreSQL writes times in JSON: a fraction only as long as it has to be.
static size_t format_time(int64_t us, char text[TIME_TEXT_MAX]) {
    int64_t seconds = us / 1000000 - (us % 1000000 < 0);
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
    unsigned of_day = (unsigned)(seconds - days * DAY_S);
    unsigned fraction = (unsigned)(us - seconds * 1000000);
    struct date date = date_of(days);
    char *at = text;
    if (date.year < 0)
        *at++ = '-';
    unsigned year = (unsigned)(date.year < 0 ? -date.year : date.year);
    at = put_digits(at, year, year > 9999 ? 6 : 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day % 60, 2);
    if (fraction > 0) {
        *at++ = '.';
        at = put_digits(at, fraction, 6);
        while (at[-1] == '0')
            at--;
    }
    memcpy(at, "+00:00", 6);
    return (size_t)(at + 6 - text);
}

// --- all together ------------------------------------------------------------------------------

static void write_column(struct jsonout *out, const PGresult *result, int row, int column) {
    const char *name = columns[column].name;
    char text[TIME_TEXT_MAX + ID_TEXT_LEN] UNINITIALIZED;
    struct id id;
    if (db_is_null(result, row, column)) {
        jsonout_null(out, name);
        return;
    }
    switch (columns[column].kind) {
    case KIND_ID:
        id = db_uuid(result, row, column);
        id_format(&id, text);
        jsonout_string_n(out, name, text, ID_TEXT_LEN);
        break;
    case KIND_INTEGER:
        jsonout_int(out, name, db_int8(result, row, column));
        break;
    case KIND_TEXT:
        jsonout_string_n(out, name, PQgetvalue(result, row, column),
                         (size_t)PQgetlength(result, row, column));
        break;
    case KIND_TIME:
        jsonout_string_n(out, name, text, format_time(db_time_us(result, row, column), text));
        break;
    }
}

void query_order_write(struct jsonout *out, const PGresult *result, int row) {
    jsonout_object_begin(out, NULL);
    for (int column = 0; column < COLUMN_lines; column++)
        write_column(out, result, row, column);
    if (db_is_null(result, row, COLUMN_lines))
        jsonout_null(out, "lines");
    else // as the projector wrote them
        jsonout_raw(out, "lines", PQgetvalue(result, row, COLUMN_lines),
                    (size_t)PQgetlength(result, row, COLUMN_lines));
    jsonout_object_end(out);
}
