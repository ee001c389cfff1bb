// SPDX-License-Identifier: Apache-2.0
//
// One structured line per event, on stderr, as text (logfmt) or JSON, written with one write() so
// that lines of several threads never mix. Any thread, no allocation, lines are at most
// LOG_LINE_MAX bytes (longer values are cut and end in "…"). Never log payloads, names of people,
// credentials or keys.
//
//   LOG(INFO, "partition taken over", F_STR("topic", topic), F_INT("partition", partition));
//   LOG(ERROR, "commit failed, aborting the transaction", F_ERR(&err));
//
// The text says the consequence; context is in the fields. What a thread has in hand is put on
// every line that it writes meanwhile (log_context), where the line does not say it itself.
#ifndef ORDERLOG_SERVICE_LOG_H
#define ORDERLOG_SERVICE_LOG_H

#include "service/error.h"
#include "service/trace.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_LINE_MAX = 4096 };

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_field_type {
    LOG_FIELD_STR,
    LOG_FIELD_INT,
    LOG_FIELD_UINT,
    LOG_FIELD_REAL,
    LOG_FIELD_BOOL
};

struct log_field {
    const char *key;
    enum log_field_type type;
    size_t length; // of str
    union {
        const char *str;
        int64_t sint;
        uint64_t uint;
        double real;
        bool boolean;
    };
};

// str may be NULL and is then left out.
#define F_STR(key_, str_) log_field_str((key_), (str_))
#define F_VIEW(key_, ptr_, length_)                                                                \
    ((struct log_field){.key = (key_), .type = LOG_FIELD_STR, .length = (length_), .str = (ptr_)})
#define F_INT(key_, value_)                                                                        \
    ((struct log_field){.key = (key_), .type = LOG_FIELD_INT, .sint = (int64_t)(value_)})
#define F_UINT(key_, value_)                                                                       \
    ((struct log_field){.key = (key_), .type = LOG_FIELD_UINT, .uint = (uint64_t)(value_)})
#define F_REAL(key_, value_)                                                                       \
    ((struct log_field){.key = (key_), .type = LOG_FIELD_REAL, .real = (value_)})
#define F_BOOL(key_, value_)                                                                       \
    ((struct log_field){.key = (key_), .type = LOG_FIELD_BOOL, .boolean = (value_)})
#define F_ERR(err_) log_field_str("error", (err_)->msg)

#define LOG(level_, text_, ...)                                                                    \
    do {                                                                                           \
        if (log_enabled(LEVEL_##level_)) {                                                         \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                 \
            log_write(LEVEL_##level_, (text_), log_fields_ + 1,                                    \
                      sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);                           \
        }                                                                                          \
    } while (0)

// What is known of it.
struct log_about {
    const char *topic; // NULL: no message
    int32_t partition;
    int64_t offset; // < 0: not known
    bool has_order_id;
    uint8_t order_id[16];
    struct trace_context trace;
};

// tell is called only when a line is written; *ret is empty then (offset -1).
struct log_context {
    void (*tell)(const void *opaque, struct log_about *ret);
    const void *opaque;
};

extern _Thread_local const struct log_context *log_context; // borrowed; NULL: nothing

extern _Atomic int log_level_min;

static inline bool log_enabled(enum log_level level) {
    return (int)level >= atomic_load_explicit(&log_level_min, memory_order_relaxed);
}

// Before other threads start. role (borrowed, a literal) is put on every line; slot < 0: none.
void log_init(enum log_level level, enum log_format format, const char *role, int slot);

// From the words of the option table: "debug|info|warn|error", "text|json".
void log_init_from_words(const char *level, const char *format, const char *role, int slot);

struct log_field log_field_str(const char *key, const char *str);

void log_write(enum log_level level, const char *text, const struct log_field *fields,
               size_t count);

// syslog numbers (0 worst … 7 debug), as librdkafka's log callback hands them.
enum log_level log_level_from_syslog(int syslog_level);

// The line without writing it: for tests. Returns its length, without the closing newline.
size_t log_render(char *buffer, size_t size, enum log_format format, int64_t now_us,
                  enum log_level level, const char *text, const struct log_field *fields,
                  size_t count);

#endif
