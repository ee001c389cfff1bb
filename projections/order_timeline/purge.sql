-- SPDX-License-Identifier: Apache-2.0
-- Who has not looked for a minute looks at everything it follows (src/http/query_streams.c).

DELETE FROM order_timeline_news
WHERE noted_at < now() - interval '1 minute'
