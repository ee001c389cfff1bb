// SPDX-License-Identifier: Apache-2.0
//
// Values for codec tests, of any record, made from its description: random ones that like the
// edges, one fixed sample per record for the golden files, and deep equality.
#ifndef ORDERLOG_TESTS_CODEC_CASES_H
#define ORDERLOG_TESTS_CODEC_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "event/codec.h"

struct codec_random {
    uint64_t state;
};

uint64_t codec_random_next(struct codec_random *random);
uint64_t codec_random_below(struct codec_random *random, uint64_t bound);

// The seed of this run: ORDERLOG_SEED or the clock. Printed, so that a failure can be repeated.
struct codec_random codec_random_seed(const char *test);

// How many values per record: ORDERLOG_CODEC_CASES, or 10,000, or 100,000 in a long run.
int codec_cases_count(void);

// Fills the record; strings and items are in the arena.
void codec_random_record(struct codec_random *random, const struct record_type *type,
                         struct arena *arena, void *record);

// The same value in every run and every version of this file. A field that is new in a schema does
// not change the others' values.
void codec_sample_record(const struct record_type *type, struct arena *arena, void *record);

bool codec_records_equal(const struct record_type *type, const void *a, const void *b);

// Size of one value or item of the field.
size_t codec_value_size(const struct field_type *field);

bool codec_field_is_null(const struct field_type *field, const void *record);

#endif
