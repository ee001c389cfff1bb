// SPDX-License-Identifier: Apache-2.0
//
// What of the operator's kafka.* settings a connection of ours needs, under librdkafka's names, so
// that consumer and producer of a role are told the same.
#ifndef ORDERLOG_WIRE_SETTINGS_H
#define ORDERLOG_WIRE_SETTINGS_H

#include <stdbool.h>

#include "service/config.h"
#include "service/error.h"
#include "wire/wire_batch.h"

enum wire_mechanism { WIRE_SASL_NONE, WIRE_SASL_PLAIN, WIRE_SASL_SCRAM_256, WIRE_SASL_SCRAM_512 };

// Texts are borrowed from the configuration, NULL where not set.
struct wire_settings {
    const char *servers; // HOST:PORT,…
    const char *client_id;
    bool tls;
    bool tls_unverified;
    bool tls_any_host; // the certificate may be of another host
    const char *ca_location;
    const char *ca_pem;
    const char *certificate_location;
    const char *certificate_pem;
    const char *key_location;
    const char *key_pem;
    const char *key_password;
    enum wire_mechanism mechanism;
    const char *user;
    const char *password;
    enum wire_compression compression;
};

// compression: where the operator asks for none. False: DISP_FATAL, naming the setting that a
// connection of ours cannot follow.
bool wire_settings_read(const struct config *config, const char *client_id,
                        enum wire_compression compression, struct wire_settings *ret,
                        struct error *err);

#endif
