// SPDX-License-Identifier: Apache-2.0
//
// Any path: matched or refused, and whatever a parameter holds afterwards is clean text.
#include "event/codec.h"
#include "http/gateway.h"
#include "http/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const methods[] = {"GET", "POST", "PUT", "HEAD", "X"};
    if (size == 0)
        return 0;
    char *path = malloc(size);
    if (!path)
        return 0;
    memcpy(path, data + 1, size - 1);
    path[size - 1] = '\0';
    struct http_match match;
    if (router_match(gateway_routes(), methods[data[0] % 5], path, &match)) {
        assert(path[0] == '/');
        for (uint32_t i = 0; i < match.params_count; i++) {
            const char *value = match.params[i].value;
            assert(value[0] && codec_text_is_valid(value, strlen(value)));
        }
    }
    free(path);
    return 0;
}
