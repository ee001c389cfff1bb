// SPDX-License-Identifier: Apache-2.0
#include "cli/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 3000, REPLY_BYTES_MAX = 64 << 20 };

struct http_client {
    CURL *curl; // owned
    char *url;  // owned
    char authorization[512];
    char *reply; // owned
    size_t reply_len;
    size_t reply_capacity;
    char error[CURL_ERROR_SIZE];
};

// Returns less than it was given when the reply is too large, which ends the call.
static size_t take_reply(char *bytes, size_t size, size_t count, void *state) {
    struct http_client *client = state;
    const size_t len = size * count;
    if (client->reply_len + len + 1 > client->reply_capacity) {
        size_t capacity = client->reply_capacity ? client->reply_capacity : 1 << 14;
        while (capacity < client->reply_len + len + 1)
            capacity *= 2;
        char *reply = capacity <= REPLY_BYTES_MAX ? realloc(client->reply, capacity) : NULL;
        if (!reply)
            return 0;
        client->reply = reply;
        client->reply_capacity = capacity;
    }
    memcpy(client->reply + client->reply_len, bytes, len);
    client->reply_len += len;
    client->reply[client->reply_len] = '\0';
    return len;
}

struct http_client *http_client_new(const char *url, const char *token) {
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->curl = curl_easy_init();
    client->url = strdup(url);
    if (!client->curl || !client->url) {
        http_client_free(client);
        return NULL;
    }
    size_t url_len = strlen(client->url);
    while (url_len > 0 && client->url[url_len - 1] == '/')
        client->url[--url_len] = '\0';
    (void)snprintf(client->authorization, sizeof(client->authorization), "Authorization: Bearer %s",
                   token);
    return client;
}

void http_client_free(struct http_client *client) {
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->url);
    free(client->reply);
    free(client);
}

static struct curl_slist *make_headers(const struct http_client *client,
                                       const struct http_call *call) {
    struct curl_slist *headers = curl_slist_append(NULL, client->authorization);
    // Without it, curl waits for "100 Continue" before it sends a body over 1 MiB.
    headers = curl_slist_append(headers, "Expect:");
    char line[1200];
    if (call->content_type) {
        (void)snprintf(line, sizeof(line), "Content-Type: %s", call->content_type);
        headers = curl_slist_append(headers, line);
    }
    if (call->idempotency_key) {
        (void)snprintf(line, sizeof(line), "Idempotency-Key: %s", call->idempotency_key);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static int retry_after_s(CURL *curl) {
    struct curl_header *header = NULL;
    if (curl_easy_header(curl, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return 0;
    const int seconds = atoi(header->value);
    return seconds > 0 ? seconds : 0;
}

bool http_client_call(struct http_client *client, const struct http_call *call,
                      struct http_reply *ret, struct error *err) {
    char url[2048];
    const int len = snprintf(url, sizeof(url), "%s%s", client->url, call->path);
    if (len < 0 || (size_t)len >= sizeof(url))
        return error_set(err, DISP_FATAL, 0, "the URL is too long: %s", call->path);

    CURL *curl = client->curl;
    struct curl_slist *headers = make_headers(client, call);
    client->reply_len = 0;
    client->error[0] = '\0';
    curl_easy_reset(curl); // keeps the connection
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, call->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
    if (call->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
    }
    const CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return error_set(err, DISP_RETRY, (int)code, "%s: %s", client->url,
                         client->error[0] ? client->error : curl_easy_strerror(code));

    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *ret = (struct http_reply){
        .status = status,
        .body = client->reply_len ? client->reply : "",
        .length = client->reply_len,
        .retry_after_s = retry_after_s(curl),
    };
    return true;
}

char *http_client_escape(const char *text, size_t len, char *out) {
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    char *at = out;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c && strchr(plain, c)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    *at = '\0';
    return out;
}
