// SPDX-License-Identifier: Apache-2.0
//
// The currencies stand in one sorted string, three letters each, searched by halves.
#include "domain/money.h"

#include <string.h>

static const char currencies[] =
    "AEDAFNALLAMDAOAARSAUDAWGAZNBAMBBDBDTBGNBHDBIFBMDBNDBOBBOVBRLBSDBTNBWPBYNBZDCADCDFCHECHFCHWCLF"
    "CLPCNYCOPCOUCRCCUPCVECZKDJFDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGNFGTQGYDHKDHNLHTGHUFIDR"
    "ILSINRIQDIRRISKJMDJODJPYKESKGSKHRKMFKPWKRWKWDKYDKZTLAKLBPLKRLRDLSLLYDMADMDLMGAMKDMMKMNTMOPMRU"
    "MURMVRMWKMXNMXVMYRMZNNADNGNNIONOKNPRNZDOMRPABPENPGKPHPPKRPLNPYGQARRONRSDRUBRWFSARSBDSCRSDGSEK"
    "SGDSHPSLESOSSRDSSPSTNSVCSYPSZLTHBTJSTMTTNDTOPTRYTTDTWDTZSUAHUGXUSDUSNUYIUYUUYWUZSVEDVESVNDVUV"
    "WSTXAFXCDXCGXOFXPFYERZARZMWZWG";

enum { CODE_LEN = 3, CURRENCIES_COUNT = (sizeof(currencies) - 1) / CODE_LEN };
_Static_assert((sizeof(currencies) - 1) % CODE_LEN == 0, "codes have three letters");

static bool in_range(int64_t minor) {
    return minor >= -MONEY_MINOR_MAX && minor <= MONEY_MINOR_MAX;
}

bool money_add(int64_t a_minor, int64_t b_minor, int64_t *ret_minor) {
    int64_t sum;
    if (__builtin_add_overflow(a_minor, b_minor, &sum) || !in_range(sum))
        return false;
    *ret_minor = sum;
    return true;
}

bool money_multiply(int64_t quantity, int64_t unit_minor, int64_t *ret_minor) {
    int64_t product;
    if (__builtin_mul_overflow(quantity, unit_minor, &product) || !in_range(product))
        return false;
    *ret_minor = product;
    return true;
}

bool money_currency_known(const char *code, size_t len) {
    if (len != CODE_LEN)
        return false;
    size_t low = 0;
    size_t high = CURRENCIES_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(code, currencies + middle * CODE_LEN, CODE_LEN);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}
