-- SPDX-License-Identifier: Apache-2.0
-- What all read models share: how far each one is, and what could not be applied.

-- One row per read model and partition: the next offset it will apply. It moves in the transaction
-- that writes the rows, so that rows and offset never disagree. topic_id is the broker's id of the
-- topic: a topic that was deleted and created again is another topic, and is refused.
CREATE TABLE projection_offsets (
    projection text NOT NULL,
    generation integer NOT NULL DEFAULT 1,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    topic_id text NOT NULL,
    PRIMARY KEY (projection, generation, topic, partition)
) WITH (fillfactor = 50);

-- Records that no read model, or one of them, could take; the value is kept whole. projection is
-- empty for bytes that could not even be decoded.
CREATE TABLE projection_skipped (
    topic text NOT NULL,
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    projection text NOT NULL,
    error text NOT NULL,
    value bytea,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, log_offset, projection)
);

-- Moves offsets from what the caller believes they are, all of them or none. It is the first
-- statement of every batch: whoever believes wrong (another projector has taken over) raises OL001
-- and writes nothing. Rows are locked in key order, so that two projectors never deadlock.
CREATE FUNCTION projection_advance(
    moved_topic text, projections text[], generations integer[], partitions integer[],
    expected bigint[], next bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
BEGIN
    PERFORM 1
    FROM projection_offsets o
    JOIN unnest(projections, generations, partitions) AS m (projection, generation, partition)
        USING (projection, generation, partition)
    WHERE o.topic = moved_topic
    ORDER BY o.projection, o.generation, o.partition
    FOR UPDATE OF o;

    UPDATE projection_offsets o
    SET next_offset = m.next
    FROM unnest(projections, generations, partitions, expected, next)
        AS m (projection, generation, partition, expected, next)
    WHERE o.topic = moved_topic
        AND o.projection = m.projection
        AND o.generation = m.generation
        AND o.partition = m.partition
        AND o.next_offset = m.expected;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(projections) THEN
        RAISE EXCEPTION 'offsets of % moved elsewhere: % of % are as expected',
            moved_topic, moved, cardinality(projections)
            USING ERRCODE = 'OL001';
    END IF;
END
$$;
