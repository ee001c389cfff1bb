// SPDX-License-Identifier: Apache-2.0
//
// By recursive descent over a terminated copy of the input: the NUL behind it ends every loop, and
// one inside is no JSON anywhere.
#include "http/jsonin.h"

#include "event/codec.h"

#include <string.h>

struct reading {
    struct arena *arena;
    char *at;
    char *end;
    int depth;
    enum jsonin_fault fault;
    const char *why;
};

static bool fail(struct reading *reading, enum jsonin_fault fault, const char *why) {
    reading->fault = fault;
    reading->why = why;
    return false;
}

static void skip_space(struct reading *reading) {
    while (*reading->at == ' ' || *reading->at == '\n' || *reading->at == '\r' ||
           *reading->at == '\t')
        reading->at++;
}

// --- text --------------------------------------------------------------------------------------

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four digits; -1: they are none.
static int32_t read_hex4(const char *at) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]); // a NUL is none, so that this stays within the text
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

// What follows \u. The escaped form is never shorter than the character.
static bool read_unicode(struct reading *reading, char **out) {
    int32_t code = read_hex4(reading->at);
    if (code < 0)
        return fail(reading, JSONIN_MALFORMED, "an escape \\u needs four hexadecimal digits");
    if (code == 0)
        return fail(reading, JSONIN_MALFORMED, "\\u0000 is not taken");
    reading->at += 4;
    if (code >= 0xD800 && code <= 0xDFFF) {
        int32_t low = code <= 0xDBFF && reading->at[0] == '\\' && reading->at[1] == 'u'
                          ? read_hex4(reading->at + 2)
                          : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(reading, JSONIN_MALFORMED, "a surrogate stands alone");
        reading->at += 6;
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
    }
    *out = put_utf8(*out, (uint32_t)code);
    return true;
}

static bool read_escape(struct reading *reading, char **out) {
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    char c = reading->at[1];
    const char *name = c ? strchr(names, c) : NULL;
    if (!name && c != 'u')
        return fail(reading, JSONIN_MALFORMED, "there is no such escape");
    reading->at += 2;
    if (c == 'u')
        return read_unicode(reading, out);
    *(*out)++ = meant[name - names];
    return true;
}

// Up to what ends plain text: a quote, a backslash, a control character. Notes bytes of UTF-8.
static char *skip_plain(char *at, unsigned char *high) {
    for (;; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c == '"' || c == '\\')
            return at;
        *high |= c;
    }
}

static bool read_text(struct reading *reading, const char **ret_text, uint32_t *ret_length) {
    char *text = ++reading->at;
    unsigned char high = 0;
    char *out = reading->at = skip_plain(text, &high);
    while (*reading->at == '\\') {
        if (!read_escape(reading, &out))
            return false;
        char *from = reading->at;
        reading->at = skip_plain(from, &high);
        memmove(out, from, (size_t)(reading->at - from));
        out += reading->at - from;
    }
    if (*reading->at != '"')
        return fail(reading, JSONIN_MALFORMED,
                    reading->at == reading->end ? "a string does not end"
                                                : "a control character in a string");
    if ((high & 0x80) && !codec_text_is_valid(text, (size_t)(out - text)))
        return fail(reading, JSONIN_BAD_UTF8, "a string is not UTF-8");
    reading->at++;
    *out = '\0';
    *ret_text = text;
    *ret_length = (uint32_t)(out - text);
    return true;
}

// --- numbers -----------------------------------------------------------------------------------

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool read_digits(struct reading *reading) {
    if (!is_digit(*reading->at))
        return fail(reading, JSONIN_MALFORMED, "a digit is missing");
    while (is_digit(*reading->at))
        reading->at++;
    return true;
}

// A fraction, an exponent, both, or none. A fraction of zeros is none: 2.0 is the whole number that
// some encoders mean by it, and JSON Schema takes it for one.
static bool read_real(struct reading *reading, struct jsonin *value) {
    if (*reading->at == '.') {
        const char *fraction = ++reading->at;
        if (!read_digits(reading))
            return false;
        for (; fraction < reading->at; fraction++) {
            if (*fraction != '0')
                value->kind = JSONIN_REAL;
        }
    }
    if ((*reading->at | 0x20) != 'e')
        return true;
    value->kind = JSONIN_REAL;
    reading->at++;
    if (*reading->at == '+' || *reading->at == '-')
        reading->at++;
    return read_digits(reading);
}

static bool read_number(struct reading *reading, struct jsonin *value) {
    const bool negative = *reading->at == '-';
    reading->at += negative;
    const char *digits = reading->at;
    bool fits = true;
    int64_t number = 0;
    if (!is_digit(*digits))
        return fail(reading, JSONIN_MALFORMED, "a value is missing");
    for (; is_digit(*reading->at); reading->at++) {
        int digit = negative ? -(*reading->at - '0') : *reading->at - '0';
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, digit, &number);
    }
    if (digits[0] == '0' && reading->at - digits > 1)
        return fail(reading, JSONIN_MALFORMED, "a number begins with 0");
    value->kind = JSONIN_INTEGER;
    value->integer = number;
    if (!read_real(reading, value))
        return false;
    return value->kind == JSONIN_REAL || fits ||
           fail(reading, JSONIN_MALFORMED, "a number is too large");
}

