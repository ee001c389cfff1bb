// SPDX-License-Identifier: Apache-2.0
#include "fuzz_curl.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 100 };

CURLcode __wrap_curl_easy_setopt(CURL *handle, CURLoption option, ...);
CURLcode __wrap_curl_easy_perform(CURL *handle);
CURLcode __wrap_curl_easy_getinfo(CURL *handle, CURLINFO info, ...);

typedef size_t write_fn(char *bytes, size_t size, size_t count, void *state);

static struct {
    long status;
    const char *body;
    size_t length;
    write_fn *write;
    void *write_state;
    int requests;
} fake;

void fuzz_curl_answer(long status, const void *body, size_t length) {
    fake.status = status;
    fake.body = body;
    fake.length = length;
}

int fuzz_curl_requests(void) {
    return fake.requests;
}

CURLcode __wrap_curl_easy_setopt(CURL *handle, CURLoption option, ...) {
    (void)handle;
    va_list args;
    va_start(args, option);
    if (option == CURLOPT_WRITEFUNCTION)
        fake.write = va_arg(args, write_fn *);
    else if (option == CURLOPT_WRITEDATA)
        fake.write_state = va_arg(args, void *);
    va_end(args);
    return CURLE_OK;
}

// In pieces that end with the memory they are in.
CURLcode __wrap_curl_easy_perform(CURL *handle) {
    (void)handle;
    fake.requests++;
    if (fake.status == 0)
        return CURLE_COULDNT_CONNECT;
    for (size_t at = 0, part; at < fake.length; at += part) {
        part = fake.length - at < PIECE ? fake.length - at : PIECE;
        char *piece = malloc(part);
        assert(piece);
        memcpy(piece, fake.body + at, part);
        size_t taken = fake.write(piece, 1, part, fake.write_state);
        free(piece);
        if (taken != part)
            return CURLE_WRITE_ERROR;
    }
    return CURLE_OK;
}

CURLcode __wrap_curl_easy_getinfo(CURL *handle, CURLINFO info, ...) {
    (void)handle;
    if (info != CURLINFO_RESPONSE_CODE)
        return CURLE_UNKNOWN_OPTION;
    va_list args;
    va_start(args, info);
    *va_arg(args, long *) = fake.status;
    va_end(args);
    return CURLE_OK;
}
