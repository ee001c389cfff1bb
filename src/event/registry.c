// SPDX-License-Identifier: Apache-2.0
//
// One libcurl handle, kept so that the connection is. Requests and answers are small JSON
// documents; an answer larger than ANSWER_BYTES_MAX ends the request.
#include "event/registry.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 4 << 20, ANSWER_SHOWN_MAX = 200, CONFLICTS_MAX = 3 };
enum { ATTEMPTS = 3 };

struct registry {
    char *url;
    char *url_shown; // without credentials
    long timeout_ms;
    CURL *curl;
    struct curl_slist *headers;
    char curl_error[CURL_ERROR_SIZE];
};

struct answer {
    long status;
    char *text;
    size_t len;
    json_t *json; // NULL unless it is an object
};

// What one request is for: error messages are made from it.
struct request {
    const char *what;   // "register the schema"
    const char *of;     // subject or id
    const char *remedy; // for a refusal
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void set_up_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

// scheme://user:password@host → scheme://host
static char *without_credentials(const char *url) {
    char *shown = strdup(url);
    char *host = shown ? strstr(shown, "://") : NULL;
    if (!host)
        return shown;
    host += 3;
    char *at = host + strcspn(host, "/?#");
    while (at > host && *at != '@')
        at--;
    if (*at == '@')
        memmove(host, at + 1, strlen(at + 1) + 1);
    return shown;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *context) {
    struct answer *answer = context;
    size_t len = size * count;
    if (len > ANSWER_BYTES_MAX - answer->len)
        return 0;
    char *text = realloc(answer->text, answer->len + len + 1);
    if (!text)
        return 0;
    memcpy(text + answer->len, bytes, len);
    answer->text = text;
    answer->len += len;
    answer->text[answer->len] = '\0';
    return len;
}

struct registry *registry_new(const char *url, long timeout_ms, struct error *err) {
    (void)pthread_once(&curl_once, set_up_curl);
    struct registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        goto failed;
    registry->timeout_ms = timeout_ms;
    registry->url = strdup(url);
    registry->url_shown = without_credentials(url);
    registry->curl = curl_easy_init();
    registry->headers =
        curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    if (!registry->url || !registry->url_shown || !registry->curl || !registry->headers)
        goto failed;
    for (size_t len = strlen(registry->url); len > 0 && registry->url[len - 1] == '/'; len--)
        registry->url[len - 1] = '\0';

    CURL *curl = registry->curl;
    if (curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, registry->headers) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, registry->curl_error) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer) != CURLE_OK)
        goto failed;
    return registry;

failed:
    error_set(err, DISP_FATAL, 0, "cannot set up the client of the schema registry");
    return registry_free(registry);
}

struct registry *registry_again(const struct registry *registry, struct error *err) {
    return registry_new(registry->url, registry->timeout_ms, err);
}

struct registry *registry_free(struct registry *registry) {
    if (!registry)
        return NULL;
    curl_slist_free_all(registry->headers);
    if (registry->curl)
        curl_easy_cleanup(registry->curl);
    free(registry->url);
    free(registry->url_shown);
    free(registry);
    return NULL;
}

const char *registry_url(const struct registry *registry) {
    return registry->url_shown;
}

static void answer_done(struct answer *answer) {
    json_decref(answer->json);
    free(answer->text);
    *answer = (struct answer){0};
}

// One round trip. A status below 400 with a JSON object is success; otherwise the error is set and
// the answer holds only the status. body NULL: GET.
static bool send_request(struct registry *registry, const struct request *request,
                         const char *method, const char *path, const char *body,
                         struct answer *answer, struct error *err) {
    *answer = (struct answer){0};
    char url[1024];
    int url_len = snprintf(url, sizeof(url), "%s%s", registry->url, path);
    if (url_len < 0 || (size_t)url_len >= sizeof(url))
        return error_set(err, DISP_FATAL, 0, "the schema registry's address is too long: %s",
                         registry->url_shown);

    CURL *curl = registry->curl;
    registry->curl_error[0] = '\0';
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    if (code == CURLE_OK && body)
        code = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    else if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    // What is asked while starting (all but GET) is asked again when a busy registry leaves it
    // without an answer; it may be repeated. A running process is not held up for so long.
    for (int left = code != CURLE_OK ? 0 : body ? ATTEMPTS : 1; left > 0; left--) {
        answer_done(answer);
        code = curl_easy_perform(curl);
        if (code != CURLE_OPERATION_TIMEDOUT && code != CURLE_GOT_NOTHING)
            break;
    }
    if (code != CURLE_OK) {
        answer_done(answer);
        return error_set(err, DISP_RETRY, 0,
                         "cannot %s %s: the schema registry did not answer: %s; is the registry "
                         "at %s up?",
                         request->what, request->of,
                         registry->curl_error[0] ? registry->curl_error : curl_easy_strerror(code),
                         registry->url_shown);
    }

    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer->json = json_loadb(answer->text ? answer->text : "", answer->len, 0, NULL);
    if (status < 400 && json_is_object(answer->json)) {
        answer->status = status;
        return true;
    }
    const char *message = json_string_value(json_object_get(answer->json, "message"));
    if (!message)
        message = answer->len > 0 ? answer->text : "no explanation";
    error_set(err, status >= 500 ? DISP_RETRY : DISP_FATAL, (int)status,
              "cannot %s %s: the schema registry at %s answered HTTP %ld: %.*s; %s", request->what,
              request->of, registry->url_shown, status, ANSWER_SHOWN_MAX, message,
              status < 400   ? "is this the address of a schema registry?"
              : status < 500 ? request->remedy
                             : "see the registry's own log");
    answer_done(answer);
    answer->status = status;
    return false;
}

