-- A charge's row is also the record of its transfers: the ids, the amount and the times are there. The table keeps top-ups, and the charges and refunds of the
-- previous releases; the previous release writes on to it, through the view, during a rolling upgrade. Its statements join the view, which then reads all charges.

ALTER TABLE transfers RENAME TO transfer_rows;
CREATE VIEW transfers WITH (security_invoker = true) AS
SELECT id, kind, order_id, request_id, customer_id, amount_minor, currency, created_at FROM transfer_rows
UNION ALL
SELECT charge_transfer_id, 'charge', order_id, NULL, customer_id, amount_minor, currency, created_at
FROM charges AS c
WHERE charge_transfer_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM transfer_rows AS t WHERE t.order_id = c.order_id AND t.kind = 'charge')
UNION ALL
SELECT refund_transfer_id, 'refund', order_id, NULL, customer_id, amount_minor, currency, updated_at
FROM charges AS c
WHERE refund_transfer_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM transfer_rows AS t WHERE t.order_id = c.order_id AND t.kind = 'refund');

CREATE FUNCTION transfers_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transfer_rows (id, kind, order_id, request_id, customer_id, amount_minor, currency)
    VALUES (NEW.id, NEW.kind, NEW.order_id, NEW.request_id, NEW.customer_id, NEW.amount_minor, NEW.currency);
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_insert INSTEAD OF INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_insert();
REVOKE ALL ON FUNCTION transfers_insert() FROM PUBLIC;

-- A posting says what its transfer was, so that a statement reads postings alone; NULL in those of the previous releases, whose transfers are rows.
ALTER TABLE postings ADD COLUMN kind text, ADD COLUMN order_id uuid;
ALTER TABLE postings ADD CONSTRAINT postings_kind CHECK (kind IN ('top_up', 'charge', 'refund')) NOT VALID;
CREATE VIEW statement_lines WITH (security_invoker = true) AS
SELECT p.account, p.transfer_id, p.amount_minor, p.currency, p.created_at,
    coalesce(p.kind, (SELECT t.kind FROM transfer_rows AS t WHERE t.id = p.transfer_id)) AS kind,
    CASE WHEN p.kind IS NULL THEN (SELECT t.order_id FROM transfer_rows AS t WHERE t.id = p.transfer_id) ELSE p.order_id END AS order_id
FROM postings AS p;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role   text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON transfers TO %I', system_role);
    EXECUTE format('GRANT SELECT ON transfers, charges TO %I', user_role);
    EXECUTE format('GRANT SELECT ON statement_lines TO %I, %I', system_role, user_role);
    EXECUTE format('CREATE POLICY charges_own ON charges FOR SELECT TO %I
        USING (customer_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)', user_role);
END $$;
