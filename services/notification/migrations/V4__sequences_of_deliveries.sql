-- A feed's last sequence is that of its last delivery, found by the index: recording a delivery writes one row. Those who record deliveries of the same customers
-- take turns by advisory locks until they commit, so that sequences become visible in order and without gaps.

-- Locks the feeds of customers, who share 16 locks by the last four bits of their ids, which are random: a batch takes few locks. Batches of many
-- customers therefore follow each other, which costs little, since a batch holds whatever waits. Everybody takes the locks in the same order.
CREATE FUNCTION lock_feeds(customers uuid[]) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtext('flotilla feeds'), share)
    FROM (SELECT DISTINCT get_byte(uuid_send(customer), 15) & 15 AS share FROM unnest(customers) AS customer ORDER BY share) AS shares
$$;

-- The previous release counts in the table feeds, and goes on doing so during a rolling upgrade: it locks all feeds, and its count goes on from the last delivery.
CREATE FUNCTION feeds_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flotilla feeds'), share) FROM generate_series(0, 15) AS share;
    RETURN NULL;
END $$;
CREATE TRIGGER feeds_lock BEFORE INSERT ON feeds FOR EACH STATEMENT EXECUTE FUNCTION feeds_lock();

CREATE FUNCTION feeds_follow_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT coalesce(max(sequence), 0) FROM deliveries WHERE customer_id = NEW.customer_id);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.last_sequence := last + NEW.last_sequence - OLD.last_sequence;
    -- Where the feed has a row already, the conflict's update follows.
    ELSIF NOT EXISTS (SELECT FROM feeds WHERE customer_id = NEW.customer_id) THEN
        NEW.last_sequence := last + NEW.last_sequence;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER feeds_follow_deliveries BEFORE INSERT OR UPDATE ON feeds FOR EACH ROW EXECUTE FUNCTION feeds_follow_deliveries();

REVOKE ALL ON FUNCTION lock_feeds(uuid[]), feeds_lock(), feeds_follow_deliveries() FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION lock_feeds(uuid[]) TO %I', current_setting('flotilla.service') || '_system');
END $$;