static bool subject_path(struct registry *registry, const char *before, const char *subject,
                         const char *after, char *path, size_t path_size, struct error *err) {
    char *escaped = curl_easy_escape(registry->curl, subject, 0);
    int len = escaped ? snprintf(path, path_size, "%s%s%s", before, escaped, after) : -1;
    curl_free(escaped);
    if (len < 0 || (size_t)len >= path_size)
        return error_set(err, DISP_FATAL, 0, "the subject is too long: %.100s", subject);
    return true;
}

static bool id_of_answer(const struct registry *registry, const struct request *request,
                         struct answer *answer, int32_t *ret_id, struct error *err) {
    json_t *id = json_object_get(answer->json, "id");
    json_int_t value = json_integer_value(id);
    bool is_id = json_is_integer(id) && value >= 0 && value <= INT32_MAX;
    answer_done(answer);
    if (!is_id)
        return error_set(err, DISP_FATAL, 0,
                         "cannot %s %s: the answer of the schema registry at %s holds no id",
                         request->what, request->of, registry->url_shown);
    *ret_id = (int32_t)value;
    return true;
}

// Posts the schema to /subjects/SUBJECT and what comes after; the answer's id is what is wanted.
static bool post_schema(struct registry *registry, const struct request *request, const char *after,
                        const char *schema, size_t schema_len, int32_t *ret_id, struct error *err) {
    char path[512];
    if (!subject_path(registry, "/subjects/", request->of, after, path, sizeof(path), err))
        return false;
    json_t *json = json_pack("{s:s%}", "schema", schema, schema_len);
    char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!body)
        return error_set(err, DISP_FATAL, 0, "cannot %s %s: the schema is not UTF-8", request->what,
                         request->of);
    struct answer answer;
    bool ok = send_request(registry, request, "POST", path, body, &answer, err);
    free(body);
    return ok && id_of_answer(registry, request, &answer, ret_id, err);
}

bool registry_register(struct registry *registry, const char *subject, const char *schema,
                       size_t schema_len, int32_t *ret_id, struct error *err) {
    const struct request request = {
        "register the schema of", subject,
        "a schema that is in use may change only as schemas/README.md says"};
    return post_schema(registry, &request, "/versions", schema, schema_len, ret_id, err);
}

bool registry_lookup(struct registry *registry, const char *subject, const char *schema,
                     size_t schema_len, int32_t *ret_id, struct error *err) {
    const struct request request = {"look up the schema id of", subject,
                                    "run `orderlog setup`, which registers the schemas"};
    return post_schema(registry, &request, "", schema, schema_len, ret_id, err);
}

bool registry_get(struct registry *registry, int32_t id, char **ret_schema, struct error *err) {
    char path[64], id_text[16];
    (void)snprintf(path, sizeof(path), "/schemas/ids/%d", id);
    (void)snprintf(id_text, sizeof(id_text), "%d", id);
    const struct request request = {"get the schema with id", id_text,
                                    "was the message written with another registry?"};
    struct answer answer;
    if (!send_request(registry, &request, "GET", path, NULL, &answer, err))
        return false;

    const char *type = json_string_value(json_object_get(answer.json, "schemaType"));
    const char *schema = json_string_value(json_object_get(answer.json, "schema"));
    bool is_avro = schema && (!type || strcmp(type, "AVRO") == 0);
    char *copy = is_avro ? strdup(schema) : NULL;
    answer_done(&answer);
    if (!copy)
        return error_set(err, DISP_FATAL, 0, "schema id %d of the registry at %s is no Avro schema",
                         id, registry->url_shown);
    *ret_schema = copy;
    return true;
}

bool registry_set_compatibility(struct registry *registry, const char *subject, const char *level,
                                struct error *err) {
    const struct request request = {"set the compatibility of", subject,
                                    "may this user configure subjects?"};
    char path[512], body[64];
    if (!subject_path(registry, "/config/", subject, "", path, sizeof(path), err))
        return false;
    (void)snprintf(body, sizeof(body), "{\"compatibility\": \"%s\"}", level);
    bool ok = false;
    long status = 0;
    // 409: somebody else has just given the subject its first rule; the next try replaces that.
    for (int try = 0; try == 0 || (try < CONFLICTS_MAX && status == 409); try++) {
        struct answer answer;
        ok = send_request(registry, &request, "PUT", path, body, &answer, err);
        status = answer.status;
        answer_done(&answer);
    }
    // 404, 405, 422 and 501 come from a registry without this function.
    return ok || status == 404 || status == 405 || status == 422 || status == 501;
}
