// SPDX-License-Identifier: Apache-2.0
//
// Clients that have lost all their brokers. A broker that stood still for longer than its session
// says, for a moment, that there are no brokers. librdkafka forgets all brokers then and wants to
// begin again from the bootstrap servers, but the same answer calls that off: the client would
// never connect again, and never say so (librdkafka issue 5301). So these servers are given to it
// again; and more than once, because one that is just being forgotten still counts as known.
#ifndef ORDERLOG_STREAM_KAFKA_REVIVE_H
#define ORDERLOG_STREAM_KAFKA_REVIVE_H

#include <librdkafka/rdkafka.h>

// From here until there, the client is one of those that are revived. Any thread.
void kafka_revive_add(rd_kafka_t *client);
void kafka_revive_remove(rd_kafka_t *client);

// Somebody has lost its brokers: for some seconds from now on, every client of this process is
// given its bootstrap servers now and then, by a thread of its own. Any thread.
void kafka_revive(void);

#endif
