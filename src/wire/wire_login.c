// SPDX-License-Identifier: Apache-2.0
#include "wire_login.h"

#include "service/clock.h"
#include "wire/wire_scram.h"

#include <stdio.h>
#include <string.h>

// A connection is given up this long before it would have to be renewed.
enum { RENEW_EARLIER_DIVISOR = 10 };

static const char *const names[] = {[WIRE_SASL_PLAIN] = "PLAIN",
                                    [WIRE_SASL_SCRAM_256] = "SCRAM-SHA-256",
                                    [WIRE_SASL_SCRAM_512] = "SCRAM-SHA-512"};

static bool refused(struct wire_connection *connection, struct wire_view why, struct error *err) {
    error_set(err, DISP_FATAL, 0,
              "the Kafka broker at %s:%d does not let us in: check kafka.sasl.username and "
              "kafka.sasl.password (%.*s)",
              connection->host, connection->port, (int)(why.len > 200 ? 200 : why.len),
              why.ptr ? why.ptr : "");
    wire_connection_close(connection);
    return false;
}

static bool handshake(struct wire_connection *connection, struct wire_writer *writer,
                      int64_t deadline_ms, struct error *err) {
    const char *name = names[connection->settings->mechanism];
    struct wire_reader reader;
    wire_connection_request(connection, WIRE_SASL_HANDSHAKE, writer);
    wire_put_string16(writer, name);
    if (!wire_connection_send_writer(connection, WIRE_SASL_HANDSHAKE, writer, deadline_ms, err) ||
        !wire_connection_receive(connection, &reader, deadline_ms, err))
        return false;
    const int16_t code = wire_get_i16(&reader);
    if (reader.broken)
        return wire_connection_broken(connection, err);
    if (!code)
        return true;
    wire_connection_close(connection);
    return error_set(err, DISP_FATAL, code, "the Kafka broker at %s:%d does not know SASL %s",
                     connection->host, connection->port, name);
}

// One message there, one back, borrowed until the next.
static bool exchange(struct wire_connection *connection, struct wire_writer *writer,
                     const void *bytes, size_t len, struct wire_view *ret, int64_t deadline_ms,
                     struct error *err) {
    struct wire_reader reader;
    wire_connection_request(connection, WIRE_SASL_AUTHENTICATE, writer);
    wire_put_data(writer, bytes, len);
    wire_put_no_tags(writer);
    if (!wire_connection_send_writer(connection, WIRE_SASL_AUTHENTICATE, writer, deadline_ms,
                                     err) ||
        !wire_connection_receive(connection, &reader, deadline_ms, err))
        return false;
    const int16_t code = wire_get_i16(&reader);
    const struct wire_view why = wire_get_string(&reader);
    *ret = wire_get_string(&reader);
    const int64_t lifetime_ms = wire_get_i64(&reader);
    if (reader.broken)
        return wire_connection_broken(connection, err);
    if (code)
        return refused(connection, why, err);
    if (lifetime_ms > 0)
        connection->renew_ms =
            clock_monotonic_ms() + lifetime_ms - lifetime_ms / RENEW_EARLIER_DIVISOR;
    return true;
}

static bool login_plain(struct wire_connection *connection, struct wire_writer *writer,
                        int64_t deadline_ms, struct error *err) {
    const struct wire_settings *settings = connection->settings;
    char text[2048];
    const int len =
        snprintf(text, sizeof(text), "%c%s%c%s", 0, settings->user, 0, settings->password);
    if (len < 0 || (size_t)len >= sizeof(text))
        return error_set(err, DISP_FATAL, 0, "kafka.sasl.password is too long");
    struct wire_view answer;
    return exchange(connection, writer, text, (size_t)len, &answer, deadline_ms, err);
}

static bool login_scram(struct wire_connection *connection, struct wire_writer *writer,
                        int64_t deadline_ms, struct error *err) {
    const struct wire_settings *settings = connection->settings;
    struct wire_scram scram;
    char text[WIRE_SCRAM_TEXT_MAX];
    struct wire_view answer;
    return wire_scram_first(&scram, settings->mechanism == WIRE_SASL_SCRAM_512, settings->user,
                            text, err) &&
           exchange(connection, writer, text, strlen(text), &answer, deadline_ms, err) &&
           wire_scram_final(&scram, answer.ptr, answer.len, settings->password, text, err) &&
           exchange(connection, writer, text, strlen(text), &answer, deadline_ms, err) &&
           wire_scram_verify(&scram, answer.ptr, answer.len, err);
}

bool wire_login(struct wire_connection *connection, int64_t deadline_ms, struct error *err) {
    if (connection->settings->mechanism == WIRE_SASL_NONE)
        return true;
    struct wire_writer writer = {0};
    bool in = handshake(connection, &writer, deadline_ms, err) &&
              (connection->settings->mechanism == WIRE_SASL_PLAIN
                   ? login_plain(connection, &writer, deadline_ms, err)
                   : login_scram(connection, &writer, deadline_ms, err));
    wire_writer_done(&writer);
    if (!in)
        wire_connection_close(connection);
    return in;
}
