// SPDX-License-Identifier: Apache-2.0
//
// For what is large, on a hot path, and never read further than it was written: the hardened build
// would fill it with zeros first.
#ifndef ORDERLOG_SERVICE_UNINITIALIZED_H
#define ORDERLOG_SERVICE_UNINITIALIZED_H

#define UNINITIALIZED __attribute__((uninitialized))

#endif
