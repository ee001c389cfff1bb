// SPDX-License-Identifier: Apache-2.0
//
// What makes the day look real: few SKUs sell most (Zipf), most orders are short and a few are long
// (log-normal), noon and evening are busy, some customers come back and some are guests, and now
// and then a SKU is in an order twice.
#include "cli/shop_day.h"

#include "cli/random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const adjectives[] = {
    "Blue",  "Red",   "Ivory",   "Striped", "Spotted", "Little", "Grand",  "Folding",
    "Round", "Tall",  "Vintage", "Nordic",  "Quilted", "Woven",  "Smoked", "Matte",
    "Olive", "Amber", "Copper",  "Scarlet", "Misty",   "Polar",  "Rustic", "Garden",
};
static const char *const materials[] = {
    "Enamel", "Linen",  "Oak",     "Glass", "Ceramic", "Felt",  "Wicker", "Brass",
    "Cotton", "Marble", "Leather", "Paper", "Bamboo",  "Slate", "Wool",
};
static const char *const nouns[] = {
    "Teapot",   "Lantern",       "Basket",     "Cushion",     "Tray",     "Apron",   "Candle",
    "Notebook", "Mug",           "Bunting",    "Clock",       "Doorstop", "Jug",     "Blanket",
    "Birdbox",  "Picture Frame", "Vase",       "Coat Peg",    "Lamp",     "Bowl",    "Tea Towel",
    "Gift Bag", "Umbrella",      "Cake Stand", "Spoon",       "Mirror",   "Planter", "Coaster",
    "Jar",      "Garland",       "Puzzle",     "Napkin Ring",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Orders per hour of the day, as shares.
static const double hour_shares[24] = {1,  0.5, 0.3, 0.2, 0.2, 0.5, 1.5, 3, 5, 7, 8, 9,
                                       10, 9,   8,   7,   6.5, 6,   6,   7, 8, 7, 4, 2};

struct product {
    char sku[16];
    char name[64];
    int64_t price_minor;
};

struct day_run {
    const struct shop_day *day;
    struct random random;
    struct product *products; // owned, day->skus of them
    double *cumulative;       // owned: Zipf shares summed up
    int *minutes;             // owned: of each order, ascending
};

static double normal(struct random *random) {
    // Box and Muller; 1 - unit is never 0.
    const double radius = sqrt(-2 * log(1 - random_unit(random)));
    return radius * cos(2 * M_PI * random_unit(random));
}

static void make_product(struct product *product, int64_t number) {
    // 7919 is coprime to the number of combinations: every number has its own name.
    const size_t combinations = COUNT(adjectives) * COUNT(materials) * COUNT(nouns);
    const size_t combination = (size_t)number * 7919 % combinations;
    const size_t edition = (size_t)number / combinations;
    (void)snprintf(product->sku, sizeof(product->sku), "OL-%05u", (unsigned)number % 100000);
    (void)snprintf(product->name, sizeof(product->name), edition ? "%s %s %s No. %zu" : "%s %s %s",
                   adjectives[combination % COUNT(adjectives)],
                   materials[combination / COUNT(adjectives) % COUNT(materials)],
                   nouns[combination / COUNT(adjectives) / COUNT(materials)], edition + 1);

    struct random random = {.state = (uint64_t)number};
    (void)random_next(&random);
    const int64_t fives = llround(60 * exp(0.9 * normal(&random)));
    product->price_minor = 5 * (fives < 5 ? 5 : fives) - (fives % 2 ? 1 : 0);
}

static int draw_minute(struct random *random) {
    double sum = 0;
    for (size_t hour = 0; hour < COUNT(hour_shares); hour++)
        sum += hour_shares[hour];
    double at = random_unit(random) * sum;
    size_t hour = 0;
    while (hour < COUNT(hour_shares) - 1 && at >= hour_shares[hour])
        at -= hour_shares[hour++];
    return (int)hour * 60 + (int)random_below(random, 60);
}

static int compare_ints(const void *a, const void *b) {
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

// 1 plus a log-normal number, rounded up or down by chance, so that the mean is lines_mean.
static int64_t draw_lines(struct day_run *run) {
    const double sigma = 0.9;
    const double more_mean = run->day->lines_mean - 1;
    if (more_mean <= 0)
        return 1;
    const double more = exp(log(more_mean) - sigma * sigma / 2 + sigma * normal(&run->random));
    const int64_t lines = 1 + (int64_t)(more + random_unit(&run->random));
    return lines < SHOP_DAY_LINES_MAX ? lines : SHOP_DAY_LINES_MAX;
}

static int64_t draw_sku(struct day_run *run) {
    const double at = random_unit(&run->random) * run->cumulative[run->day->skus - 1];
    int64_t low = 0;
    int64_t high = run->day->skus - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (run->cumulative[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// A SKU that is not in the order yet, mostly: the eighth try counts.
static int64_t draw_sku_for(struct day_run *run, const int64_t *skus, int64_t skus_count) {
    int64_t sku = 0;
    for (int tries = 0; tries < 8; tries++) {
        sku = draw_sku(run);
        bool is_new = true;
        for (int64_t i = 0; i < skus_count && is_new; i++)
            is_new = skus[i] != sku;
        if (is_new)
            break;
    }
    return sku;
}

static void write_order(struct day_run *run, int64_t index, FILE *out) {
    const struct shop_day *day = run->day;
    char customer[16] = "";
    if (random_below(&run->random, 10) != 0) {
        const double at = random_unit(&run->random);
        (void)snprintf(customer, sizeof(customer), "%u",
                       10000U + (unsigned)(at * at * (double)day->orders * 0.4));
    }

    int64_t skus[SHOP_DAY_LINES_MAX];
    const int64_t lines = draw_lines(run);
    for (int64_t i = 0; i < lines; i++) {
        skus[i] = draw_sku_for(run, skus, i);
        const struct product *product = &run->products[skus[i]];
        const int64_t quantity = 1 + (int64_t)(0.7 * exp(0.8 * normal(&run->random)));
        (void)fprintf(out,
                      "%.4s%.2s%.2s-%llu-%06lld,%s,%sT%02d:%02d:00,%lld,%s,%s,%lld,%lld,%s,%lld\n",
                      day->day, day->day + 5, day->day + 8, (unsigned long long)day->seed,
                      (long long)index + 1, customer, day->day, run->minutes[index] / 60,
                      run->minutes[index] % 60, (long long)i + 1, product->sku, product->name,
                      (long long)quantity, (long long)product->price_minor, day->currency,
                      (long long)(quantity * product->price_minor));
    }
}

static bool prepare(struct day_run *run, struct error *err) {
    const struct shop_day *day = run->day;
    run->products = calloc((size_t)day->skus, sizeof(*run->products));
    run->cumulative = calloc((size_t)day->skus, sizeof(*run->cumulative));
    run->minutes = calloc((size_t)day->orders + 1, sizeof(*run->minutes));
    if (!run->products || !run->cumulative || !run->minutes)
        return error_set(err, DISP_FATAL, ENOMEM, "out of memory for %lld orders",
                         (long long)day->orders);

    double sum = 0;
    for (int64_t i = 0; i < day->skus; i++) {
        make_product(&run->products[i], i);
        sum += 1.0 / (double)(i + 3); // flattened at the head: no SKU is in every second order
        run->cumulative[i] = sum;
    }
    for (int64_t i = 0; i < day->orders; i++)
        run->minutes[i] = draw_minute(&run->random);
    qsort(run->minutes, (size_t)day->orders, sizeof(*run->minutes), compare_ints);
    return true;
}

bool shop_day_write(const struct shop_day *day, FILE *out, struct error *err) {
    struct day_run run = {.day = day, .random = {.state = day->seed}};
    bool ok = prepare(&run, err);
    if (ok) {
        (void)fputs("order_id,customer_id,ordered_at,line_no,sku,description,quantity,"
                    "unit_price_minor,currency,line_total_minor\n",
                    out);
        for (int64_t i = 0; i < day->orders && !ferror(out); i++)
            write_order(&run, i, out);
        if (fflush(out) != 0 || ferror(out))
            ok = error_set(err, DISP_FATAL, errno, "write: %s", strerror(errno));
    }
    free(run.products);
    free(run.cumulative);
    free(run.minutes);
    return ok;
}
