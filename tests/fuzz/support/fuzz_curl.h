// SPDX-License-Identifier: Apache-2.0
//
// Instead of libcurl's calls that go out: every request is answered at once with what was laid out.
#ifndef ORDERLOG_TESTS_FUZZ_CURL_H
#define ORDERLOG_TESTS_FUZZ_CURL_H

#include <stddef.h>

// Borrowed until the next call. status 0: no answer comes.
void fuzz_curl_answer(long status, const void *body, size_t length);

// How many requests were made.
int fuzz_curl_requests(void);

#endif
