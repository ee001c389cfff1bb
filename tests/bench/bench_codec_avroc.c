// SPDX-License-Identifier: Apache-2.0
#include "bench_codec_avroc.h"

#include <assert.h>
#include <string.h>

static void must(int code) {
    assert(code == 0);
}

static avro_value_t child(avro_value_t *value, size_t index) {
    avro_value_t ret;
    must(avro_value_get_by_index(value, index, &ret, NULL));
    return ret;
}

// ---- to avro-c
// -------------------------------------------------------------------------------------

static void set_text(avro_value_t *value, const struct view *text) {
    must(avro_value_set_string_len(value, (char *)(uintptr_t)text->ptr, text->len + 1));
}

static void set_id(avro_value_t *value, const struct id *id) {
    must(avro_value_set_string_len(value, id_text(id).text, ID_TEXT_LEN + 1));
}

static void set_long(avro_value_t *value, int64_t number) {
    must(avro_value_set_long(value, number));
}

// The branch of ["null", T] to fill; NULL where null is set.
static avro_value_t *set_branch(avro_value_t *value, bool is_there, avro_value_t *branch) {
    must(avro_value_set_branch(value, is_there, branch));
    if (is_there)
        return branch;
    must(avro_value_set_null(branch));
    return NULL;
}

static void set_line(avro_value_t *value, const struct order_line *line) {
    avro_value_t field, branch;
    field = child(value, 0), set_text(&field, &line->sku);
    field = child(value, 1), set_long(&field, line->quantity);
    field = child(value, 2), set_long(&field, line->unit_price_minor);
    field = child(value, 3);
    if (set_branch(&field, line->has_price_version, &branch))
        set_long(&branch, line->price_version);
}

void bench_avroc_set(const struct order_placed *order, avro_value_t *value) {
    avro_value_t field, branch;
    must(avro_value_reset(value));
    field = child(value, 0), set_id(&field, &order->event_id);
    field = child(value, 1), set_text(&field, &order->shop_id);
    field = child(value, 2), set_id(&field, &order->order_id);
    field = child(value, 3), set_long(&field, order->version);
    field = child(value, 4), set_long(&field, order->occurred_at);
    field = child(value, 5), set_id(&field, &order->causation_id);
    field = child(value, 6), set_id(&field, &order->correlation_id);
    field = child(value, 7), must(avro_value_set_enum(&field, (int)order->status));
    field = child(value, 8), must(avro_value_set_enum(&field, (int)order->reservation_status));
    field = child(value, 9), must(avro_value_set_enum(&field, (int)order->payment_status));
    field = child(value, 10), must(avro_value_set_enum(&field, (int)order->shipment_status));
    field = child(value, 11);
    if (set_branch(&field, order->has_key_id, &branch))
        set_id(&branch, &order->key_id);
    field = child(value, 12), set_text(&field, &order->customer_id);
    field = child(value, 13), set_text(&field, &order->currency);
    field = child(value, 14);
    if (set_branch(&field, order->reference.ptr != NULL, &branch))
        set_text(&branch, &order->reference);
    field = child(value, 15);
    if (set_branch(&field, order->has_ordered_at, &branch))
        set_long(&branch, order->ordered_at);
    field = child(value, 16), set_text(&field, &order->payment_method);
    field = child(value, 17);
    for (uint32_t i = 0; i < order->lines_count; i++) {
        must(avro_value_append(&field, &branch, NULL));
        set_line(&branch, &order->lines[i]);
    }
    field = child(value, 18), set_long(&field, order->items_minor);
    field = child(value, 19), set_long(&field, order->discount_minor);
    field = child(value, 20), set_long(&field, order->shipping_minor);
    field = child(value, 21), set_long(&field, order->tax_minor);
    field = child(value, 22), set_long(&field, order->total_minor);
    field = child(value, 23), set_long(&field, order->reservation_deadline);
}

// ---- from avro-c
// -----------------------------------------------------------------------------------

