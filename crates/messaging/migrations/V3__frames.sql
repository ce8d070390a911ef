-- Frames are the unit of the log: a row of the outbox holds all events of one subject that a transaction appended, where it held one event.
-- Rows of the release before, which writes on during a rolling upgrade, are frames of one event.

-- The column is called event since it held one. kind and the table inbox_reply are written by the release before alone.
ALTER TABLE outbox ALTER COLUMN kind DROP NOT NULL;
ALTER TABLE outbox ADD COLUMN events integer NOT NULL DEFAULT 1;

-- The relay's read: at most max_frames, and none after max_bytes are reached. A function, so that its plan is the index whatever the statistics say.
CREATE FUNCTION outbox_frames(after_generation bigint, after_xid xid8, after_id uuid, settled_only boolean, max_frames integer, max_bytes bigint)
RETURNS TABLE (xid xid8, id uuid, subject text, events integer, payload bytea) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
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
REVOKE ALL ON FUNCTION outbox_frames(bigint, xid8, uuid, boolean, integer, bigint) FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_frames(bigint, xid8, uuid, boolean, integer, bigint) TO %I',
        current_setting('flotilla.service') || '_system');
END $$;
