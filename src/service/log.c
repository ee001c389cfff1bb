// SPDX-License-Identifier: Apache-2.0
//
// A line is built on the stack and leaves in one write(), so that lines never mix and nothing is
// lost in a buffer when the process ends at once.
#include "service/log.h"

#include "service/clock.h"
#include "service/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Atomic int log_level_min = LEVEL_INFO;
_Thread_local const struct log_context *log_context;

static enum log_format format_wanted = LOG_FORMAT_TEXT;
static const char *process_role = NULL;
static int process_slot = -1;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level level, enum log_format format, const char *role, int slot) {
    atomic_store(&log_level_min, (int)level);
    format_wanted = format;
    process_role = role;
    process_slot = slot;
}

void log_init_from_words(const char *level, const char *format, const char *role, int slot) {
    enum log_level found = LEVEL_INFO;
    for (int i = LEVEL_DEBUG; i <= LEVEL_ERROR; i++) {
        if (strcmp(level, level_names[i]) == 0)
            found = (enum log_level)i;
    }
    log_init(found, strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, role, slot);
}

struct log_field log_field_str(const char *key, const char *str) {
    return (struct log_field){.key = str ? key : NULL,
                              .type = LOG_FIELD_STR,
                              .length = str ? strlen(str) : 0,
                              .str = str};
}

enum log_level log_level_from_syslog(int syslog_level) {
    if (syslog_level <= 3)
        return LEVEL_ERROR;
    if (syslog_level == 4)
        return LEVEL_WARN;
    return syslog_level <= 6 ? LEVEL_INFO : LEVEL_DEBUG;
}

// --- building a line ---------------------------------------------------------------------------

// Room is kept back for the closing quote and brace, so that a cut line is still well-formed.
enum { LINE_RESERVE = 16 };

struct line {
    char *at;
    char *end; // what may be filled by values
};

static void put(struct line *line, const char *bytes, size_t length) {
    size_t room = (size_t)(line->end - line->at);
    if (length > room)
        length = room;
    memcpy(line->at, bytes, length);
    line->at += length;
}

static void put_text(struct line *line, const char *text) {
    put(line, text, strlen(text));
}

// All or nothing: an escape or a UTF-8 character must not be torn.
static bool put_whole(struct line *line, const char *bytes, size_t length) {
    if ((size_t)(line->end - line->at) < length)
        return false;
    put(line, bytes, length);
    return true;
}

// Length of the well-formed UTF-8 character at `at`, 0 when it is none.
static size_t utf8_length(const unsigned char *at, size_t left) {
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F);
    return overlong || beyond ? 0 : length;
}

static void put_escaped(struct line *line, const char *str, size_t length) {
    const unsigned char *at = (const unsigned char *)str;
    const unsigned char *end = at + length;
    while (at < end) {
        size_t width = utf8_length(at, (size_t)(end - at));
        char escape[8];
        bool fits;
        if (width == 0) {
            fits = put_whole(line, "\xEF\xBF\xBD", 3); // U+FFFD
            width = 1;
        } else if (*at == '"' || *at == '\\') {
            fits = put_whole(line, (char[]){'\\', (char)*at}, 2);
        } else if (*at < 0x20 || *at == 0x7F) {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", *at);
            fits = put_whole(line, escape, 6);
        } else {
            fits = put_whole(line, (const char *)at, width);
        }
        if (!fits)
            return;
        at += width;
    }
}

static bool needs_quotes(const char *str, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)str[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return length == 0;
}

static void put_str(struct line *line, enum log_format format, const char *str, size_t length) {
    if (format == LOG_FORMAT_TEXT && !needs_quotes(str, length)) {
        put(line, str, length);
        return;
    }
    put_text(line, "\"");
    put_escaped(line, str, length);
    // The closing quote goes into the reserve if need be.
    *line->at++ = '"';
    if (line->at > line->end)
        line->end = line->at;
}

static void put_value(struct line *line, enum log_format format, const struct log_field *field) {
    char number[40];
    switch (field->type) {
    case LOG_FIELD_STR:
        put_str(line, format, field->str, field->length);
        return;
    case LOG_FIELD_INT:
        (void)snprintf(number, sizeof(number), "%lld", (long long)field->sint);
        break;
    case LOG_FIELD_UINT:
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)field->uint);
        break;
    case LOG_FIELD_REAL:
        if (isfinite(field->real))
            (void)snprintf(number, sizeof(number), "%.6g", field->real);
        else
            (void)snprintf(number, sizeof(number), "null");
        break;
    case LOG_FIELD_BOOL:
        (void)snprintf(number, sizeof(number), "%s", field->boolean ? "true" : "false");
        break;
    }
    put_text(line, number);
}

