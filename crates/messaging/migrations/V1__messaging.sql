-- Messaging: outbox, relay, inbox, parked messages. Runs as the service's owner; the service's name is the database's setting flotilla.service.

-- The cluster that gives out transaction ids. Kept in the session, because pg_control_system() reads a file at each call.
CREATE FUNCTION messaging_generation() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found bigint := nullif(current_setting('flotilla.generation', true), '')::bigint;
BEGIN
    IF found IS NULL THEN
        SELECT system_identifier INTO found FROM pg_control_system();
        PERFORM set_config('flotilla.generation', found::text, false);
    END IF;
    RETURN found;
END $$;

-- Append-only. The event is a CloudEventBatch of one.
CREATE TABLE outbox (
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id         uuid        NOT NULL,
    generation bigint      NOT NULL,
    subject    text        COLLATE "C" NOT NULL,
    kind       text        COLLATE "C" NOT NULL,
    event      bytea       STORAGE EXTERNAL NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE INDEX outbox_order ON outbox (generation, xid, id);
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;

CREATE TABLE outbox_generation (
    generation bigint PRIMARY KEY,
    ordinal    bigint GENERATED ALWAYS AS IDENTITY
);

-- One row, rewritten at every move: room on its page keeps the updates off the index.
CREATE TABLE relay_cursor (
    only_row        boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch           bigint      NOT NULL DEFAULT 0,
    holder          text        NOT NULL DEFAULT '',
    lease_until     timestamptz NOT NULL DEFAULT '-infinity',
    generation      bigint,
    xid             xid8,
    id              uuid,
    stream_created  bigint,
    stream_sequence bigint,
    CHECK ((generation IS NULL) = (xid IS NULL) AND (generation IS NULL) = (id IS NULL)),
    CHECK ((stream_created IS NULL) = (stream_sequence IS NULL))
) WITH (fillfactor = 10);
INSERT INTO relay_cursor DEFAULT VALUES;

-- Everything up to (generation, xid, id) is in the stream created then, at or below the sequence.
CREATE TABLE relay_checkpoint (
    stream_created bigint      NOT NULL,
    sequence       bigint      NOT NULL,
    generation     bigint      NOT NULL,
    xid            xid8        NOT NULL,
    id             uuid        NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_created, sequence)
);

-- A row says: applied or parked. Partitioned by the time in the id (UUID version 7).
CREATE TABLE inbox (
    message_id uuid NOT NULL,
    consumer   text COLLATE "C" NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, consumer)
) PARTITION BY RANGE (message_id);
CREATE TABLE inbox_default PARTITION OF inbox DEFAULT;

-- The reply of an inbox row; a table of its own, because the inbox row is written first, as the lock, and a second insert is cheaper than an update.
CREATE TABLE inbox_reply (
    message_id uuid  NOT NULL,
    consumer   text  COLLATE "C" NOT NULL,
    reply_id   uuid  NOT NULL,
    subject    text  COLLATE "C" NOT NULL,
    kind       text  COLLATE "C" NOT NULL,
    event      bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (message_id, consumer)
) PARTITION BY RANGE (message_id);
CREATE TABLE inbox_reply_default PARTITION OF inbox_reply DEFAULT;

CREATE TABLE parked (
    consumer        text        COLLATE "C" NOT NULL,
    message_id      uuid        NOT NULL,
    subject         text        NOT NULL,
    kind            text        NOT NULL,
    event           bytea       NOT NULL,
    reason          text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('retrying', 'dead')),
    attempts        integer     NOT NULL DEFAULT 1,
    first_parked_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX parked_due ON parked (next_attempt_at) WHERE state = 'retrying';

-- The relay's read. A function, so that its plan is the index whatever the statistics say: a plan made while the table was empty would sort it whole for ever.
CREATE FUNCTION outbox_read(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, at_most integer)
RETURNS TABLE (xid xid8, id uuid, subject text, event bytea) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    IF settled_only THEN
        RETURN QUERY SELECT o.xid, o.id, o.subject, o.event FROM outbox o
            WHERE o.generation = after_generation AND (o.xid, o.id) > (after_xid, after_id)
              AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY o.generation, o.xid, o.id LIMIT at_most;
    ELSE
        RETURN QUERY SELECT o.xid, o.id, o.subject, o.event FROM outbox o
            WHERE o.generation = after_generation AND (o.xid, o.id) > (after_xid, after_id)
            ORDER BY o.generation, o.xid, o.id LIMIT at_most;
    END IF;
END $$;

-- What waits after the cursor, counted up to a limit; with the age of the oldest of them in seconds.
CREATE FUNCTION outbox_backlog(at_most integer)
RETURNS TABLE (pending bigint, age double precision) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    done relay_cursor;
BEGIN
    SELECT * INTO done FROM relay_cursor;
    RETURN QUERY SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(waiting.created_at)), 0)::double precision
        FROM (SELECT o.created_at FROM outbox o
              WHERE o.generation = coalesce(done.generation, messaging_generation())
                AND (o.xid, o.id) > (coalesce(done.xid, '0'::xid8), coalesce(done.id, '00000000-0000-0000-0000-000000000000'::uuid))
              ORDER BY o.generation, o.xid, o.id LIMIT at_most) AS waiting;
END $$;

-- Sends kept replies again, under their own ids. A function for its plan, as above.
CREATE FUNCTION inbox_repeat_replies(of_consumer text, ids uuid[]) RETURNS TABLE (repeated bigint, xid xid8)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY WITH again AS (
        INSERT INTO outbox (generation, id, subject, kind, event)
        SELECT (SELECT messaging_generation()), r.reply_id, r.subject, r.kind, r.event
        FROM inbox_reply r WHERE r.message_id = ANY (ids) AND r.consumer = of_consumer
        RETURNING 1)
    SELECT count(*), pg_current_xact_id() FROM again;
