// SPDX-License-Identifier: Apache-2.0
//
// Matching is a walk over the table: a dozen rows, compared segment by segment. Segments are
// decoded before they are compared, so that %6Frders is orders, and a parameter may hold any
// character, '/' included.
#include "http/router.h"

#include "service/uninitialized.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SEGMENTS_MAX = 8 };

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_clean_utf8(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + length;
    while (at < end) {
        if (*at < 0x20 || *at == 0x7F)
            return false;
        if (*at < 0x80) {
            at++;
            continue;
        }
        ptrdiff_t width = *at >= 0xF0 ? 4 : *at >= 0xE0 ? 3 : 2;
        if (*at < 0xC2 || *at > 0xF4 || end - at < width)
            return false;
        for (ptrdiff_t i = 1; i < width; i++) {
            if ((at[i] & 0xC0) != 0x80)
                return false;
        }
        if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90) ||
            (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F))
            return false;
        at += width;
    }
    return true;
}

bool router_decode(const char *text, size_t length, bool plus_is_space, char *out, size_t size) {
    size_t used = 0;
    assert(size > 0);
    out[0] = '\0';
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return is_clean_utf8(out, used);
}

struct segments {
    size_t count;
    char text[SEGMENTS_MAX][ROUTE_PARAM_BYTES_MAX];
};

// False: malformed. More segments than any route has are counted, not kept.
static bool split_path(const char *path, struct segments *ret) {
    if (path[0] != '/')
        return false;
    ret->count = 0;
    while (*path == '/') {
        path++;
        size_t length = strcspn(path, "/");
        char scratch[ROUTE_PARAM_BYTES_MAX] UNINITIALIZED;
        char *into = ret->count < SEGMENTS_MAX ? ret->text[ret->count] : scratch;
        if (!router_decode(path, length, /* plus_is_space= */ false, into, ROUTE_PARAM_BYTES_MAX))
            return false;
        ret->count++;
        path += length;
    }
    return true;
}

static bool match_pattern(const char *pattern, const struct segments *segments,
                          struct http_match *ret) {
    size_t index = 0;
    ret->params_count = 0;
    while (*pattern == '/') {
        pattern++;
        size_t length = strcspn(pattern, "/");
        if (index >= segments->count || index >= SEGMENTS_MAX)
            return false;
        const char *text = segments->text[index++];
        if (pattern[0] == '{') {
            if (!text[0])
                return false;
            assert(ret->params_count < ROUTE_PARAMS_MAX);
            uint32_t param = ret->params_count++;
            ret->params[param].name = pattern + 1;
            ret->params[param].name_length = length - 2;
            memcpy(ret->params[param].value, text, strlen(text) + 1);
        } else if (strncmp(pattern, text, length) != 0 || text[length]) {
            return false;
        }
        pattern += length;
    }
    return index == segments->count;
}

static bool method_matches(const char *route_method, const char *method) {
    if (strcmp(route_method, method) == 0)
        return true;
    // The server leaves out the body of an answer to HEAD.
    return strcmp(method, "HEAD") == 0 && strcmp(route_method, "GET") == 0;
}

static void allow_method(struct http_match *match, const char *method) {
    size_t used = strlen(match->allow);
    (void)snprintf(match->allow + used, sizeof(match->allow) - used, "%s%s%s", used ? ", " : "",
                   method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

bool router_match(const struct http_routes *routes, const char *method, const char *path,
                  struct http_match *ret) {
    struct segments segments UNINITIALIZED;
    ret->route = NULL;
    ret->path_known = false;
    ret->allow[0] = '\0';
    ret->params_count = 0;
    if (!split_path(path, &segments))
        return false;
    for (size_t i = 0; i < routes->count; i++) {
        const struct http_route *route = &routes->routes[i];
        if (!match_pattern(route->pattern, &segments, ret))
            continue;
        if (method_matches(route->method, method)) {
            ret->route = route;
            return true;
        }
        ret->path_known = true;
        allow_method(ret, route->method);
    }
    ret->params_count = 0;
    return true;
}

void router_check(const struct http_routes *routes) {
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < routes->count; i++) {
        const struct http_route *route = &routes->routes[i];
        bool known = false;
        for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++)
            known = known || strcmp(methods[m], route->method) == 0;
        assert(known);
        assert(route->pattern[0] == '/');
        assert(route->summary && route->handle);
        assert(!(route->flags & ROUTE_STREAM) || (route->begin && route->chunk));
        for (size_t j = 0; j < i; j++)
            assert(strcmp(route->method, routes->routes[j].method) != 0 ||
                   strcmp(route->pattern, routes->routes[j].pattern) != 0);
    }
}