static void put_field(struct line *line, enum log_format format, const struct log_field *field) {
    // A field that has no room for its key and a short value is left out whole.
    if ((size_t)(line->end - line->at) < strlen(field->key) + 48)
        return;
    if (format == LOG_FORMAT_JSON) {
        put_text(line, ",\"");
        put_text(line, field->key);
        put_text(line, "\":");
    } else {
        put_text(line, " ");
        put_text(line, field->key);
        put_text(line, "=");
    }
    put_value(line, format, field);
}

size_t log_render(char *buffer, size_t size, enum log_format format, int64_t now_us,
                  enum log_level level, const char *text, const struct log_field *fields,
                  size_t count) {
    struct line line = {.at = buffer, .end = buffer + size - LINE_RESERVE};
    char time[CLOCK_TEXT_SIZE];
    clock_format_us(now_us, time);

    if (format == LOG_FORMAT_JSON) {
        put_text(&line, "{\"time\":\"");
        put_text(&line, time);
        put_text(&line, "\",\"level\":\"");
        put_text(&line, level_names[level]);
        put_text(&line, "\",\"text\":");
        put_str(&line, format, text, strlen(text));
    } else {
        put_text(&line, time);
        put_text(&line, " ");
        put_text(&line, level_names[level]);
        put_text(&line, level == LEVEL_INFO || level == LEVEL_WARN ? "  " : " ");
        put_text(&line, text);
    }
    if (process_role)
        put_field(&line, format, &F_VIEW("role", process_role, strlen(process_role)));
    if (process_slot >= 0)
        put_field(&line, format, &F_INT("slot", process_slot));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key)
            put_field(&line, format, &fields[i]);
    }
    if (format == LOG_FORMAT_JSON)
        *line.at++ = '}';
    *line.at = '\0';
    return (size_t)(line.at - buffer);
}

// ---- what the thread has in hand ---------------------------------------------------------------

enum { FIELDS_MAX = 32, ID_TEXT_SIZE = 37 };

struct fields {
    struct log_field items[FIELDS_MAX];
    size_t count;
    char order_id[ID_TEXT_SIZE];
    char trace_id[TRACE_ID_TEXT_LEN + 1];
};

// What the line says itself goes before.
static void add(struct fields *fields, struct log_field field) {
    for (size_t i = 0; i < fields->count; i++)
        if (fields->items[i].key && strcmp(fields->items[i].key, field.key) == 0)
            return;
    if (fields->count < FIELDS_MAX)
        fields->items[fields->count++] = field;
}

static void add_context(struct fields *fields) {
    struct log_about about = {.offset = -1};
    log_context->tell(log_context->opaque, &about);
    if (about.topic) {
        add(fields, F_STR("topic", about.topic));
        add(fields, F_INT("partition", about.partition));
        if (about.offset >= 0)
            add(fields, F_INT("offset", about.offset));
    }
    if (about.has_order_id) {
        const uint8_t *b = about.order_id;
        (void)snprintf(fields->order_id, sizeof(fields->order_id),
                       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
                       b[13], b[14], b[15]);
        add(fields, F_STR("order_id", fields->order_id));
    }
    if (about.trace.is_set) {
        trace_id_format(&about.trace, fields->trace_id);
        add(fields, F_STR("trace_id", fields->trace_id));
    }
}

void log_write(enum log_level level, const char *text, const struct log_field *given,
               size_t count) {
    char buffer[LOG_LINE_MAX];
    struct fields fields;
    fields.count = count < FIELDS_MAX ? count : FIELDS_MAX;
    if (fields.count > 0)
        memcpy(fields.items, given, fields.count * sizeof(*given));
    if (log_context)
        add_context(&fields);
    size_t length = log_render(buffer, sizeof(buffer), format_wanted, clock_now_us(), level, text,
                               fields.items, fields.count);
    buffer[length++] = '\n';
    metrics_add(METRIC_LOG_LINES, (int)level, 1);
    // A log that cannot be written must not stop the work.
    ssize_t written = write(STDERR_FILENO, buffer, length);
    (void)written;
}
