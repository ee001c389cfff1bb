// SPDX-License-Identifier: Apache-2.0
//
// jansson checks the UTF-8, and an answer is too short (WIRE_REPLY_MAX) to be nested dangerously.
#include "http_answer.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

// Cuts at the beginning of a character.
static void copy_text(const json_t *value, char *out, size_t size) {
    const char *text = json_string_value(value);
    if (!text)
        return;
    size_t length = strlen(text);
    if (length >= size)
        for (length = size - 1; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;)
            length--;
    for (size_t i = 0; i < length; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i];
    out[length] = '\0';
}

static bool names(const json_t *object, const char *id_name, const struct id *id) {
    const json_t *value = json_object_get(object, id_name);
    struct id named;
    return json_is_string(value) &&
           id_parse(json_string_value(value), json_string_length(value), &named) &&
           id_equal(&named, id);
}

bool http_answer_read(const struct wire_reply *reply, const char *id_name, const struct id *id,
                      struct http_answer *ret) {
    json_t *object = json_loadb(reply->body, reply->length, JSON_REJECT_DUPLICATES, NULL);
    bool good = names(object, id_name, id) && json_is_string(json_object_get(object, "status"));
    if (good) {
        *ret = (struct http_answer){0};
        copy_text(json_object_get(object, "status"), ret->status, sizeof(ret->status));
        copy_text(json_object_get(object, "reason"), ret->reason, sizeof(ret->reason));
        copy_text(json_object_get(object, "tracking"), ret->tracking, sizeof(ret->tracking));
        ret->reports = json_is_true(json_object_get(object, "reports"));
        ret->ask_again_ms = json_integer_value(json_object_get(object, "ask_again_ms"));
    }
    json_decref(object);
    return good;
}

bool http_answer_refuses(long status) {
    return status == 400 || status == 402 || status == 410 || status == 413 || status == 415 ||
           status == 422;
}

const char *http_answer_lower(const char *word, char out[HTTP_ACTION_MAX]) {
    size_t i = 0;
    for (; word[i] && i < HTTP_ACTION_MAX - 1; i++)
        out[i] = (char)tolower((unsigned char)word[i]);
    out[i] = '\0';
    return out;
}
