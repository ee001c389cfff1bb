// SPDX-License-Identifier: Apache-2.0
//
// Where a gateway makes and destroys the keys of customers. Both take several records and a look at
// the topic in between, so that gateways that do it at one time end with the same
// (include/privacy/customer_keys.h):
//
//   make    key ▶ read up to it ▶ the current key is there, ours or another's, who was first; then
//           ours is destroyed
//   erase   mark as erased ▶ read up to it ▶ the customer's record without what is personal ▶
//           tombstones of all keys ▶ read up to them
//
// What a gateway that died has left undone is found by all others in what they read: keys of a
// customer who is marked are destroyed. A broker closes a segment only when something is written
// behind it: after a tombstone the desk writes another one when the segment's time is over, so that
// the key is out of the files within customers.erasure.ms though nothing else happens.
//
// One thread; jobs are bounded in number and time.
#ifndef ORDERLOG_HTTP_CUSTOMER_DESK_H
#define ORDERLOG_HTTP_CUSTOMER_DESK_H

#include "http/command.h"
#include "http/command_writer.h"

struct customer_desk;

// In the desk's thread, or at once when there are too many jobs (WRITER_NOT_WRITTEN).
typedef void customer_desk_done_fn(void *state, enum writer_outcome outcome);

// Reads customers.keys to its end first. config, ids and writer are borrowed and outlive it.
bool customer_desk_start(const struct config *config, const struct schema_ids *ids,
                         struct command_writer *writer, struct customer_desk **ret,
                         struct error *err);

// Every job gets its answer. NULL is fine.
void customer_desk_stop(struct customer_desk *desk);

struct customer_keys *customer_desk_keys(struct customer_desk *desk);

// WRITER_WRITTEN: the customer has a current key now, or is erased.
void customer_desk_make_key(struct customer_desk *desk, const char *shop, const char *customer,
                            customer_desk_done_fn *done, void *state);

// Takes record's bytes: of command_erase_customer().
void customer_desk_erase(struct customer_desk *desk, const char *shop, const char *customer,
                         struct command *record, customer_desk_done_fn *done, void *state);

#endif
