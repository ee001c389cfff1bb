// SPDX-License-Identifier: Apache-2.0
#include "cli/access_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { ID_BYTES = 6, SECRET_BYTES = 32 };

static void to_hex(const uint8_t *bytes, size_t count, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

bool access_token_make(struct access_token *ret, struct error *err) {
    uint8_t bytes[ID_BYTES + SECRET_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set(err, DISP_FATAL, errno, "the kernel gives no random numbers: %s",
                         strerror(errno));
    to_hex(bytes, ID_BYTES, ret->id);
    to_hex(bytes + ID_BYTES, SECRET_BYTES, ret->secret);
    return true;
}

static bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool access_token_parse(const char *text, struct access_token *ret) {
    if (strncmp(text, "ol_", 3) != 0)
        return false;
    const char *id = text + 3;
    size_t id_len = 0;
    while (is_letter_or_digit(id[id_len]) || id[id_len] == '-')
        id_len++;
    if (id_len == 0 || id_len > ACCESS_ID_MAX || id[id_len] != '_')
        return false;
    const char *secret = id + id_len + 1;
    size_t secret_len = 0;
    while (is_letter_or_digit(secret[secret_len]))
        secret_len++;
    if (secret_len < ACCESS_SECRET_MIN || secret_len > ACCESS_SECRET_MAX || secret[secret_len])
        return false;
    *ret = (struct access_token){0};
    memcpy(ret->id, id, id_len);
    memcpy(ret->secret, secret, secret_len);
    return true;
}

void access_token_format(const struct access_token *token, char text[ACCESS_TOKEN_MAX + 1]) {
    (void)snprintf(text, ACCESS_TOKEN_MAX + 1, "ol_%s_%s", token->id, token->secret);
}

bool access_scopes_parse(char *text, struct access_grant *grant, const char **ret_unknown) {
    int scopes = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        const int meant = scopes_of_key_word(word, strlen(word));
        if (!meant) {
            *ret_unknown = word;
            return false;
        }
        scopes |= meant;
    }
    grant->scopes_count = 0;
    for (int bit = 0; bit < SCOPE_BITS; bit++) {
        if (scopes & 1 << bit)
            grant->scopes[grant->scopes_count++] = scope_word(bit);
    }
    *ret_unknown = "";
    return grant->scopes_count > 0;
}
