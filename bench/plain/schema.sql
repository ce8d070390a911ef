-- The tables of the plain program: what such a tutorial has for orders, stock, payments and notices.
DROP TABLE IF EXISTS notices, postings, charges, accounts, reservation_lines, reservations, stock, order_lines, orders, inbox;
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    state text NOT NULL,
    total_minor bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders,
    product_id int NOT NULL,
    quantity bigint NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
CREATE TABLE stock (product_id int PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL DEFAULT 0, CHECK (reserved <= on_hand));
CREATE TABLE reservations (order_id uuid PRIMARY KEY, state text NOT NULL);
CREATE TABLE reservation_lines (order_id uuid NOT NULL REFERENCES reservations, product_id int NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE accounts (customer_id uuid PRIMARY KEY, balance_minor bigint NOT NULL CHECK (balance_minor >= 0));
CREATE TABLE charges (order_id uuid PRIMARY KEY, customer_id uuid NOT NULL, amount_minor bigint NOT NULL);
CREATE TABLE postings (order_id uuid NOT NULL REFERENCES charges, account text NOT NULL, amount_minor bigint NOT NULL, PRIMARY KEY (order_id, account));
CREATE TABLE notices (event_id uuid PRIMARY KEY, customer_id uuid NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE inbox (consumer text NOT NULL, event_id uuid NOT NULL, PRIMARY KEY (consumer, event_id));
