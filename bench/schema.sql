-- Tables of the baseline: an order, its lines and an outbox row, with the keys that any such service has.
DROP TABLE IF EXISTS outbox, order_lines, orders;
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer bigint NOT NULL,
    state text NOT NULL,
    total_minor bigint NOT NULL,
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders,
    product bigint NOT NULL,
    quantity bigint NOT NULL,
    unit_price_minor bigint NOT NULL,
    PRIMARY KEY (order_id, product)
);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL,
    subject text NOT NULL,
    event bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
