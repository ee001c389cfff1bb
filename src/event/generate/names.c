// SPDX-License-Identifier: Apache-2.0
//
// Names are plain ASCII; anything else was refused before it gets here.
#include "names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void generate_fail(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)fputs("orderlog_generate: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

char *name_printf(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        generate_fail("out of memory");
    return text;
}

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

char *name_snake(const char *camel) {
    char *snake = calloc(2, strlen(camel) + 1);
    if (!snake)
        generate_fail("out of memory");
    char *at = snake;
    for (const char *from = camel; *from; from++) {
        if (is_upper(*from) && from != camel)
            *at++ = '_';
        *at++ = is_upper(*from) ? (char)(*from - 'A' + 'a') : *from;
    }
    return snake;
}

char *name_upper(const char *snake) {
    char *upper = name_printf("%s", snake);
    for (char *at = upper; *at; at++)
        if (is_lower(*at))
            *at = (char)(*at - 'a' + 'A');
    return upper;
}

bool name_is_camel(const char *name) {
    if (!is_upper(*name))
        return false;
    for (; *name; name++)
        if (!is_upper(*name) && !is_lower(*name) && !is_digit(*name))
            return false;
    return true;
}

bool name_is_snake(const char *name) {
    if (!is_lower(*name))
        return false;
    for (; *name; name++)
        if (!is_lower(*name) && !is_digit(*name) && *name != '_')
            return false;
    return true;
}

bool name_is_upper(const char *name) {
    if (!is_upper(*name))
        return false;
    for (; *name; name++)
        if (!is_upper(*name) && !is_digit(*name) && *name != '_')
            return false;
    return true;
}

static bool is_one_of(const char *name, const char *const *list) {
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

bool name_is_keyword(const char *name) {
    static const char *const keywords[] = {
        "alignas",  "alignof",  "and",    "asm",      "auto",     "bool",    "break",   "case",
        "catch",    "char",     "class",  "const",    "continue", "default", "delete",  "do",
        "double",   "else",     "enum",   "explicit", "export",   "extern",  "false",   "float",
        "for",      "friend",   "goto",   "if",       "inline",   "int",     "linux",   "long",
        "mutable",  "new",      "not",    "nullptr",  "operator", "or",      "private", "public",
        "register", "restrict", "return", "short",    "signed",   "sizeof",  "static",  "struct",
        "switch",   "template", "this",   "throw",    "true",     "try",     "typedef", "typeid",
        "typename", "typeof",   "union",  "unix",     "unsigned", "using",   "virtual", "void",
        "volatile", "while",    "xor",    NULL,
    };
    return is_one_of(name, keywords);
}

bool name_is_taken_tag(const char *name) {
    static const char *const tags[] = {
        "id",        "id_part",     "id_text",    "view",        "arena",
        "error",     "field_kind",  "field_type", "record_type", "message",
        "record_id", "disposition", "registry",   "schema_ids",  "clock",
        "topic",     "codec_fault", "codec_step", "codec_items", NULL,
    };
    return is_one_of(name, tags);
}
