// SPDX-License-Identifier: Apache-2.0
#include "stream/offset_metadata.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool offset_metadata_parse(const char *text, size_t len, struct offset_metadata *ret) {
    char copy[OFFSET_METADATA_MAX];
    if (!text || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct offset_metadata metadata = {0};
    int used = 0;
    if (sscanf(copy,
               "v1 at=%" SCNd64 " seq=%" SCNu64 " events=%" SCNd64 " new=%" SCNd64 " by=%" SCNx32
               "%n",
               &metadata.at, &metadata.seq, &metadata.events, &metadata.events_new, &metadata.by,
               &used) != 5)
        return false;
    if (metadata.at < 0 || metadata.events < 0 || metadata.events_new < 0)
        return false;
    static const char answered[] = " answered=";
    if (strncmp(copy + used, answered, sizeof(answered) - 1) == 0) {
        metadata.answered = text + used + sizeof(answered) - 1;
        metadata.answered_len = len - (size_t)used - (sizeof(answered) - 1);
    } else if (copy[used] != '\0') {
        return false;
    }
    *ret = metadata;
    return true;
}

void offset_metadata_format(const struct offset_metadata *metadata,
                            char text[OFFSET_METADATA_MAX]) {
    int used = snprintf(
        text, OFFSET_METADATA_MAX,
        "v1 at=%" PRId64 " seq=%" PRIu64 " events=%" PRId64 " new=%" PRId64 " by=%08" PRIx32,
        metadata->at, metadata->seq, metadata->events, metadata->events_new, metadata->by);
    if (metadata->answered_len)
        (void)snprintf(text + used, OFFSET_METADATA_MAX - (size_t)used, " answered=%.*s",
                       (int)metadata->answered_len, metadata->answered);
}
