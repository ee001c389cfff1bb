// SPDX-License-Identifier: Apache-2.0
//
// Tells a broker who we are, where the settings ask for SASL (KIP-43, KIP-152, KIP-368).
#ifndef ORDERLOG_WIRE_LOGIN_H
#define ORDERLOG_WIRE_LOGIN_H

#include "wire/wire_connection.h"

// On a connection that nothing else has been asked on. False: DISP_FATAL when we are not let in.
bool wire_login(struct wire_connection *connection, int64_t deadline_ms, struct error *err);

#endif
