-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: public; Type: SCHEMA
-- *not* creating schema, since initdb creates it

-- Object: inbox_repeat_replies(text, uuid[]); Type: FUNCTION
CREATE FUNCTION public.inbox_repeat_replies(of_consumer text, ids uuid[]) RETURNS TABLE(repeated bigint, xid xid8)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY WITH again AS (
        INSERT INTO outbox (generation, id, subject, kind, event)
        SELECT (SELECT messaging_generation()), r.reply_id, r.subject, r.kind, r.event
        FROM inbox_reply r WHERE r.message_id = ANY (ids) AND r.consumer = of_consumer
        RETURNING 1)
    SELECT count(*), pg_current_xact_id() FROM again;
END $$;

-- Object: messaging_drop_partitions(bigint, interval, interval); Type: FUNCTION
CREATE FUNCTION public.messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '2s'
    AS $_$
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
END $_$;

-- Object: messaging_generation(); Type: FUNCTION
CREATE FUNCTION public.messaging_generation() RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    found bigint := nullif(current_setting('flotilla.generation', true), '')::bigint;
BEGIN
    IF found IS NULL THEN
        SELECT system_identifier INTO found FROM pg_control_system();
        PERFORM set_config('flotilla.generation', found::text, false);
    END IF;
    RETURN found;
END $$;

