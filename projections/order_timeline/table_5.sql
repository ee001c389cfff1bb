-- SPDX-License-Identifier: Apache-2.0
-- The last row of each partition now stays, and says that no part is stored that goes further: there has
-- to be one.

INSERT INTO order_timeline_news (log_partition, last_offset, shop_id, order_ids)
SELECT log_partition, max(last_offset), '', '{}'
FROM order_timeline_parts
GROUP BY log_partition
ON CONFLICT DO NOTHING;
