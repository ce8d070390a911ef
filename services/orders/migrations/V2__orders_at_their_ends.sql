-- An order's row is written when the order is placed and when it ends. While it is open, state and version are those of its saga, whose row every step writes.
-- The previous release writes both rows at every step, and reads the order's: during a rolling upgrade it may see an open order's state late.

-- A customer reads the sagas of the orders that they can see, through the view below.
ALTER TABLE sagas ENABLE ROW LEVEL SECURITY;
ALTER TABLE sagas FORCE ROW LEVEL SECURITY;

-- The saga is looked up by its key, whatever the statistics say.
CREATE VIEW current_orders WITH (security_invoker = true) AS
SELECT o.id, o.customer_id, o.request_id, o.request_hash, coalesce(s.state, o.state) AS state, o.reason, o.currency, o.total_minor,
    coalesce(s.version, o.version) AS version, o.created_at, o.ended_at
FROM orders AS o
LEFT JOIN LATERAL (SELECT state, version FROM sagas WHERE sagas.order_id = o.id AND sagas.open LIMIT 1) AS s ON o.ended_at IS NULL;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('CREATE POLICY everything ON sagas TO %I USING (true) WITH CHECK (true)', system_role);
    EXECUTE format('CREATE POLICY own ON sagas FOR SELECT TO %I
        USING (EXISTS (SELECT FROM orders WHERE orders.id = sagas.order_id))', user_role);
    EXECUTE format('GRANT SELECT (order_id, state, version, open) ON sagas TO %I', user_role);
    EXECUTE format('GRANT SELECT ON current_orders TO %I, %I', system_role, user_role);
END $$;
