-- SPDX-License-Identifier: Apache-2.0
-- topic: inventory.events
-- The first event that a command causes is its outcome; a command that caused none has a refusal.
-- One that was refused and, sent again, applied: was applied.

INSERT INTO stock_commands
SELECT DISTINCT ON (causation_id)
    causation_id, key_id, shop_id, sku,
    CASE WHEN type = 'StockCommandRefused' THEN 'refused' ELSE 'applied' END,
    CASE WHEN type = 'StockCommandRefused' THEN reason END,
    CASE WHEN type = 'StockCommandRefused' THEN detail END,
    type, version, log_partition, log_offset, occurred_at
FROM command_event
ORDER BY causation_id, (type = 'StockCommandRefused'), log_offset
ON CONFLICT (command_id) DO UPDATE
SET
    outcome = excluded.outcome,
    reason = excluded.reason,
    detail = excluded.detail,
    event_type = excluded.event_type,
    version = excluded.version,
    log_partition = excluded.log_partition,
    log_offset = excluded.log_offset,
    occurred_at = excluded.occurred_at
WHERE stock_commands.outcome = 'refused' AND excluded.outcome = 'applied'
;
