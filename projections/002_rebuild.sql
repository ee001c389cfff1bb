-- SPDX-License-Identifier: Apache-2.0
-- A read model's next generation grows in a schema of its own, beside the live one: tables of the same
-- names, and its own projection_offsets. `orderlog rebuild` fills it and swaps.

-- The read model's tables are made there by its own files.
CREATE FUNCTION rebuild_begin(name text, next text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', next);
    EXECUTE format('CREATE SCHEMA %I', next);
    EXECUTE format('CREATE TABLE %I.projection_offsets (LIKE public.projection_offsets INCLUDING ALL)', next);
    EXECUTE format(
        'INSERT INTO %I.projection_offsets SELECT projection, generation, topic, partition, 0, topic_id '
        'FROM public.projection_offsets WHERE projection = $1', next) USING name;
END
$$;

-- Tables, views and types of these kinds, named the same in both schemas, as a list for DROP.
CREATE FUNCTION rebuild_replaced(next text, kinds "char"[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(format('public.%I', n.relname), ', ')
    FROM pg_class n
    JOIN pg_class l ON l.relname = n.relname AND l.relnamespace = 'public'::regnamespace
        AND l.relkind = n.relkind
    WHERE n.relnamespace = next::regnamespace AND n.relkind = ANY (kinds)
        AND n.relname <> 'projection_offsets'
$$;

-- Puts the next generation in place of the live one, whose offsets the caller has locked. What the live
-- tables are used by besides, such as somebody's own view, refuses to let them go. Offsets get a new
-- generation: a projector that still believes in the old one finds no row to move.
CREATE FUNCTION rebuild_swap(name text, next text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    dropped text;
    moved record;
    given record;
BEGIN
    -- Who might use the live ones may use these.
    FOR given IN
        SELECT n.relname, a.privilege_type, a.grantee::regrole AS grantee
        FROM pg_class n
        JOIN pg_class l ON l.relname = n.relname AND l.relnamespace = 'public'::regnamespace
        CROSS JOIN LATERAL aclexplode(l.relacl) AS a
        WHERE n.relnamespace = next::regnamespace AND n.relkind IN ('r', 'v') AND a.grantee <> 0
            AND a.grantee <> l.relowner
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %s', given.privilege_type, next, given.relname, given.grantee);
    END LOOP;
    dropped := rebuild_replaced(next, '{v}');
    IF dropped IS NOT NULL THEN
        EXECUTE 'DROP VIEW ' || dropped;
    END IF;
    dropped := rebuild_replaced(next, '{r}');
    IF dropped IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || dropped;
    END IF;
    dropped := rebuild_replaced(next, '{c}');
    IF dropped IS NOT NULL THEN
        EXECUTE 'DROP TYPE ' || dropped;
    END IF;
    FOR moved IN
        SELECT relname, CASE relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE 'TYPE' END AS kind
        FROM pg_class
        WHERE relnamespace = next::regnamespace AND relkind IN ('r', 'v', 'c')
            AND relname <> 'projection_offsets'
    LOOP
        EXECUTE format('ALTER %s %I.%I SET SCHEMA public', moved.kind, next, moved.relname);
    END LOOP;
    UPDATE public.projection_offsets o SET generation = o.generation + 1 WHERE o.projection = name;
    EXECUTE format('DROP SCHEMA %I CASCADE', next);
END
$$;
