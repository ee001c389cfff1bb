// SPDX-License-Identifier: Apache-2.0
//
// librdkafka's rebalance callback of a loop's consumer; its opaque is the loop. Inner to the loop.
#ifndef ORDERLOG_STREAM_ASSIGNMENT_H
#define ORDERLOG_STREAM_ASSIGNMENT_H

#include "txn_loop_state.h"

void assignment_changed(rd_kafka_t *consumer, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque);

#endif
