// SPDX-License-Identifier: Apache-2.0
//
// What service.c tells service_ready.c.
#ifndef ORDERLOG_SERVICE_SERVICE_STATE_H
#define ORDERLOG_SERVICE_SERVICE_STATE_H

#include <stdbool.h>

bool service_started(void); // all parts have

#endif
