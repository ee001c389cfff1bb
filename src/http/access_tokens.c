// SPDX-License-Identifier: Apache-2.0
//
// Two maps remember: when the younger is half of what may be remembered it becomes the elder, and
// the elder is forgotten. So nothing is written where a token is found, and memory is bounded.
// Tokens are kept whole: finding one costs a seeded hash and one comparison, less than the SHA-256
// of an API key; what could be read in this memory could be read from requests as well.
#include "http/access_tokens.h"

#include "http/jwt.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "service/strmap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 250 };

struct access_tokens {
    const char *path;
    struct jwt_rules rules;
    size_t remembered_max;

    pthread_rwlock_t keys_lock; // of keys: held for reading while a signature is checked
    struct jwks *keys;          // owned

    pthread_rwlock_t lock; // of what follows
    struct strmap young;
    struct strmap old;
    uint64_t generation; // grows with every change of keys

    // Of the thread that looks after the file.
    pthread_t thread;
    int stop_fd;
    struct stat seen; // the file as it was read last, good or not
    unsigned hangups;
};

// --- what is remembered ------------------------------------------------------------------------

static bool find(struct access_tokens *tokens, const char *token, size_t length, int64_t now_s,
                 struct http_caller *ret_caller, uint64_t *ret_generation) {
    (void)pthread_rwlock_rdlock(&tokens->lock);
    const struct jwt_identity *found = strmap_find(&tokens->young, token, length);
    if (!found)
        found = strmap_find(&tokens->old, token, length);
    bool good = found && now_s >= found->from_s && now_s < found->caller.until_s;
    if (good)
        *ret_caller = found->caller;
    *ret_generation = tokens->generation;
    (void)pthread_rwlock_unlock(&tokens->lock);
    return good;
}

static void remember(struct access_tokens *tokens, const char *token, size_t length,
                     const struct jwt_identity *identity, uint64_t generation) {
    if (tokens->remembered_max == 0)
        return;
    (void)pthread_rwlock_wrlock(&tokens->lock);
    if (generation == tokens->generation) { // else: good by keys that may be gone
        if (tokens->young.count >= (tokens->remembered_max + 1) / 2) {
            strmap_done(&tokens->old);
            tokens->old = tokens->young;
            strmap_init(&tokens->young, sizeof(struct jwt_identity));
        }
        struct jwt_identity *kept = strmap_put(&tokens->young, token, length);
        if (kept)
            *kept = *identity;
    }
    (void)pthread_rwlock_unlock(&tokens->lock);
}

static bool verify(void *state, const char *token, size_t length, struct http_caller *ret_caller,
                   const char **ret_why) {
    struct access_tokens *tokens = state;
    struct jwt_identity identity;
    uint64_t generation = 0;
    int64_t now_s = clock_now_us() / 1000000;
    if (find(tokens, token, length, now_s, ret_caller, &generation))
        return true;
    (void)pthread_rwlock_rdlock(&tokens->keys_lock);
    bool good = jwt_verify(tokens->keys, &tokens->rules, token, length, now_s, &identity, ret_why);
    (void)pthread_rwlock_unlock(&tokens->keys_lock);
    if (!good)
        return false;
    identity.caller.issue = generation;
    remember(tokens, token, length, &identity, generation);
    *ret_caller = identity.caller;
    return true;
}

// After a change of keys whoever is still good comes back with the same token.
static bool holds(void *state, const struct http_caller *caller) {
    struct access_tokens *tokens = state;
    (void)pthread_rwlock_rdlock(&tokens->lock);
    bool same = caller->issue == tokens->generation;
    (void)pthread_rwlock_unlock(&tokens->lock);
    return same && clock_now_us() / 1000000 < caller->until_s;
}

// --- the file ----------------------------------------------------------------------------------

