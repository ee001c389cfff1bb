-- SPDX-License-Identifier: Apache-2.0
-- Lines as text that the projector writes, not as an array of rows that PostgreSQL has to make and to
-- read: they are shown as they are stored. Who reads `order_lines` sees one row per line as before.

-- A projector of the version before may be at work: what it adds after the copy would be lost.
LOCK TABLE order_line_sets IN ACCESS EXCLUSIVE MODE;

DROP VIEW order_lines;

-- A JSON array with an object per line: sku, quantity, unit_price_minor, price_version (of the catalogue;
-- null for an explicit price).
ALTER TABLE order_line_sets ADD COLUMN items text;
UPDATE order_line_sets SET items = (
    SELECT json_agg(
        json_build_object('sku', sku, 'quantity', quantity, 'unit_price_minor', unit_price_minor,
            'price_version', price_version)
        ORDER BY line_no
    )::text
    FROM unnest(lines)
);
ALTER TABLE order_line_sets ALTER COLUMN items SET NOT NULL;
ALTER TABLE order_line_sets ALTER COLUMN items SET STORAGE EXTERNAL;
ALTER TABLE order_line_sets DROP COLUMN lines;
ALTER TABLE order_line_sets RENAME COLUMN items TO lines;
DROP TYPE order_line;

CREATE VIEW order_lines AS
SELECT
    s.order_id, l.line_no::integer AS line_no, l.line->>'sku' AS sku,
    (l.line->>'quantity')::bigint AS quantity,
    (l.line->>'unit_price_minor')::bigint AS unit_price_minor,
    (l.line->>'price_version')::bigint AS price_version
FROM order_line_sets s
CROSS JOIN LATERAL json_array_elements(s.lines::json) WITH ORDINALITY AS l (line, line_no);
