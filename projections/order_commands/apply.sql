-- SPDX-License-Identifier: Apache-2.0
-- topic: orders.events
-- The first event that a command causes is its outcome; a command that caused none has a refusal.
-- One that was refused and, sent again, applied: was applied.

INSERT INTO order_commands (
    command_id, key_id, shop_id, order_id, outcome, reason, detail,
    event_type, version, log_partition, log_offset, occurred_at
)
SELECT DISTINCT ON (causation_id)
    causation_id, key_id, shop_id, order_id,
    CASE WHEN type = 'OrderCommandRefused' THEN 'refused' ELSE 'applied' END,
    CASE
        WHEN type <> 'OrderCommandRefused' THEN NULL
        WHEN expected_version IS NULL THEN reason
        ELSE 'VERSION_DIFFERS'
    END,
    CASE
        WHEN type <> 'OrderCommandRefused' THEN NULL
        WHEN expected_version IS NULL THEN detail
        ELSE format('the order is at version %s, not %s', actual_version, expected_version)
    END,
    type, version, log_partition, log_offset, occurred_at
FROM command_event
ORDER BY causation_id, (type = 'OrderCommandRefused'), log_offset
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
WHERE order_commands.outcome = 'refused' AND excluded.outcome = 'applied'
;
UPDATE order_commands c
SET customer_id = r.customer_id
FROM order_command_refused r
WHERE c.command_id = r.causation_id AND c.customer_id IS NULL AND r.customer_id IS NOT NULL
;