-- Object: messaging_is_unpublished(text, bigint, xid8, uuid); Type: FUNCTION
CREATE FUNCTION public.messaging_is_unpublished(partition text, at_generation bigint, at_xid xid8, at_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $_$
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
END $_$;

-- Object: messaging_least_id(timestamp with time zone); Type: FUNCTION
CREATE FUNCTION public.messaging_least_id(moment timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Object: messaging_make_partition(text, timestamp with time zone); Type: FUNCTION
CREATE FUNCTION public.messaging_make_partition(parent text, day timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $$
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

-- Object: messaging_make_partitions(interval); Type: FUNCTION
CREATE FUNCTION public.messaging_make_partitions(inbox_keep interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
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

-- Object: outbox_backlog(integer); Type: FUNCTION
CREATE FUNCTION public.outbox_backlog(at_most integer) RETURNS TABLE(pending bigint, age double precision)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
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

-- Object: outbox_frames(bigint, xid8, uuid, boolean, integer, bigint); Type: FUNCTION
CREATE FUNCTION public.outbox_frames(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, max_frames integer, max_bytes bigint) RETURNS TABLE(xid xid8, id uuid, subject text, events integer, payload bytea)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE
    -- A bound in either case, so that it is part of the index condition.
    settled xid8 := CASE WHEN settled_only THEN pg_snapshot_xmin(pg_current_snapshot()) ELSE '18446744073709551615' END;
    frame record;
    bytes bigint := 0;
BEGIN
    FOR frame IN SELECT o.xid, o.id, o.subject, o.events, o.event FROM outbox o
        WHERE o.generation = after_generation AND (o.xid, o.id) > (after_xid, after_id) AND o.xid < settled
        ORDER BY o.generation, o.xid, o.id LIMIT max_frames
    LOOP
        xid := frame.xid;
        id := frame.id;
        subject := frame.subject;
        events := frame.events;
        payload := frame.event;
        RETURN NEXT;
        bytes := bytes + octet_length(payload);
        EXIT WHEN bytes >= max_bytes;
    END LOOP;
END $$;

-- Object: outbox_read(bigint, xid8, uuid, boolean, integer); Type: FUNCTION
CREATE FUNCTION public.outbox_read(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, at_most integer) RETURNS TABLE(xid xid8, id uuid, subject text, event bytea)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
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

-- Object: inbox; Type: TABLE
CREATE TABLE public.inbox (
    message_id uuid NOT NULL,
    consumer text NOT NULL COLLATE pg_catalog."C",
    applied_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (message_id);

-- Object: inbox_default; Type: TABLE
CREATE TABLE public.inbox_default (
    message_id uuid CONSTRAINT inbox_message_id_not_null NOT NULL,
    consumer text CONSTRAINT inbox_consumer_not_null NOT NULL COLLATE pg_catalog."C",
    applied_at timestamp with time zone DEFAULT now() CONSTRAINT inbox_applied_at_not_null NOT NULL
);

-- Object: inbox_reply; Type: TABLE
CREATE TABLE public.inbox_reply (
    message_id uuid NOT NULL,
    consumer text NOT NULL COLLATE pg_catalog."C",
    reply_id uuid NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    event bytea NOT NULL
)
PARTITION BY RANGE (message_id);
ALTER TABLE ONLY public.inbox_reply ALTER COLUMN event SET STORAGE EXTERNAL;

-- Object: inbox_reply_default; Type: TABLE
CREATE TABLE public.inbox_reply_default (
    message_id uuid CONSTRAINT inbox_reply_message_id_not_null NOT NULL,
    consumer text CONSTRAINT inbox_reply_consumer_not_null NOT NULL COLLATE pg_catalog."C",
    reply_id uuid CONSTRAINT inbox_reply_reply_id_not_null NOT NULL,
    subject text CONSTRAINT inbox_reply_subject_not_null NOT NULL COLLATE pg_catalog."C",
    kind text CONSTRAINT inbox_reply_kind_not_null NOT NULL COLLATE pg_catalog."C",
    event bytea CONSTRAINT inbox_reply_event_not_null NOT NULL
);
ALTER TABLE ONLY public.inbox_reply_default ALTER COLUMN event SET STORAGE EXTERNAL;

-- Object: messaging_history; Type: TABLE
CREATE TABLE public.messaging_history (
    version bigint NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

-- Object: outbox; Type: TABLE
CREATE TABLE public.outbox (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id uuid NOT NULL,
    generation bigint NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    kind text COLLATE pg_catalog."C",
    event bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    events integer DEFAULT 1 NOT NULL
)
PARTITION BY RANGE (created_at);
ALTER TABLE ONLY public.outbox ALTER COLUMN event SET STORAGE EXTERNAL;

-- Object: outbox_default; Type: TABLE
CREATE TABLE public.outbox_default (
    xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT outbox_xid_not_null NOT NULL,
    id uuid CONSTRAINT outbox_id_not_null NOT NULL,
    generation bigint CONSTRAINT outbox_generation_not_null NOT NULL,
    subject text CONSTRAINT outbox_subject_not_null NOT NULL COLLATE pg_catalog."C",
    kind text COLLATE pg_catalog."C",
    event bytea CONSTRAINT outbox_event_not_null NOT NULL,
    created_at timestamp with time zone DEFAULT now() CONSTRAINT outbox_created_at_not_null NOT NULL,
    events integer DEFAULT 1 CONSTRAINT outbox_events_not_null NOT NULL
)
WITH (toast_tuple_target='8160');
ALTER TABLE ONLY public.outbox_default ALTER COLUMN event SET STORAGE EXTERNAL;

-- Object: outbox_generation; Type: TABLE
CREATE TABLE public.outbox_generation (
    generation bigint NOT NULL,
    ordinal bigint NOT NULL
);

-- Object: outbox_generation_ordinal_seq; Type: SEQUENCE
ALTER TABLE public.outbox_generation ALTER COLUMN ordinal ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_generation_ordinal_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Object: page_token_key; Type: TABLE
CREATE TABLE public.page_token_key (
    only_row boolean DEFAULT true NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT page_token_key_only_row_check CHECK (only_row)
);

-- Object: parked; Type: TABLE
CREATE TABLE public.parked (
    consumer text NOT NULL COLLATE pg_catalog."C",
    message_id uuid NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    event bytea NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    first_parked_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    CONSTRAINT parked_state_check CHECK ((state = ANY (ARRAY['retrying'::text, 'dead'::text])))
);

-- Object: relay_checkpoint; Type: TABLE
CREATE TABLE public.relay_checkpoint (
    stream_created bigint NOT NULL,
    sequence bigint NOT NULL,
    generation bigint NOT NULL,
    xid xid8 NOT NULL,
    id uuid NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL
);

-- Object: relay_consumer; Type: TABLE
CREATE TABLE public.relay_consumer (
    consumer text NOT NULL COLLATE pg_catalog."C",
    consumer_created bigint NOT NULL,
    floor bigint NOT NULL,
    seen_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

-- Object: relay_cursor; Type: TABLE
CREATE TABLE public.relay_cursor (
    only_row boolean DEFAULT true NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    holder text DEFAULT ''::text NOT NULL,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    generation bigint,
    xid xid8,
    id uuid,
    stream_created bigint,
    stream_sequence bigint,
    CONSTRAINT relay_cursor_check CHECK ((((generation IS NULL) = (xid IS NULL)) AND ((generation IS NULL) = (id IS NULL)))),
    CONSTRAINT relay_cursor_check1 CHECK (((stream_created IS NULL) = (stream_sequence IS NULL))),
    CONSTRAINT relay_cursor_only_row_check CHECK (only_row)
)
WITH (fillfactor='10');

-- Object: relay_loss; Type: TABLE
CREATE TABLE public.relay_loss (
    consumer text NOT NULL COLLATE pg_catalog."C",
    stream_created bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    noticed_at timestamp with time zone DEFAULT now() NOT NULL
);

-- Object: relay_stream; Type: TABLE
CREATE TABLE public.relay_stream (
    only_row boolean DEFAULT true NOT NULL,
    stream_created bigint NOT NULL,
    gone int8multirange NOT NULL,
    covered int8multirange NOT NULL,
    unlisted bigint DEFAULT 0 NOT NULL,
    CONSTRAINT relay_stream_only_row_check CHECK (only_row)
);

-- Object: schema_backfills; Type: TABLE
CREATE TABLE public.schema_backfills (
    history text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    pages bigint NOT NULL,
    next_page bigint NOT NULL,
    rows_changed bigint NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

-- Object: schema_compatibility; Type: TABLE
CREATE TABLE public.schema_compatibility (
    history text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    since bigint NOT NULL
);

-- Object: schema_history; Type: TABLE
CREATE TABLE public.schema_history (
    version bigint NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

-- Object: service_history; Type: TABLE
CREATE TABLE public.service_history (
    version bigint NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);

-- Object: inbox_default; Type: TABLE ATTACH
ALTER TABLE ONLY public.inbox ATTACH PARTITION public.inbox_default DEFAULT;

-- Object: inbox_reply_default; Type: TABLE ATTACH
ALTER TABLE ONLY public.inbox_reply ATTACH PARTITION public.inbox_reply_default DEFAULT;

-- Object: outbox_default; Type: TABLE ATTACH
ALTER TABLE ONLY public.outbox ATTACH PARTITION public.outbox_default DEFAULT;

-- Object: inbox inbox_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (message_id, consumer);

-- Object: inbox_default inbox_default_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.inbox_default
    ADD CONSTRAINT inbox_default_pkey PRIMARY KEY (message_id, consumer);

-- Object: inbox_reply inbox_reply_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.inbox_reply
    ADD CONSTRAINT inbox_reply_pkey PRIMARY KEY (message_id, consumer);

-- Object: inbox_reply_default inbox_reply_default_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.inbox_reply_default
    ADD CONSTRAINT inbox_reply_default_pkey PRIMARY KEY (message_id, consumer);

-- Object: messaging_history messaging_history_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.messaging_history
    ADD CONSTRAINT messaging_history_pkey PRIMARY KEY (version);

-- Object: outbox_generation outbox_generation_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.outbox_generation
    ADD CONSTRAINT outbox_generation_pkey PRIMARY KEY (generation);

-- Object: page_token_key page_token_key_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.page_token_key
    ADD CONSTRAINT page_token_key_pkey PRIMARY KEY (only_row);

-- Object: parked parked_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (consumer, message_id);

-- Object: relay_checkpoint relay_checkpoint_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.relay_checkpoint
    ADD CONSTRAINT relay_checkpoint_pkey PRIMARY KEY (stream_created, sequence);

-- Object: relay_consumer relay_consumer_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.relay_consumer
    ADD CONSTRAINT relay_consumer_pkey PRIMARY KEY (consumer);

-- Object: relay_cursor relay_cursor_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.relay_cursor
    ADD CONSTRAINT relay_cursor_pkey PRIMARY KEY (only_row);

-- Object: relay_loss relay_loss_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.relay_loss
    ADD CONSTRAINT relay_loss_pkey PRIMARY KEY (consumer, stream_created);

-- Object: relay_stream relay_stream_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.relay_stream
    ADD CONSTRAINT relay_stream_pkey PRIMARY KEY (only_row);

-- Object: schema_backfills schema_backfills_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.schema_backfills
    ADD CONSTRAINT schema_backfills_pkey PRIMARY KEY (history, version);

-- Object: schema_compatibility schema_compatibility_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.schema_compatibility
    ADD CONSTRAINT schema_compatibility_pkey PRIMARY KEY (history, version);

-- Object: schema_history schema_history_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.schema_history
    ADD CONSTRAINT schema_history_pkey PRIMARY KEY (version);

-- Object: service_history service_history_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.service_history
    ADD CONSTRAINT service_history_pkey PRIMARY KEY (version);

-- Object: outbox_order; Type: INDEX
CREATE INDEX outbox_order ON ONLY public.outbox USING btree (generation, xid, id);

-- Object: outbox_default_generation_xid_id_idx; Type: INDEX
CREATE INDEX outbox_default_generation_xid_id_idx ON public.outbox_default USING btree (generation, xid, id);

-- Object: parked_due; Type: INDEX
CREATE INDEX parked_due ON public.parked USING btree (next_attempt_at) WHERE (state = 'retrying'::text);

-- Object: inbox_default_pkey; Type: INDEX ATTACH
ALTER INDEX public.inbox_pkey ATTACH PARTITION public.inbox_default_pkey;

-- Object: inbox_reply_default_pkey; Type: INDEX ATTACH
ALTER INDEX public.inbox_reply_pkey ATTACH PARTITION public.inbox_reply_default_pkey;

-- Object: outbox_default_generation_xid_id_idx; Type: INDEX ATTACH
ALTER INDEX public.outbox_order ATTACH PARTITION public.outbox_default_generation_xid_id_idx;

-- Object: SCHEMA public; Type: ACL
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO shared_system;
GRANT USAGE ON SCHEMA public TO shared_user;

-- Object: FUNCTION inbox_repeat_replies(of_consumer text, ids uuid[]); Type: ACL
REVOKE ALL ON FUNCTION public.inbox_repeat_replies(of_consumer text, ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.inbox_repeat_replies(of_consumer text, ids uuid[]) TO shared_system;

-- Object: FUNCTION messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval); Type: ACL
REVOKE ALL ON FUNCTION public.messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messaging_drop_partitions(of_epoch bigint, outbox_keep interval, inbox_keep interval) TO shared_system;

-- Object: FUNCTION messaging_generation(); Type: ACL
REVOKE ALL ON FUNCTION public.messaging_generation() FROM PUBLIC;
GRANT ALL ON FUNCTION public.messaging_generation() TO shared_system;
GRANT ALL ON FUNCTION public.messaging_generation() TO shared_user;

-- Object: FUNCTION messaging_is_unpublished(partition text, at_generation bigint, at_xid xid8, at_id uuid); Type: ACL
REVOKE ALL ON FUNCTION public.messaging_is_unpublished(partition text, at_generation bigint, at_xid xid8, at_id uuid) FROM PUBLIC;

-- Object: FUNCTION messaging_make_partition(parent text, day timestamp with time zone); Type: ACL
REVOKE ALL ON FUNCTION public.messaging_make_partition(parent text, day timestamp with time zone) FROM PUBLIC;

-- Object: FUNCTION messaging_make_partitions(inbox_keep interval); Type: ACL
REVOKE ALL ON FUNCTION public.messaging_make_partitions(inbox_keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.messaging_make_partitions(inbox_keep interval) TO shared_system;

-- Object: FUNCTION outbox_backlog(at_most integer); Type: ACL
REVOKE ALL ON FUNCTION public.outbox_backlog(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.outbox_backlog(at_most integer) TO shared_system;

-- Object: FUNCTION outbox_frames(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, max_frames integer, max_bytes bigint); Type: ACL
REVOKE ALL ON FUNCTION public.outbox_frames(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, max_frames integer, max_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.outbox_frames(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, max_frames integer, max_bytes bigint) TO shared_system;

-- Object: FUNCTION outbox_read(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, at_most integer); Type: ACL
REVOKE ALL ON FUNCTION public.outbox_read(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.outbox_read(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, at_most integer) TO shared_system;

-- Object: TABLE inbox; Type: ACL
GRANT SELECT,INSERT ON TABLE public.inbox TO shared_system;

-- Object: TABLE inbox_reply; Type: ACL
GRANT SELECT,INSERT ON TABLE public.inbox_reply TO shared_system;

-- Object: TABLE messaging_history; Type: ACL
GRANT SELECT ON TABLE public.messaging_history TO shared_system;

-- Object: TABLE outbox; Type: ACL
GRANT SELECT,INSERT ON TABLE public.outbox TO shared_system;
GRANT INSERT ON TABLE public.outbox TO shared_user;

-- Object: TABLE outbox_generation; Type: ACL
GRANT SELECT,INSERT ON TABLE public.outbox_generation TO shared_system;

-- Object: TABLE page_token_key; Type: ACL
GRANT SELECT ON TABLE public.page_token_key TO shared_system;

-- Object: TABLE parked; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.parked TO shared_system;

-- Object: TABLE relay_checkpoint; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.relay_checkpoint TO shared_system;

-- Object: TABLE relay_consumer; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.relay_consumer TO shared_system;

-- Object: TABLE relay_cursor; Type: ACL
GRANT SELECT,UPDATE ON TABLE public.relay_cursor TO shared_system;

-- Object: TABLE relay_loss; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.relay_loss TO shared_system;

-- Object: TABLE relay_stream; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.relay_stream TO shared_system;

-- Object: TABLE schema_backfills; Type: ACL
GRANT SELECT ON TABLE public.schema_backfills TO shared_system;

-- Object: TABLE schema_compatibility; Type: ACL
GRANT SELECT ON TABLE public.schema_compatibility TO shared_system;

-- Object: TABLE schema_history; Type: ACL
GRANT SELECT ON TABLE public.schema_history TO shared_system;

-- Object: TABLE service_history; Type: ACL
GRANT SELECT ON TABLE public.service_history TO shared_system;
