-- Customers' accounts and a double-entry ledger.

CREATE TABLE accounts (
    customer_id   uuid PRIMARY KEY,
    currency      text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Not indexed, so that an update of it stays on its page.
    balance_minor bigint NOT NULL DEFAULT 0 CHECK (balance_minor >= 0),
    closed_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Append-only. A charge and a refund belong to an order, a top-up to a request.
CREATE TABLE transfers (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('top_up', 'charge', 'refund')),
    order_id     uuid,
    request_id   text,
    customer_id  uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency     text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'top_up') = (order_id IS NULL)),
    CHECK ((kind = 'top_up') = (request_id IS NOT NULL))
);
CREATE UNIQUE INDEX transfers_order ON transfers (order_id, kind) WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX transfers_request ON transfers (customer_id, request_id) WHERE request_id IS NOT NULL;

-- Append-only. Accounts are 'customer:<uuid>', 'house:cash' and 'house:sales'; a house account has no balance, it is
-- summed. The one index serves statements, newest first, since ids of transfers carry their time. No foreign keys: the
-- service writes both sides of a transfer by one statement, and the trigger below checks them.
CREATE TABLE postings (
    account      text NOT NULL,
    transfer_id  uuid NOT NULL,
    customer_id  uuid,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, transfer_id),
    CHECK ((customer_id IS NULL) = (account LIKE 'house:%'))
);

-- Once for a statement, not for a row: the rows of a batch are summed together.
CREATE FUNCTION postings_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh GROUP BY transfer_id HAVING sum(amount_minor) <> 0 OR count(*) < 2) THEN
        RAISE EXCEPTION 'the postings of a transfer must sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER postings_balanced AFTER INSERT ON postings
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION postings_sum_to_zero();

-- One row for an order, the key that makes it charged once; a tombstone where the refund came first.
CREATE TABLE charges (
    order_id           uuid PRIMARY KEY,
    customer_id        uuid NOT NULL,
    state              text NOT NULL CHECK (state IN ('charged', 'declined', 'refunded', 'tombstone')),
    amount_minor       bigint CHECK (amount_minor >= 0),
    currency           text,
    decline            text,
    charge_transfer_id uuid,
    refund_transfer_id uuid,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'tombstone') = (amount_minor IS NULL)),
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CHECK ((state = 'declined') = (decline IS NOT NULL)),
    CHECK ((state IN ('charged', 'refunded')) = (charge_transfer_id IS NOT NULL)),
    CHECK ((state = 'refunded') = (refund_transfer_id IS NOT NULL))
);

ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
ALTER TABLE transfers ENABLE ROW LEVEL SECURITY;
ALTER TABLE transfers FORCE ROW LEVEL SECURITY;
ALTER TABLE postings ENABLE ROW LEVEL SECURITY;
ALTER TABLE postings FORCE ROW LEVEL SECURITY;
ALTER TABLE charges ENABLE ROW LEVEL SECURITY;
ALTER TABLE charges FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role   text := current_setting('flotilla.service') || '_user';
    relation    text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['accounts', 'transfers', 'postings', 'charges'] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO %I', relation, system_role);
        EXECUTE format(
            'CREATE POLICY %I ON %I TO %I USING (true) WITH CHECK (true)',
            relation || '_system', relation, system_role);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['accounts', 'transfers', 'postings'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO %I', relation, user_role);
        EXECUTE format(
            'CREATE POLICY %I ON %I FOR SELECT TO %I '
            'USING (customer_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)',
            relation || '_own', relation, user_role);
    END LOOP;
END
$$;
