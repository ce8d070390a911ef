-- An order's lines are columns of its row, and its journal is a column of its saga's row, which every step writes anyway. Views under the old tables' names
-- show both forms. The tables keep the rows of the previous releases; the previous release writes on to them, through the views, during a rolling upgrade.

-- Sorted by product; NULL where the lines are rows.
ALTER TABLE orders ADD COLUMN product_ids text[] COLLATE "C", ADD COLUMN quantities bigint[], ADD COLUMN unit_prices bigint[];
ALTER TABLE orders ADD CONSTRAINT orders_lines CHECK (
    cardinality(product_ids) = cardinality(quantities) AND cardinality(product_ids) = cardinality(unit_prices)
    AND (product_ids IS NULL) = (quantities IS NULL) AND (product_ids IS NULL) = (unit_prices IS NULL)) NOT VALID;

ALTER TABLE order_lines RENAME TO order_line_rows;
CREATE VIEW order_lines WITH (security_invoker = true) AS
SELECT o.id AS order_id, l.product_id, l.quantity, l.unit_price_minor
FROM orders AS o CROSS JOIN LATERAL unnest(o.product_ids, o.quantities, o.unit_prices) AS l (product_id, quantity, unit_price_minor)
UNION ALL
SELECT order_id, product_id, quantity, unit_price_minor FROM order_line_rows;

CREATE FUNCTION order_lines_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_line_rows (order_id, product_id, quantity, unit_price_minor)
    VALUES (NEW.order_id, NEW.product_id, NEW.quantity, NEW.unit_price_minor);
    RETURN NEW;
END $$;
CREATE TRIGGER order_lines_insert INSTEAD OF INSERT ON order_lines FOR EACH ROW EXECUTE FUNCTION order_lines_insert();

-- The saga is looked up by its key, whatever the statistics say; so are lines that are rows.
CREATE OR REPLACE VIEW current_orders WITH (security_invoker = true) AS
SELECT o.id, o.customer_id, o.request_id, o.request_hash, coalesce(s.state, o.state) AS state, o.reason, o.currency, o.total_minor,
    coalesce(s.version, o.version) AS version, o.created_at, o.ended_at,
    coalesce(o.product_ids, (SELECT array_agg(product_id ORDER BY product_id) FROM order_line_rows WHERE order_id = o.id)) AS product_ids,
    coalesce(o.quantities, (SELECT array_agg(quantity ORDER BY product_id) FROM order_line_rows WHERE order_id = o.id)) AS quantities,
    coalesce(o.unit_prices, (SELECT array_agg(unit_price_minor ORDER BY product_id) FROM order_line_rows WHERE order_id = o.id)) AS unit_prices
FROM orders AS o
LEFT JOIN LATERAL (SELECT state, version FROM sagas WHERE sagas.order_id = o.id AND sagas.open LIMIT 1) AS s ON o.ended_at IS NULL;

-- Blocks, one for each transaction that wrote entries: the time (timestamptz_send), the number of groups (1 byte), and the groups: the trace's id (zeros: none),
-- the attempt (4 bytes), the name of the step, the number of entries (1 byte), and the entries: 1 if the message was sent and 0 if it was received, its id, and
-- its name. A name follows a byte with its length. Numbers are big-endian.
ALTER TABLE sagas ADD COLUMN journal bytea NOT NULL DEFAULT '';

-- Places of bytes count from 1.
CREATE FUNCTION saga_journal_number(journal bytea, place integer, bytes integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || lpad(encode(substring(journal FROM place FOR bytes), 'hex'), 16, '0'))::bit(64)::bigint
$$;
CREATE FUNCTION saga_journal_name(journal bytea, place integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_from(substring(journal FROM place + 1 FOR get_byte(journal, place - 1)), 'UTF8')
$$;

-- The entries of a journal in their order. Those of one transaction are shown a microsecond apart.
CREATE FUNCTION saga_journal_entries(journal bytea)
RETURNS TABLE (step text, message_id uuid, direction text, kind text, attempt integer, at timestamptz, trace_id text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place integer := 1;
    microseconds bigint;
    groups integer;
    entries integer;
BEGIN
    WHILE place <= octet_length(journal) LOOP
        microseconds := saga_journal_number(journal, place, 8);
        groups := saga_journal_number(journal, place + 8, 1);
        place := place + 9;
        FOR _group IN 1 .. groups LOOP
            trace_id := nullif(encode(substring(journal FROM place FOR 16), 'hex'), repeat('0', 32));
            attempt := saga_journal_number(journal, place + 16, 4);
            step := saga_journal_name(journal, place + 20);
            place := place + 21 + octet_length(step);
            entries := saga_journal_number(journal, place, 1);
            place := place + 1;
            FOR _entry IN 1 .. entries LOOP
                at := timestamptz '2000-01-01 00:00:00+00' + microseconds * interval '1 microsecond';
                microseconds := microseconds + 1;
                direction := CASE saga_journal_number(journal, place, 1) WHEN 1 THEN 'out' ELSE 'in' END;
                message_id := encode(substring(journal FROM place + 1 FOR 16), 'hex')::uuid;
                kind := saga_journal_name(journal, place + 17);
                place := place + 18 + octet_length(kind);
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

ALTER TABLE saga_journal RENAME TO saga_journal_rows;
CREATE VIEW saga_journal WITH (security_invoker = true) AS
SELECT s.order_id, e.step, e.message_id, e.direction, e.kind, e.attempt, e.at, e.trace_id
FROM sagas AS s CROSS JOIN LATERAL saga_journal_entries(s.journal) AS e
UNION ALL
SELECT order_id, step, message_id, direction, kind, attempt, at, trace_id FROM saga_journal_rows;

CREATE FUNCTION saga_journal_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO saga_journal_rows (order_id, step, message_id, direction, kind, attempt, trace_id)
    VALUES (NEW.order_id, NEW.step, NEW.message_id, NEW.direction, NEW.kind, NEW.attempt, NEW.trace_id);
    RETURN NEW;
END $$;
CREATE TRIGGER saga_journal_insert INSTEAD OF INSERT ON saga_journal FOR EACH ROW EXECUTE FUNCTION saga_journal_insert();

REVOKE ALL ON FUNCTION saga_journal_number(bytea, integer, integer), saga_journal_name(bytea, integer), saga_journal_entries(bytea), saga_journal_insert(), order_lines_insert() FROM PUBLIC;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON order_lines, saga_journal TO %I', system_role);
    EXECUTE format('GRANT SELECT ON order_lines TO %I', user_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION
        saga_journal_number(bytea, integer, integer), saga_journal_name(bytea, integer), saga_journal_entries(bytea) TO %I', system_role);
END $$;