static void get_text(avro_value_t *value, struct view *ret) {
    size_t size; // the terminator counts
    must(avro_value_get_string(value, &ret->ptr, &size));
    ret->len = (uint32_t)size - 1;
}

static void get_id(avro_value_t *value, struct id *ret) {
    struct view text;
    get_text(value, &text);
    must(id_parse(text.ptr, text.len, ret) ? 0 : 1);
}

static void get_long(avro_value_t *value, int64_t *ret) {
    must(avro_value_get_long(value, ret));
}

static int get_enum(avro_value_t *value) {
    int symbol;
    must(avro_value_get_enum(value, &symbol));
    return symbol;
}

// The branch of ["null", T] that is there; NULL: null.
static avro_value_t *get_branch(avro_value_t *value, avro_value_t *branch) {
    int which;
    must(avro_value_get_discriminant(value, &which));
    if (which == 0)
        return NULL;
    must(avro_value_get_current_branch(value, branch));
    return branch;
}

static void get_line(avro_value_t *value, struct order_line *ret) {
    avro_value_t field, branch;
    field = child(value, 0), get_text(&field, &ret->sku);
    field = child(value, 1), get_long(&field, &ret->quantity);
    field = child(value, 2), get_long(&field, &ret->unit_price_minor);
    field = child(value, 3);
    ret->price_version = 0;
    ret->has_price_version = get_branch(&field, &branch) != NULL;
    if (ret->has_price_version)
        get_long(&branch, &ret->price_version);
}

void bench_avroc_get(avro_value_t *value, struct order_line *lines, uint32_t lines_max,
                     struct order_placed *ret) {
    avro_value_t field, branch;
    size_t count;
    field = child(value, 0), get_id(&field, &ret->event_id);
    field = child(value, 1), get_text(&field, &ret->shop_id);
    field = child(value, 2), get_id(&field, &ret->order_id);
    field = child(value, 3), get_long(&field, &ret->version);
    field = child(value, 4), get_long(&field, &ret->occurred_at);
    field = child(value, 5), get_id(&field, &ret->causation_id);
    field = child(value, 6), get_id(&field, &ret->correlation_id);
    field = child(value, 7), ret->status = (enum order_status)get_enum(&field);
    field = child(value, 8), ret->reservation_status = (enum reservation_status)get_enum(&field);
    field = child(value, 9), ret->payment_status = (enum payment_status)get_enum(&field);
    field = child(value, 10), ret->shipment_status = (enum shipment_status)get_enum(&field);
    field = child(value, 11);
    ret->has_key_id = get_branch(&field, &branch) != NULL;
    if (ret->has_key_id)
        get_id(&branch, &ret->key_id);
    field = child(value, 12), get_text(&field, &ret->customer_id);
    field = child(value, 13), get_text(&field, &ret->currency);
    field = child(value, 14);
    ret->reference = (struct view){0};
    if (get_branch(&field, &branch))
        get_text(&branch, &ret->reference);
    field = child(value, 15);
    ret->ordered_at = 0;
    ret->has_ordered_at = get_branch(&field, &branch) != NULL;
    if (ret->has_ordered_at)
        get_long(&branch, &ret->ordered_at);
    field = child(value, 16), get_text(&field, &ret->payment_method);
    field = child(value, 17);
    must(avro_value_get_size(&field, &count));
    assert(count <= lines_max);
    ret->lines = lines;
    ret->lines_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        must(avro_value_get_by_index(&field, i, &branch, NULL));
        get_line(&branch, &lines[i]);
    }
    field = child(value, 18), get_long(&field, &ret->items_minor);
    field = child(value, 19), get_long(&field, &ret->discount_minor);
    field = child(value, 20), get_long(&field, &ret->shipping_minor);
    field = child(value, 21), get_long(&field, &ret->tax_minor);
    field = child(value, 22), get_long(&field, &ret->total_minor);
    field = child(value, 23), get_long(&field, &ret->reservation_deadline);
}