END $$;

-- The least version 7 id of a moment.
CREATE FUNCTION messaging_least_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Partitions are of one day (UTC), named <table>_y<year>m<month>d<day>.
CREATE FUNCTION messaging_make_partition(parent text, day timestamptz) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    partition text := parent || to_char(day AT TIME ZONE 'UTC', '"_y"YYYY"m"MM"d"DD');
    lower_bound text;
    upper_bound text;
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
    ELSE
        lower_bound := messaging_least_id(day);
        upper_bound := messaging_least_id(day + interval '1 day');
    END IF;
    -- Nothing is ever updated or deleted in them, and they are dropped whole: vacuum has nothing to do.
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (autovacuum_enabled = off)',
                   partition, parent, lower_bound, upper_bound);
    RETURN true;
EXCEPTION
    -- The default partition holds rows of that day already: they stay there, and so does the day.
    WHEN check_violation THEN RETURN false;
END $$;

-- Makes the partitions of all three tables for the days from inbox_keep ago to two days ahead; says how many.
CREATE FUNCTION messaging_make_partitions(inbox_keep interval) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    today timestamptz := date_trunc('day', now());
    day timestamptz;
    made integer := 0;
BEGIN
    FOR day IN SELECT generate_series(date_trunc('day', now() - inbox_keep), today + interval '2 days', interval '1 day') LOOP
        made := made + messaging_make_partition('inbox', day)::integer + messaging_make_partition('inbox_reply', day)::integer;
        IF day >= today THEN
            made := made + messaging_make_partition('outbox', day)::integer;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Whether a partition of the outbox has a row after the cursor. Walks the generations by the index; as a scan it could take for ever.
CREATE FUNCTION messaging_is_unpublished(partition text, at_generation bigint, at_xid xid8, at_id uuid) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    reached bigint := (SELECT CASE WHEN generation = messaging_generation() THEN 9223372036854775807 ELSE ordinal END
                       FROM outbox_generation WHERE generation = at_generation);
    found bigint;
    place bigint;
    later boolean;
BEGIN
    EXECUTE format('SELECT min(generation) FROM %I', partition) INTO found;
    WHILE found IS NOT NULL LOOP
        IF found = at_generation THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE generation = $1 AND (xid, id) > ($2, $3))', partition)
                INTO later USING at_generation, at_xid, at_id;
        ELSE
            SELECT CASE WHEN generation = messaging_generation() THEN 9223372036854775807 ELSE ordinal END INTO place
                FROM outbox_generation WHERE generation = found;
            later := place IS NULL OR reached IS NULL OR place > reached;
        END IF;
        IF later THEN
            RETURN true;
        END IF;
        EXECUTE format('SELECT min(generation) FROM %I WHERE generation > $1', partition) INTO found USING found;
    END LOOP;
    RETURN false;
END $$;

-- Drops outbox partitions that ended longer than outbox_keep ago and lie wholly below the cursor, and inbox partitions that ended longer than inbox_keep ago.
-- Holds only for the relay of the given epoch; says which were dropped.
CREATE FUNCTION messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval) RETURNS text[] LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    done relay_cursor;
    candidate record;
    ended timestamptz;
    unpublished boolean;
    dropped text[] := '{}';
BEGIN
    SELECT * INTO done FROM relay_cursor WHERE epoch = of_epoch FOR SHARE;
    IF NOT FOUND OR done.generation IS NULL THEN
        RETURN dropped;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('flotilla messaging partitions', 0));
    FOR candidate IN
        SELECT p.relname::text AS parent, c.relname::text AS name
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
        WHERE p.oid IN ('outbox'::regclass, 'inbox'::regclass, 'inbox_reply'::regclass) AND c.relname ~ '_y\d{4}m\d\dd\d\d$'
        ORDER BY c.relname
    LOOP
        ended := to_timestamp(right(candidate.name, 11), '"y"YYYY"m"MM"d"DD') + interval '1 day';
        IF candidate.parent = 'outbox' THEN
            CONTINUE WHEN ended > now() - outbox_keep;
            -- Keeps inserters out between the look and the drop: a transaction may be older than its partition's end.
            EXECUTE format('LOCK TABLE %I IN SHARE MODE', candidate.name);
            unpublished := messaging_is_unpublished(candidate.name, done.generation, done.xid, done.id);
            CONTINUE WHEN unpublished;
        ELSE
            CONTINUE WHEN ended > now() - inbox_keep;
        END IF;
        EXECUTE format('DROP TABLE %I', candidate.name);
        dropped := dropped || candidate.name;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION messaging_generation(), outbox_read(bigint, xid8, uuid, boolean, integer), outbox_backlog(integer),
    inbox_repeat_replies(text, uuid[]), messaging_make_partition(text, timestamptz), messaging_make_partitions(interval),
    messaging_is_unpublished(text, bigint, xid8, uuid), messaging_drop_partitions(bigint, interval, interval) FROM PUBLIC;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON outbox, outbox_generation, inbox, inbox_reply TO %I', system_role);
    EXECUTE format('GRANT SELECT, UPDATE ON relay_cursor TO %I', system_role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON relay_checkpoint, parked TO %I', system_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION messaging_generation(), outbox_read(bigint, xid8, uuid, boolean, integer),
        outbox_backlog(integer), inbox_repeat_replies(text, uuid[]), messaging_make_partitions(interval),
        messaging_drop_partitions(bigint, interval, interval) TO %I', system_role);
    -- A customer's call may append, and see nothing.
    EXECUTE format('GRANT INSERT ON outbox TO %I', user_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION messaging_generation() TO %I', user_role);
END $$;
