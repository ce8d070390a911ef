-- A frame has at most 7,900 bytes unless a single event is larger, so that it fits into its row. Otherwise PostgreSQL cuts a row's value into pieces of 2 kB in
-- another table, each with an entry of an index: for an order's events that was most of what their transactions wrote.
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'outbox'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (toast_tuple_target = 8160)', partition);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION messaging_make_partition(parent text, day timestamptz) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    partition text := parent || to_char(day AT TIME ZONE 'UTC', '"_y"YYYY"m"MM"d"DD');
    lower_bound text;
    upper_bound text;
    options text := 'autovacuum_enabled = off';
BEGIN
    IF parent NOT IN ('outbox', 'inbox', 'inbox_reply') THEN
        RAISE EXCEPTION 'no table % to make partitions of', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('flotilla messaging partitions', 0));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF parent = 'outbox' THEN
        lower_bound := day;
        upper_bound := day + interval '1 day';
        options := options || ', toast_tuple_target = 8160';
    ELSE
        lower_bound := messaging_least_id(day);
        upper_bound := messaging_least_id(day + interval '1 day');
    END IF;
    -- Nothing is ever updated or deleted in them, and they are dropped whole: vacuum has nothing to do.
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (%s)',
                   partition, parent, lower_bound, upper_bound, options);
    RETURN true;
EXCEPTION
    -- The default partition holds rows of that day already: they stay there, and so does the day.
    WHEN check_violation THEN RETURN false;
END $$;
