-- Orders, their sagas and a copy of the catalogue. Runs as the service's owner; the service's name is the database's
-- setting flotilla.service. There are no foreign keys: rows that belong together are written by one statement batch and
-- never deleted, and a check of each line would cost more than the line.

-- Room on the pages keeps the updates of a saga's steps off the indexes: no indexed column changes.
CREATE TABLE orders (
    id           uuid        PRIMARY KEY,
    customer_id  uuid        NOT NULL,
    request_id   text        COLLATE "C" NOT NULL CHECK (request_id <> ''),
    request_hash bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    state        text        COLLATE "C" NOT NULL
                 CHECK (state IN ('reserving', 'charging', 'compensating', 'confirmed', 'rejected', 'cancelled')),
    reason       text        COLLATE "C",
    currency     text        COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    total_minor  bigint      NOT NULL CHECK (total_minor >= 0),
    version      bigint      NOT NULL CHECK (version > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    CONSTRAINT orders_idempotency UNIQUE (customer_id, request_id),
    CONSTRAINT orders_end CHECK ((ended_at IS NOT NULL) = (state IN ('confirmed', 'rejected', 'cancelled')))
) WITH (fillfactor = 60);
CREATE INDEX orders_of_customer ON orders (customer_id, id);

CREATE TABLE order_lines (
    order_id         uuid   NOT NULL,
    product_id       text   COLLATE "C" NOT NULL,
    quantity         bigint NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, product_id)
);

-- One row an order: the lock under which the order changes. A step is what was sent together: its clock starts when
-- the relay has published (sent_generation, sent_xid, sent_id) and runs out at due_at.
CREATE TABLE sagas (
    order_id           uuid        PRIMARY KEY,
    state              text        COLLATE "C" NOT NULL,
    outcome            text        COLLATE "C",
    reason             text        COLLATE "C",
    stock_done         boolean     NOT NULL DEFAULT false,
    payment_done       boolean     NOT NULL DEFAULT false,
    open               boolean     NOT NULL DEFAULT true,
    version            bigint      NOT NULL DEFAULT 1,
    stock_command      text        COLLATE "C",
    stock_command_id   uuid,
    payment_command    text        COLLATE "C",
    payment_command_id uuid,
    attempt            integer     NOT NULL DEFAULT 1,
    sent_generation    bigint      NOT NULL,
    sent_xid           xid8        NOT NULL DEFAULT pg_current_xact_id(),
    sent_id            uuid        NOT NULL,
    sent_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at       timestamptz,
    due_at             timestamptz,
    CHECK ((stock_command IS NULL) = (stock_command_id IS NULL)),
    CHECK ((payment_command IS NULL) = (payment_command_id IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX sagas_open ON sagas (order_id) WHERE open;
CREATE INDEX sagas_due ON sagas (due_at) WHERE due_at IS NOT NULL;

-- Append-only: the timeline. An order's rows lie close together, so that ranges of blocks are index enough.
CREATE TABLE saga_journal (
    order_id   uuid        NOT NULL,
    step       text        COLLATE "C" NOT NULL,
    message_id uuid        NOT NULL,
    direction  text        COLLATE "C" NOT NULL CHECK (direction IN ('in', 'out')),
    kind       text        COLLATE "C" NOT NULL,
    attempt    integer     NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    trace_id   text        COLLATE "C"
);
CREATE INDEX saga_journal_order ON saga_journal USING brin (order_id) WITH (pages_per_range = 16, autosummarize = on);

-- Inventory's products as last heard of. changed_xid is what replicas follow.
CREATE TABLE catalogue (
    product_id   text    COLLATE "C" PRIMARY KEY,
    display_name text    NOT NULL,
    price_minor  bigint  NOT NULL CHECK (price_minor >= 0),
    currency     text    COLLATE "C" NOT NULL,
    version      bigint  NOT NULL,
    deleted      boolean NOT NULL DEFAULT false,
    changed_xid  xid8    NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX catalogue_changes ON catalogue (changed_xid);

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role text := current_setting('flotilla.service') || '_user';
    of_table text;
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON orders, order_lines, sagas, saga_journal, catalogue TO %I', system_role);
    EXECUTE format('GRANT SELECT ON orders, order_lines TO %I', user_role);
    FOREACH of_table IN ARRAY ARRAY['orders', 'order_lines'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', of_table);
        EXECUTE format('CREATE POLICY everything ON %I TO %I USING (true) WITH CHECK (true)', of_table, system_role);
    END LOOP;
    EXECUTE format('CREATE POLICY own ON orders FOR SELECT TO %I
        USING (customer_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)', user_role);
    -- Through orders, and so bound by its policy.
    EXECUTE format('CREATE POLICY own ON order_lines FOR SELECT TO %I
        USING (EXISTS (SELECT FROM orders WHERE orders.id = order_lines.order_id))', user_role);
END $$;
