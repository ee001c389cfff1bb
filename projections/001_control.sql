-- SPDX-License-Identifier: Apache-2.0
-- What operators have said about read models: `orderlog projection pause|resume|reset NAME`.

-- Projectors look at this again and again; where a revision has grown, they read the positions anew.
CREATE TABLE projection_control (
    projection text PRIMARY KEY,
    paused boolean NOT NULL DEFAULT false,
    revision bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Who pauses waits for the batch that is being applied, and whoever applies the next one is refused:
-- once this has been committed, nothing moves any more. Returns whether anything was changed.
CREATE FUNCTION projection_pause(name text, pause boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM projection_offsets o WHERE o.projection = name
    ORDER BY o.projection, o.generation, o.topic, o.partition
    FOR UPDATE OF o;

    INSERT INTO projection_control (projection) VALUES (name) ON CONFLICT DO NOTHING;
    UPDATE projection_control c SET paused = pause, revision = c.revision + 1, changed_at = now()
    WHERE c.projection = name AND c.paused <> pause;
    RETURN FOUND;
END
$$;

-- As in 000_base.sql, and refused with OL002 while one of them is paused.
CREATE OR REPLACE FUNCTION projection_advance(
    moved_topic text, projections text[], generations integer[], partitions integer[],
    expected bigint[], next bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
    halted text;
BEGIN
    PERFORM 1
    FROM projection_offsets o
    JOIN unnest(projections, generations, partitions) AS m (projection, generation, partition)
        USING (projection, generation, partition)
    WHERE o.topic = moved_topic
    ORDER BY o.projection, o.generation, o.partition
    FOR UPDATE OF o;

    SELECT c.projection INTO halted
    FROM projection_control c
    WHERE c.paused AND c.projection = ANY (projections);
    IF FOUND THEN
        RAISE EXCEPTION 'read model % is paused', halted USING ERRCODE = 'OL002';
    END IF;

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