// --- values ------------------------------------------------------------------------------------

static bool read_value(struct reading *reading, struct jsonin *value);

static struct jsonin *new_value(struct reading *reading) {
    struct jsonin *value = arena_alloc(reading->arena, sizeof(*value));
    if (!value) {
        (void)fail(reading, JSONIN_NO_MEMORY, "out of memory");
        return NULL;
    }
    value->next = NULL;
    value->name = NULL;
    value->name_length = 0;
    return value;
}

static bool read_name(struct reading *reading, const struct jsonin *object, struct jsonin *member) {
    if (*reading->at != '"')
        return fail(reading, JSONIN_MALFORMED, "a name of a member is missing");
    if (!read_text(reading, &member->name, &member->name_length))
        return false;
    if (object->length == JSONIN_MEMBERS_MAX)
        return fail(reading, JSONIN_MALFORMED, "an object has too many members");
    for (const struct jsonin *other = object->first; other; other = other->next) {
        if (other->name_length == member->name_length &&
            memcmp(other->name, member->name, member->name_length) == 0)
            return fail(reading, JSONIN_DUPLICATE, "an object has a key twice");
    }
    skip_space(reading);
    if (*reading->at != ':')
        return fail(reading, JSONIN_MALFORMED, "a colon is missing");
    reading->at++;
    skip_space(reading);
    return true;
}

// An array or an object, whose values stand in a list.
static bool read_list(struct reading *reading, struct jsonin *list, enum jsonin_kind kind) {
    const char close = kind == JSONIN_OBJECT ? '}' : ']';
    const struct jsonin **link = &list->first;
    list->kind = kind;
    list->length = 0;
    list->first = NULL;
    if (++reading->depth > JSONIN_DEPTH_MAX)
        return fail(reading, JSONIN_TOO_DEEP, "nesting is too deep");
    reading->at++;
    skip_space(reading);
    bool more = *reading->at != close;
    while (more) {
        struct jsonin *value = new_value(reading);
        if (!value || (kind == JSONIN_OBJECT && !read_name(reading, list, value)) ||
            !read_value(reading, value))
            return false;
        *link = value;
        link = &value->next;
        list->length++;
        skip_space(reading);
        more = *reading->at == ',';
        if (more) {
            reading->at++;
            skip_space(reading);
        }
    }
    if (*reading->at != close)
        return fail(reading, JSONIN_MALFORMED, "a comma or the end of a list is missing");
    reading->at++;
    reading->depth--;
    return true;
}

static bool read_word(struct reading *reading, struct jsonin *value, const char *word,
                      enum jsonin_kind kind) {
    size_t length = strlen(word);
    if (strncmp(reading->at, word, length) != 0)
        return fail(reading, JSONIN_MALFORMED, "a value is missing");
    reading->at += length;
    value->kind = kind;
    return true;
}

static bool read_value(struct reading *reading, struct jsonin *value) {
    switch (*reading->at) {
    case '"':
        value->kind = JSONIN_STRING;
        return read_text(reading, &value->text, &value->length);
    case '{':
        return read_list(reading, value, JSONIN_OBJECT);
    case '[':
        return read_list(reading, value, JSONIN_ARRAY);
    case 't':
        return read_word(reading, value, "true", JSONIN_TRUE);
    case 'f':
        return read_word(reading, value, "false", JSONIN_FALSE);
    case 'n':
        return read_word(reading, value, "null", JSONIN_NULL);
    default:
        return read_number(reading, value);
    }
}

// Columns are characters, as an editor counts them.
static void explain(const struct reading *reading, const char *text, size_t length,
                    struct jsonin_error *ret) {
    const char *at = text + length - (reading->end - reading->at);
    *ret =
        (struct jsonin_error){.fault = reading->fault, .why = reading->why, .line = 1, .column = 1};
    for (; text < at; text++) {
        if (*text == '\n') {
            ret->line++;
            ret->column = 1;
        } else if (((unsigned char)*text & 0xC0) != 0x80) {
            ret->column++;
        }
    }
}

const struct jsonin *jsonin_read(struct arena *arena, const char *text, size_t length,
                                 struct jsonin_error *ret_error) {
    char *copy = length < UINT32_MAX ? arena_alloc(arena, length + 1) : NULL;
    struct reading reading = {.arena = arena};
    struct jsonin *value = copy ? new_value(&reading) : NULL;
    if (!value) {
        *ret_error = (struct jsonin_error){.fault = JSONIN_NO_MEMORY, .why = "out of memory"};
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    reading.at = copy;
    reading.end = copy + length;
    skip_space(&reading);
    if (read_value(&reading, value)) {
        skip_space(&reading);
        if (reading.at == reading.end)
            return value;
        (void)fail(&reading, JSONIN_MALFORMED, "something follows the value");
    }
    explain(&reading, text, length, ret_error);
    return NULL;
}

const struct jsonin *jsonin_member(const struct jsonin *object, const char *name) {
    size_t length = strlen(name);
    for (const struct jsonin *member = object->first; member; member = member->next) {
        if (member->name_length == length && memcmp(member->name, name, length) == 0)
            return member;
    }
    return NULL;
}
