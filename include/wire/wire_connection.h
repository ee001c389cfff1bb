// SPDX-License-Identifier: Apache-2.0
//
// One connection to one broker: requests go out and responses come back in the same order, each
// call waits until its deadline (monotonic, ms) at most. Whatever goes wrong closes it, as nobody
// knows then where the next response begins. One thread.
#ifndef ORDERLOG_WIRE_CONNECTION_H
#define ORDERLOG_WIRE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "service/error.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"
#include "wire/wire_settings.h"
#include "wire/wire_tls.h"

enum {
    WIRE_HOST_MAX = 256,
    WIRE_RESPONSE_BYTES_MAX = 16 << 20,
    WIRE_IN_FLIGHT_MAX = 5, // responses waited for; brokers remember as many batches of a producer
};

// The requests that we make; versions are those of Kafka 4.0.
enum wire_api {
    WIRE_PRODUCE,
    WIRE_FETCH,
    WIRE_METADATA,
    WIRE_FIND_COORDINATOR,
    WIRE_SASL_HANDSHAKE,
    WIRE_API_VERSIONS,
    WIRE_INIT_PRODUCER_ID,
    WIRE_END_TXN,
    WIRE_TXN_OFFSET_COMMIT,
    WIRE_SASL_AUTHENTICATE,
    WIRE_API_COUNT
};

struct wire_connection {
    const struct wire_settings *settings; // borrowed
    struct wire_tls *tls;                 // borrowed; NULL where it is not asked for
    char host[WIRE_HOST_MAX];
    int port;
    int fd; // -1: closed
    struct wire_tls_session *session;
    int32_t sent;                                // number of the request sent last
    int32_t received;                            // of the response read last
    enum wire_api in_flight[WIRE_IN_FLIGHT_MAX]; // by number
    int64_t renew_ms; // when the broker will want to be told again who we are; INT64_MAX: never
    uint8_t *in;      // owned: what has arrived
    size_t in_capacity;
    size_t in_begin;
    size_t in_end;
};

void wire_connection_init(struct wire_connection *connection, const struct wire_settings *settings,
                          struct wire_tls *tls, const char *host, int port);
void wire_connection_close(struct wire_connection *connection);
void wire_connection_done(struct wire_connection *connection);

// Connects where it is not connected, with all that the settings ask for, and makes sure that the
// broker has the requests that we make. False: DISP_RETRY when it may work later, DISP_FATAL when
// the broker is too old or does not let us in.
bool wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                          struct error *err);

// Begins a request in writer, which is emptied.
void wire_connection_request(struct wire_connection *connection, enum wire_api api,
                             struct wire_writer *writer);

// Sends the request in pieces, which are changed; the first of them begins with the request's
// beginning. At most WIRE_IN_FLIGHT_MAX may be under way.
bool wire_connection_send(struct wire_connection *connection, enum wire_api api,
                          struct iovec *pieces, int count, int64_t deadline_ms, struct error *err);

// The same for a request in one piece.
bool wire_connection_send_writer(struct wire_connection *connection, enum wire_api api,
                                 struct wire_writer *writer, int64_t deadline_ms,
                                 struct error *err);

// The next response, without its header; valid until the next call.
bool wire_connection_receive(struct wire_connection *connection, struct wire_reader *ret,
                             int64_t deadline_ms, struct error *err);

// The same for those who do not wait. Where nothing can be done at the moment they say for what to
// wait until they are called again; where the connection is lost it is closed.
enum wire_progress { WIRE_DONE, WIRE_WANTS_READ, WIRE_WANTS_WRITE, WIRE_LOST };

// Numbers the request in pieces, as wire_connection_send() does, and sends nothing yet. Connected.
void wire_connection_begin(struct wire_connection *connection, enum wire_api api,
                           const struct iovec *pieces, int count);

// Sends what it can; *pieces and *count become what is left, and are to be handed in again.
enum wire_progress wire_connection_push(struct wire_connection *connection, struct iovec **pieces,
                                        int *count, struct error *err);

// WIRE_DONE: the next response, as wire_connection_receive() gives it. With nothing under way it
// looks whether the other side, too, has the connection open.
enum wire_progress wire_connection_pull(struct wire_connection *connection, struct wire_reader *ret,
                                        struct error *err);

// What a response that cannot be read leads to: closes. Returns false.
bool wire_connection_broken(struct wire_connection *connection, struct error *err);

// Whether the other side, too, has it open. Nothing may be under way.
bool wire_connection_is_alive(const struct wire_connection *connection);

// How many responses are under way.
int wire_connection_in_flight(const struct wire_connection *connection);

#endif
