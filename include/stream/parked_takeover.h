// SPDX-License-Identifier: Apache-2.0
//
// The parked sets of partitions that were just taken over: the fold of their dead letters, up to an
// end that is taken after the committed offsets were read, waiting for the last stable offset.
#ifndef ORDERLOG_STREAM_PARKED_TAKEOVER_H
#define ORDERLOG_STREAM_PARKED_TAKEOVER_H

#include "stream/takeover.h"

// To be called after takeover_run() and before any input is taken. Partitions that have kept their
// set are left alone. Blocks; called in the loop's thread. May be called again after a failure.
enum takeover_result parked_takeover_run(const struct takeover *takeover,
                                         struct partition **partitions, size_t count,
                                         struct error *err);

#endif
