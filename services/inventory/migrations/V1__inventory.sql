-- Products, their stock, and what orders hold of it.
-- Product ids compare bytewise, so that every transaction locks rows in one order.

CREATE TABLE products (
    id           text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9_-]{1,63}$'),
    display_name text NOT NULL,
    description  text NOT NULL DEFAULT '',
    price_minor  bigint NOT NULL CHECK (price_minor >= 0),
    currency     text NOT NULL CHECK (length(currency) = 3),
    version      bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    deleted_at   timestamptz
);

-- Every batch of commands updates the same hot rows: half-empty pages keep those updates inside the page,
-- out of the index, and prunable without waiting for vacuum.
CREATE TABLE stock (
    product_id text COLLATE "C" PRIMARY KEY REFERENCES products (id),
    on_hand    bigint NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    CHECK (reserved <= on_hand)
) WITH (fillfactor = 40, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.5);

CREATE TABLE stock_adjustments (
    product_id     text COLLATE "C" NOT NULL REFERENCES stock (product_id),
    request_id     text NOT NULL,
    delta          bigint NOT NULL CHECK (delta <> 0),
    reason         text NOT NULL DEFAULT '',
    adjusted_by    uuid NOT NULL,
    on_hand_after  bigint NOT NULL,
    reserved_after bigint NOT NULL,
    adjusted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, request_id)
);

-- An order's lines live in its row: one insert holds them all, and they never change.
-- "tombstone": the release came first, a late reserve is refused.
-- No index has a column that changes, and pages keep room for the one update that each row gets: it stays inside the
-- page and out of the index.
CREATE TABLE reservations (
    order_id    uuid PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('held', 'rejected', 'released', 'committed', 'tombstone')),
    product_ids text[] COLLATE "C" NOT NULL DEFAULT '{}',
    quantities  bigint[] NOT NULL DEFAULT '{}' CHECK (0 < ALL (quantities)),
    rejection   text CHECK (rejection IN ('out_of_stock', 'unknown_product')),
    short_ids   text[] COLLATE "C",
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (cardinality(product_ids) = cardinality(quantities)),
    CHECK (state NOT IN ('held', 'released', 'committed') OR (cardinality(product_ids) > 0 AND expires_at IS NOT NULL)),
    CHECK ((state = 'rejected') = (rejection IS NOT NULL))
) WITH (fillfactor = 60);

-- Leads the expiry worker to the rows of a time; costs next to nothing, as rows are appended in that order.
CREATE INDEX reservations_created ON reservations USING brin (created_at) WITH (autosummarize = on);

-- Holds that have lasted too long, and when orders is asked about each next. Filled by the expiry worker, which goes
-- over the reservations up to a mark; a batch that ends a hold doesn't touch it.
CREATE TABLE overdue (
    order_id  uuid PRIMARY KEY,
    notice_at timestamptz NOT NULL,
    notices   integer NOT NULL DEFAULT 0
);
CREATE TABLE overdue_mark (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    swept_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO overdue_mark DEFAULT VALUES;

-- The lines as rows, for people and checkers.
CREATE VIEW reservation_lines AS
SELECT r.order_id, l.product_id, l.quantity
FROM reservations r, unnest(r.product_ids, r.quantities) AS l (product_id, quantity);

-- The catalogue is public: reads go through the user role, which sees nothing else.
DO $$
DECLARE
    service text := current_setting('flotilla.service');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON products, stock, reservations TO %I', service || '_system');
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON overdue TO %I', service || '_system');
    EXECUTE format('GRANT SELECT, UPDATE ON overdue_mark TO %I', service || '_system');
    EXECUTE format('GRANT SELECT, INSERT ON stock_adjustments TO %I', service || '_system');
    EXECUTE format('GRANT SELECT ON reservation_lines TO %I', service || '_system');
    EXECUTE format('GRANT SELECT ON products TO %I', service || '_user');
END
$$;
