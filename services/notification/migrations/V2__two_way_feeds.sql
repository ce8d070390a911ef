-- Feeds both ways, and what users want to be told.

-- Deliveries that were shown in a two-way feed: in how many feeds, and when the client acknowledged them. Only those who
-- use such feeds have rows here; recording a delivery writes none.
CREATE TABLE shown (
    customer_id     uuid NOT NULL,
    sequence        bigint NOT NULL,
    attempts        int NOT NULL CHECK (attempts > 0),
    acknowledged_at timestamptz,
    PRIMARY KEY (customer_id, sequence)
) WITH (fillfactor = 80);

-- What a user doesn't want to be told. Who never said has no row.
CREATE TABLE preferences (
    customer_id uuid PRIMARY KEY,
    muted_kinds text[] NOT NULL CHECK (muted_kinds <@ ARRAY[
        'welcome', 'order_confirmed', 'order_rejected', 'order_cancelled',
        'payment_charged', 'payment_declined', 'payment_refunded', 'account_topped_up'
    ]),
    version     bigint NOT NULL DEFAULT 1,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE shown ENABLE ROW LEVEL SECURITY;
ALTER TABLE shown FORCE ROW LEVEL SECURITY;
ALTER TABLE preferences ENABLE ROW LEVEL SECURITY;
ALTER TABLE preferences FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
    service text := current_setting('flotilla.service');
    own     text := 'customer_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON shown TO %I', service || '_user');
    EXECUTE format('CREATE POLICY user_own ON shown TO %I USING (' || own || ') WITH CHECK (' || own || ')', service || '_user');
    EXECUTE format('GRANT SELECT ON preferences TO %I', service || '_system');
    EXECUTE format('CREATE POLICY system_read ON preferences FOR SELECT TO %I USING (true)', service || '_system');
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON preferences TO %I', service || '_user');
    EXECUTE format('CREATE POLICY user_own ON preferences TO %I USING (' || own || ') WITH CHECK (' || own || ')', service || '_user');
END
$$;
