// SPDX-License-Identifier: Apache-2.0
//
// A broker that answers with any bytes: requests go nowhere, answers come through a socket, so that
// they are cut as a network cuts them. In place of wire_connection_open(), _is_alive(), _send(),
// _send_writer() and _push().
#ifndef ORDERLOG_FUZZ_PLAYED_BROKER_H
#define ORDERLOG_FUZZ_PLAYED_BROKER_H

#include <stddef.h>
#include <stdint.h>

// Each connection that is opened says a piece of these bytes, whose length comes first, and is hung
// up then. Borrowed.
void played_broker_says(const uint8_t *bytes, size_t len);

#endif
