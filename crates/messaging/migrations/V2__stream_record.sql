-- What the relay knows of its stream beyond the end: which messages are gone, and how far each consumer has acked.

-- One row. gone: sequences that the stream doesn't hold and that are dealt with. covered: sequences whose messages the relay publishes again at higher ones.
CREATE TABLE relay_stream (
    only_row       boolean        PRIMARY KEY DEFAULT true CHECK (only_row),
    stream_created bigint         NOT NULL,
    gone           int8multirange NOT NULL,
    covered        int8multirange NOT NULL,
    unlisted       bigint         NOT NULL DEFAULT 0
);

-- floor: up to there the consumer had acked everything when the stream was last seen without a new loss. What the server says after a loss proves nothing.
CREATE TABLE relay_consumer (
    consumer         text        COLLATE "C" PRIMARY KEY,
    consumer_created bigint      NOT NULL,
    floor            bigint      NOT NULL,
    seen_at          timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Messages that a consumer had not acked and that neither the stream nor the outbox has. Rows stay until an operator has repaired the loss and deletes them.
CREATE TABLE relay_loss (
    consumer       text        COLLATE "C" NOT NULL,
    stream_created bigint      NOT NULL,
    first_sequence bigint      NOT NULL,
    last_sequence  bigint      NOT NULL,
    noticed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, stream_created)
);

-- As before, but the outbox's rows are kept for outbox_keep after they were published, not after they were written: nothing goes that lies above the newest
-- checkpoint of that age. So whatever was published after a checkpoint that is kept can be published again.
CREATE OR REPLACE FUNCTION messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval) RETURNS text[] LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    done relay_cursor;
    kept relay_checkpoint;
    candidate record;
    ended timestamptz;
    unpublished boolean;
    dropped text[] := '{}';
BEGIN
    SELECT * INTO done FROM relay_cursor WHERE epoch = of_epoch FOR SHARE;
    IF NOT FOUND OR done.generation IS NULL THEN
        RETURN dropped;
    END IF;
    SELECT * INTO kept FROM relay_checkpoint WHERE stream_created = done.stream_created AND recorded_at <= now() - outbox_keep
        ORDER BY sequence DESC LIMIT 1;
    PERFORM pg_advisory_xact_lock(hashtextextended('flotilla messaging partitions', 0));
    FOR candidate IN
        SELECT p.relname::text AS parent, c.relname::text AS name
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
        WHERE p.oid IN ('outbox'::regclass, 'inbox'::regclass, 'inbox_reply'::regclass) AND c.relname ~ '_y\d{4}m\d\dd\d\d$'
        ORDER BY c.relname
    LOOP
        ended := to_timestamp(right(candidate.name, 11), '"y"YYYY"m"MM"d"DD') + interval '1 day';
        IF candidate.parent = 'outbox' THEN
            CONTINUE WHEN kept.generation IS NULL OR ended > now() - outbox_keep;
            -- Keeps inserters out between the look and the drop: a transaction may be older than its partition's end.
            EXECUTE format('LOCK TABLE %I IN SHARE MODE', candidate.name);
            unpublished := messaging_is_unpublished(candidate.name, kept.generation, kept.xid, kept.id);
            CONTINUE WHEN unpublished;
        ELSE
            CONTINUE WHEN ended > now() - inbox_keep;
        END IF;
        EXECUTE format('DROP TABLE %I', candidate.name);
        dropped := dropped || candidate.name;
    END LOOP;
    RETURN dropped;
END $$;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON relay_stream, relay_consumer, relay_loss TO %I', system_role);
END $$;
