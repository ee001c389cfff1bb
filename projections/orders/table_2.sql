-- SPDX-License-Identifier: Apache-2.0
-- Lines in one row per order instead of one per line: what a line costs is its entry in an index over
-- random order ids. Who reads sees one row per line as before.

-- A projector of the version before may be at work: what it adds after the copy would be lost.
LOCK TABLE order_lines IN ACCESS EXCLUSIVE MODE;

CREATE TYPE order_line AS (
    line_no integer, -- 1, 2, 3 … as ordered
    sku text,
    quantity bigint,
    unit_price_minor bigint,
    price_version bigint -- of the catalogue; NULL for an explicit price
);

CREATE TABLE order_line_sets (
    order_id uuid PRIMARY KEY,
    lines order_line[] NOT NULL -- by line_no
) WITH (toast_tuple_target = 8160);
-- Compressing a few hundred bytes costs more than storing them.
ALTER TABLE order_line_sets ALTER COLUMN lines SET STORAGE EXTERNAL;

INSERT INTO order_line_sets
SELECT
    order_id,
    array_agg(
        ROW(line_no, sku, quantity, unit_price_minor, price_version)::order_line ORDER BY line_no
    )
FROM order_lines
GROUP BY order_id;

DROP TABLE order_lines;

CREATE VIEW order_lines AS
SELECT s.order_id, l.line_no, l.sku, l.quantity, l.unit_price_minor, l.price_version
FROM order_line_sets s
CROSS JOIN LATERAL unnest(s.lines) AS l;

-- All orders of a page are updated at about the same time: with less room than their new versions
-- take, these go to other pages, and into every index.
ALTER TABLE orders SET (fillfactor = 45);