static struct jwks *read_keys(struct access_tokens *tokens, struct error *err) {
    struct jwks *keys = NULL;
    int fd = open(tokens->path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(JWKS_BYTES_MAX + 1);
    size_t length = 0;
    // Before its content: what is written meanwhile is seen as another change.
    ssize_t got = fd >= 0 && text && fstat(fd, &tokens->seen) == 0 ? 1 : -1;
    while (got > 0 && length <= JWKS_BYTES_MAX) {
        got = read(fd, text + length, JWKS_BYTES_MAX + 1 - length);
        if (got > 0)
            length += (size_t)got;
    }
    if (got < 0)
        (void)error_set(err, DISP_FATAL, errno, "%s", strerror(errno));
    else
        keys = jwks_parse(text, length, err);
    free(text);
    if (fd >= 0)
        (void)close(fd);
    if (!keys)
        (void)error_wrap(err, "jwt.jwks, %s", tokens->path);
    return keys;
}

static bool has_changed(struct access_tokens *tokens) {
    struct stat now;
    const struct stat *seen = &tokens->seen;
    unsigned hangups = service_hangups();
    bool asked = hangups != tokens->hangups;
    tokens->hangups = hangups;
    // A file that is not there is not read; nor is there anything new to say of it.
    return asked || (stat(tokens->path, &now) == 0 &&
                     (now.st_ino != seen->st_ino || now.st_dev != seen->st_dev ||
                      now.st_size != seen->st_size || now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
                      now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec));
}

static void take_keys(struct access_tokens *tokens, struct jwks *keys) {
    (void)pthread_rwlock_wrlock(&tokens->keys_lock);
    struct jwks *before = tokens->keys;
    tokens->keys = keys;
    (void)pthread_rwlock_wrlock(&tokens->lock);
    strmap_done(&tokens->young);
    strmap_done(&tokens->old);
    tokens->generation++;
    (void)pthread_rwlock_unlock(&tokens->lock);
    (void)pthread_rwlock_unlock(&tokens->keys_lock);
    jwks_free(before);
    LOG(INFO, "keys that tokens may be signed with", F_STR("file", tokens->path),
        F_INT("keys", (int64_t)jwks_count(keys)), F_INT("left_out", (int64_t)jwks_left_out(keys)));
}

static void *run(void *arg) {
    struct access_tokens *tokens = arg;
    struct pollfd stop = {.fd = tokens->stop_fd, .events = POLLIN};
    while (poll(&stop, 1, LOOK_EVERY_MS) <= 0) {
        struct error err = {0};
        if (!has_changed(tokens))
            continue;
        struct jwks *keys = read_keys(tokens, &err);
        if (keys)
            take_keys(tokens, keys);
        else
            LOG(ERROR, "the keys of tokens stay as they were", F_ERR(&err));
    }
    return NULL;
}

// --- start and stop ----------------------------------------------------------------------------

static bool start(struct access_tokens *tokens, struct error *err) {
    struct jwks *keys = read_keys(tokens, err);
    if (!keys)
        return false;
    take_keys(tokens, keys);
    tokens->hangups = service_hangups();
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return error_set(err, DISP_FATAL, errno, "eventfd: %s", strerror(errno));
    tokens->stop_fd = fd;
    if (pthread_create(&tokens->thread, NULL, run, tokens) == 0)
        return true;
    (void)close(fd);
    tokens->stop_fd = -1;
    return error_set(err, DISP_FATAL, 0, "cannot start a thread");
}

bool access_tokens_start(const struct config *config, struct access_tokens **ret,
                         struct error *err) {
    *ret = NULL;
    if (!config->jwt_jwks[0])
        return true;
    if (!config->jwt_issuer[0] || !config->jwt_audience[0])
        return error_set(err, DISP_FATAL, 0,
                         "with jwt.jwks, jwt.issuer and jwt.audience must be set: a token's iss "
                         "and aud are compared with them");
    struct access_tokens *tokens = calloc(1, sizeof(*tokens));
    if (!tokens)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    tokens->path = config->jwt_jwks;
    tokens->rules = (struct jwt_rules){
        .issuer = config->jwt_issuer,
        .audience = config->jwt_audience,
        .shop_claim = config->jwt_claim_shop,
        .customer_claim = config->jwt_claim_customer,
        .leeway_s = config->jwt_leeway_ms / 1000,
    };
    tokens->remembered_max = (size_t)config->jwt_remembered_max;
    tokens->stop_fd = -1;
    (void)pthread_rwlock_init(&tokens->keys_lock, NULL);
    (void)pthread_rwlock_init(&tokens->lock, NULL);
    strmap_init(&tokens->young, sizeof(struct jwt_identity));
    strmap_init(&tokens->old, sizeof(struct jwt_identity));
    if (!start(tokens, err)) {
        access_tokens_stop(tokens);
        return false;
    }
    *ret = tokens;
    return true;
}

void access_tokens_stop(struct access_tokens *tokens) {
    if (!tokens)
        return;
    if (tokens->stop_fd >= 0) {
        (void)eventfd_write(tokens->stop_fd, 1);
        (void)pthread_join(tokens->thread, NULL);
        (void)close(tokens->stop_fd);
    }
    jwks_free(tokens->keys);
    strmap_done(&tokens->young);
    strmap_done(&tokens->old);
    (void)pthread_rwlock_destroy(&tokens->keys_lock);
    (void)pthread_rwlock_destroy(&tokens->lock);
    free(tokens);
}

void access_tokens_add(struct access_tokens *tokens, struct http_access *access) {
    if (!tokens)
        return;
    access->verify = verify;
    access->token_holds = holds;
    access->verify_state = tokens;
}
