// SPDX-License-Identifier: Apache-2.0
//
// Settings of security that are not in these tables are refused, as to leave one out unseen could
// mean to talk to the wrong broker. All others are tuning of librdkafka's own.
#include "wire/wire_settings.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text_setting {
    const char *name;
    size_t at; // of its field
};

#define TEXT(name, field)                                                                          \
    { name, offsetof(struct wire_settings, field) }

static const struct text_setting texts[] = {
    TEXT("bootstrap.servers", servers),
    TEXT("ssl.ca.location", ca_location),
    TEXT("ssl.ca.pem", ca_pem),
    TEXT("ssl.certificate.location", certificate_location),
    TEXT("ssl.certificate.pem", certificate_pem),
    TEXT("ssl.key.location", key_location),
    TEXT("ssl.key.pem", key_pem),
    TEXT("ssl.key.password", key_password),
    TEXT("sasl.username", user),
    TEXT("sasl.password", password),
};

// A word and what it means.
struct word {
    const char *text;
    int value;
};

enum { TLS = 1, SASL = 2 };
static const struct word protocols[] = {
    {"plaintext", 0}, {"ssl", TLS}, {"sasl_plaintext", SASL}, {"sasl_ssl", TLS | SASL}, {NULL, 0}};
static const struct word mechanisms[] = {{"PLAIN", WIRE_SASL_PLAIN},
                                         {"SCRAM-SHA-256", WIRE_SASL_SCRAM_256},
                                         {"SCRAM-SHA-512", WIRE_SASL_SCRAM_512},
                                         {NULL, 0}};
static const struct word compressions[] = {{"none", WIRE_UNCOMPRESSED},
                                           {"gzip", WIRE_GZIP},
                                           {"lz4", WIRE_LZ4},
                                           {"zstd", WIRE_ZSTD},
                                           {NULL, 0}};
static const struct word booleans[] = {
    {"true", true}, {"false", false}, {"1", true}, {"0", false}, {NULL, 0}};
static const struct word identifications[] = {{"https", false}, {"none", true}, {NULL, 0}};

static const struct word_setting {
    const char *name;
    const char *other_name; // librdkafka's second name for it
    const struct word *words;
    size_t at; // of an int that takes the value, in struct found
} word_settings[];

struct found {
    int protocol, mechanism, compression, verified, any_host;
};

static const struct word_setting word_settings[] = {
    {"security.protocol", NULL, protocols, offsetof(struct found, protocol)},
    {"sasl.mechanism", "sasl.mechanisms", mechanisms, offsetof(struct found, mechanism)},
    {"compression.type", "compression.codec", compressions, offsetof(struct found, compression)},
    {"enable.ssl.certificate.verification", NULL, booleans, offsetof(struct found, verified)},
    {"ssl.endpoint.identification.algorithm", NULL, identifications,
     offsetof(struct found, any_host)},
};

static bool read_word(const struct config_setting *setting, const struct word_setting *row,
                      struct found *found, struct error *err) {
    for (const struct word *word = row->words; word->text; word++)
        if (strcasecmp(word->text, setting->value) == 0) {
            memcpy((char *)found + row->at, &word->value, sizeof(word->value));
            return true;
        }
    char known[160] = "";
    for (const struct word *word = row->words; word->text; word++) {
        (void)strncat(known, known[0] ? ", " : "", sizeof(known) - strlen(known) - 1);
        (void)strncat(known, word->text, sizeof(known) - strlen(known) - 1);
    }
    return error_set(err, DISP_FATAL, 0, "kafka.%s = %s (from %s): our own connections know %s",
                     setting->name, setting->value, setting->source, known);
}

static bool read_one(const struct config_setting *setting, struct wire_settings *ret,
                     struct found *found, struct error *err) {
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].name, setting->name) == 0) {
            const char *value = setting->value;
            memcpy((char *)ret + texts[i].at, &value, sizeof(value));
            return true;
        }
    for (size_t i = 0; i < sizeof(word_settings) / sizeof(word_settings[0]); i++) {
        const struct word_setting *row = &word_settings[i];
        if (strcmp(row->name, setting->name) == 0 ||
            (row->other_name && strcmp(row->other_name, setting->name) == 0))
            return read_word(setting, row, found, err);
    }
    if (strncmp(setting->name, "ssl.", 4) == 0 || strncmp(setting->name, "sasl.", 5) == 0 ||
        strncmp(setting->name, "security.", 9) == 0)
        return error_set(err, DISP_FATAL, 0,
                         "kafka.%s (from %s): gateway and processors cannot follow it: their own "
                         "connections know PEM files or texts, and SASL PLAIN and SCRAM",
                         setting->name, setting->source);
    return true;
}

bool wire_settings_read(const struct config *config, const char *client_id,
                        enum wire_compression compression, struct wire_settings *ret,
                        struct error *err) {
    *ret = (struct wire_settings){.client_id = client_id};
    struct found found = {.verified = true, .compression = (int)compression};
    for (size_t i = 0; i < config->kafka.count; i++)
        if (!read_one(&config->kafka.items[i], ret, &found, err))
            return false;
    ret->tls = found.protocol & TLS;
    ret->tls_unverified = !found.verified;
    ret->tls_any_host = found.any_host;
    ret->compression = (enum wire_compression)found.compression;
    if (!(found.protocol & SASL))
        return true;
    ret->mechanism = (enum wire_mechanism)found.mechanism;
    if (ret->mechanism == WIRE_SASL_NONE)
        return error_set(err, DISP_FATAL, 0,
                         "kafka.security.protocol asks for SASL: set kafka.sasl.mechanism to "
                         "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
    if (!ret->user || !ret->password)
        return error_set(err, DISP_FATAL, 0,
                         "kafka.security.protocol asks for SASL: set kafka.sasl.username and "
                         "kafka.sasl.password");
    return true;
}
