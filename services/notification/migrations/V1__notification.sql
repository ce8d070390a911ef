-- What customers were told, and how far each one's feed goes.

CREATE TABLE feeds (
    customer_id   uuid PRIMARY KEY,
    last_sequence bigint NOT NULL CHECK (last_sequence > 0)
) WITH (fillfactor = 70);

-- Found by customer and sequence, never by id: the id has no index.
CREATE TABLE deliveries (
    id          uuid NOT NULL,
    customer_id uuid NOT NULL,
    sequence    bigint NOT NULL CHECK (sequence > 0),
    event_id    uuid NOT NULL,
    channel     text NOT NULL CHECK (channel IN ('feed')),
    kind        text NOT NULL CHECK (kind IN (
        'welcome', 'order_confirmed', 'order_rejected', 'order_cancelled',
        'payment_charged', 'payment_declined', 'payment_refunded', 'account_topped_up'
    )),
    order_id    uuid,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, sequence),
    CONSTRAINT deliveries_once UNIQUE (event_id, channel)
);

ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
ALTER TABLE feeds ENABLE ROW LEVEL SECURITY;
ALTER TABLE feeds FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
    service text := current_setting('flotilla.service');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON feeds TO %I', service || '_system');
    EXECUTE format('GRANT SELECT, INSERT ON deliveries TO %I', service || '_system');
    EXECUTE format('GRANT SELECT ON deliveries TO %I', service || '_user');
    EXECUTE format('CREATE POLICY system_all ON deliveries TO %I USING (true) WITH CHECK (true)', service || '_system');
    EXECUTE format('CREATE POLICY system_all ON feeds TO %I USING (true) WITH CHECK (true)', service || '_system');
    EXECUTE format(
        'CREATE POLICY user_own ON deliveries FOR SELECT TO %I
             USING (customer_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)',
        service || '_user'
    );
END
$$;
