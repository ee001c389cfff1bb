// SPDX-License-Identifier: Apache-2.0
#include "privacy/master_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_key(const char *text, size_t length, struct seal_key *ret) {
    if (length != 2 * SEAL_KEY_LEN)
        return false;
    for (size_t i = 0; i < SEAL_KEY_LEN; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool name_key(struct master_key *master) {
    static const char label[] = "orderlog master key";
    uint8_t bytes[sizeof(label) + SEAL_KEY_LEN];
    uint8_t hash[EVP_MAX_MD_SIZE];
    memcpy(bytes, label, sizeof(label));
    memcpy(bytes + sizeof(label), master->key.bytes, SEAL_KEY_LEN);
    bool ok = EVP_Digest(bytes, sizeof(bytes), hash, NULL, EVP_sha256(), NULL) == 1;
    seal_forget(bytes, sizeof(bytes));
    memcpy(master->id, hash, MASTER_ID_LEN);
    return ok;
}

static size_t trimmed(const char **text, size_t length) {
    while (length > 0 && (**text == ' ' || **text == '\t')) {
        (*text)++;
        length--;
    }
    while (length > 0 && strchr(" \t\r", (*text)[length - 1]))
        length--;
    return length;
}

bool master_keys_parse(const char *text, size_t length, struct master_keys *ret,
                       struct error *err) {
    int number = 0;
    const char *end = text + length;
    *ret = (struct master_keys){.count = 0};
    for (const char *next; text < end; text = next) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        next = newline ? newline + 1 : end;
        number++;
        const char *line = text;
        size_t line_length = trimmed(&line, (size_t)((newline ? newline : end) - text));
        if (line_length == 0 || *line == '#')
            continue;
        if (ret->count == MASTER_KEYS_MAX)
            return error_set(err, DISP_FATAL, 0, "line %d: at most %d keys are taken", number,
                             MASTER_KEYS_MAX);
        struct master_key *master = &ret->keys[ret->count];
        if (!parse_key(line, line_length, &master->key))
            return error_set(err, DISP_FATAL, 0,
                             "line %d: a key is 64 hex digits, such as `openssl rand -hex 32` "
                             "prints",
                             number);
        if (!name_key(master))
            return error_set(err, DISP_FATAL, 0, "SHA-256 is not to be had");
        if (master_keys_find(ret, (struct view){(const char *)master->id, MASTER_ID_LEN}))
            return error_set(err, DISP_FATAL, 0, "line %d: this key stands there twice", number);
        ret->count++;
    }
    return ret->count > 0 ||
           error_set(err, DISP_FATAL, 0, "it holds no key: `openssl rand -hex 32` prints one");
}

const struct master_key *master_keys_find(const struct master_keys *keys, struct view id) {
    for (size_t i = 0; id.len == MASTER_ID_LEN && i < keys->count; i++)
        if (memcmp(keys->keys[i].id, id.ptr, MASTER_ID_LEN) == 0)
            return &keys->keys[i];
    return NULL;
}

void master_keys_forget(struct master_keys *keys) {
    seal_forget(keys, sizeof(*keys));
}

static bool check_file(int fd, struct error *err) {
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return error_set(err, DISP_FATAL, errno, "%s", strerror(errno));
    if (!S_ISREG(stat.st_mode))
        return error_set(err, DISP_FATAL, 0, "it is no regular file");
    if (stat.st_mode & (S_IRWXG | S_IRWXO))
        return error_set(err, DISP_FATAL, 0,
                         "others may read or change it (mode %03o): make it 600 or 400",
                         (unsigned)(stat.st_mode & 0777));
    if (stat.st_uid != geteuid() && stat.st_uid != 0)
        return error_set(err, DISP_FATAL, 0, "it belongs to user %u, who we are not",
                         (unsigned)stat.st_uid);
    return true;
}

static bool read_all(int fd, char *text, size_t *ret_length, struct error *err) {
    size_t length = 0;
    while (length < MASTER_FILE_BYTES_MAX) {
        ssize_t got = read(fd, text + length, MASTER_FILE_BYTES_MAX - length);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return error_set(err, DISP_FATAL, errno, "%s", strerror(errno));
        length += got > 0 ? (size_t)got : 0;
    }
    *ret_length = length;
    return length < MASTER_FILE_BYTES_MAX ||
           error_set(err, DISP_FATAL, 0, "it is too large to be a file of keys");
}

bool master_keys_load(const char *path, struct master_keys *ret, struct error *err) {
    char text[MASTER_FILE_BYTES_MAX];
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 || error_set(err, DISP_FATAL, errno, "%s", strerror(errno));
    ok = ok && check_file(fd, err) && read_all(fd, text, &length, err) &&
         master_keys_parse(text, length, ret, err);
    if (fd >= 0)
        (void)close(fd);
    seal_forget(text, sizeof(text));
    if (!ok)
        master_keys_forget(ret);
    return ok || error_wrap(err, "customers.master.key.file %s", path);
}
