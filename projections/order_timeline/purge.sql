-- SPDX-License-Identifier: Apache-2.0
-- Who has not looked for a minute looks at everything it follows (src/http/query_streams.c). The last
-- of a partition stays: it says how far parts are stored (apply.sql).

DELETE FROM order_timeline_news n
WHERE noted_at < now() - interval '1 minute'
    AND last_offset < (
        SELECT max(m.last_offset) FROM order_timeline_news m WHERE m.log_partition = n.log_partition
    )
