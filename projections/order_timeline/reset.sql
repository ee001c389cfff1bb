-- SPDX-License-Identifier: Apache-2.0
-- What `orderlog projection reset order_timeline` empties.
TRUNCATE order_timeline_parts, order_timeline_news;
