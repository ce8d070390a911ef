-- Settled orders of the past year for `fleet load --history`: the rows that the services leave behind for an order of two
-- lines that is confirmed at once. Each part runs in the database that its head names: `begin` and `end` once, `orders` for
-- every range of orders from :first to :last.

--- all begin
CREATE FUNCTION pg_temp.ms(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT :end_ms - (:orders - i) * (31536000000 / :orders)';
CREATE FUNCTION pg_temp.at(i bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    'SELECT to_timestamp(pg_temp.ms(i) / 1000.0)';
-- A UUID of version 7: it carries the time.
CREATE FUNCTION pg_temp.id(i bigint, kind integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$SELECT (lpad(to_hex(pg_temp.ms(i)), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8000' || lpad(to_hex(i), 12, '0'))::uuid$$;
CREATE FUNCTION pg_temp.customer(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    'SELECT pg_temp.id(i % :customers, 0)';
CREATE FUNCTION pg_temp.first(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT i * 31 % :products';
CREATE FUNCTION pg_temp.second(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT (i * 31 % :products + 1 + i % (:products - 1)) % :products';
CREATE FUNCTION pg_temp.price(product bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT 150 + product % 19850';
CREATE FUNCTION pg_temp.total(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT pg_temp.price(pg_temp.first(i)) + pg_temp.price(pg_temp.second(i))';

--- orders begin
INSERT INTO catalogue (product_id, display_name, price_minor, currency, version)
SELECT 'history-' || p, 'Lantern no. ' || p, pg_temp.price(p), 'USD', 1 FROM generate_series(0, :products - 1::bigint) AS p;
-- The journal's format is described where its column is added.
CREATE FUNCTION pg_temp.name(name text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$SELECT set_byte('\x00', 0, length(name)) || convert_to(name, 'UTF8')$$;
CREATE FUNCTION pg_temp.block(at timestamptz, step text, entries integer) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamptz_send(at) || '\x01'::bytea || decode(repeat('00', 16), 'hex') || int4send(1) || pg_temp.name(step)
        || set_byte('\x00', 0, entries)
$$;
CREATE FUNCTION pg_temp.entry(direction integer, id uuid, kind text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$SELECT set_byte('\x00', 0, direction) || uuid_send(id) || pg_temp.name(kind)$$;

--- orders orders
INSERT INTO orders (id, customer_id, request_id, request_hash, state, currency, total_minor, version, created_at, ended_at,
                    product_ids, quantities, unit_prices)
SELECT pg_temp.id(i, 1), pg_temp.customer(i), 'history-' || i, sha256(convert_to('history-' || i, 'UTF8')), 'confirmed', 'USD',
       pg_temp.total(i), 3, pg_temp.at(i), pg_temp.at(i) + interval '100 ms', line.ids, '{1,1}', line.prices
FROM generate_series(:first, :last::bigint) AS i, LATERAL (
    SELECT array_agg('history-' || p ORDER BY ('history-' || p) COLLATE "C") AS ids,
           array_agg(pg_temp.price(p) ORDER BY ('history-' || p) COLLATE "C") AS prices
    FROM (VALUES (pg_temp.first(i)), (pg_temp.second(i))) AS line (p)) AS line;
INSERT INTO sagas (order_id, state, open, version, stock_command, stock_command_id, payment_command, payment_command_id,
                   sent_generation, sent_id, sent_at, journal)
SELECT pg_temp.id(i, 1), 'confirmed', false, 3, 'CommitStock', pg_temp.id(i, 4), 'ChargePayment', pg_temp.id(i, 3),
       (SELECT system_identifier FROM pg_control_system()), pg_temp.id(i, 3), pg_temp.at(i) + interval '50 ms',
       pg_temp.block(pg_temp.at(i), 'reserving', 2)
           || pg_temp.entry(1, pg_temp.id(i, 2), 'ReserveStock') || pg_temp.entry(1, pg_temp.id(i, 5), 'OrderPlaced')
       || pg_temp.block(pg_temp.at(i) + interval '50 ms', 'charging', 2)
           || pg_temp.entry(0, pg_temp.id(i, 7), 'StockReserved') || pg_temp.entry(1, pg_temp.id(i, 3), 'ChargePayment')
       || pg_temp.block(pg_temp.at(i) + interval '100 ms', 'confirmed', 3)
           || pg_temp.entry(0, pg_temp.id(i, 8), 'PaymentCharged') || pg_temp.entry(1, pg_temp.id(i, 4), 'CommitStock')
           || pg_temp.entry(1, pg_temp.id(i, 9), 'OrderConfirmed')
FROM generate_series(:first, :last::bigint) AS i;

--- inventory begin
INSERT INTO products (id, display_name, price_minor, currency)
SELECT 'history-' || p, 'Lantern no. ' || p, pg_temp.price(p), 'USD' FROM generate_series(0, :products - 1::bigint) AS p;
INSERT INTO stock (product_id, on_hand) SELECT 'history-' || p, 1000000000 FROM generate_series(0, :products - 1::bigint) AS p;
INSERT INTO stock_adjustments (product_id, request_id, delta, reason, adjusted_by, on_hand_after, reserved_after)
SELECT 'history-' || p, 'history', 1000000000, 'delivery', pg_temp.id(1, 9), 1000000000, 0
FROM generate_series(0, :products - 1::bigint) AS p;

--- inventory orders
INSERT INTO reservations (order_id, state, product_ids, quantities, expires_at, created_at)
SELECT pg_temp.id(i, 1), 'committed', ARRAY[least(one COLLATE "C", two), greatest(one COLLATE "C", two)], '{1,1}',
       pg_temp.at(i) + interval '15 min', pg_temp.at(i)
FROM generate_series(:first, :last::bigint) AS i,
     LATERAL (VALUES ('history-' || pg_temp.first(i), 'history-' || pg_temp.second(i))) AS line (one, two);

--- inventory end
UPDATE stock SET on_hand = on_hand - shipped.units
FROM (SELECT product_id, sum(quantity) AS units FROM reservation_lines WHERE product_id LIKE 'history-%' GROUP BY 1) AS shipped
WHERE shipped.product_id = stock.product_id;

--- payments begin
INSERT INTO accounts (customer_id, currency) SELECT pg_temp.customer(c), 'USD' FROM generate_series(0, :customers - 1::bigint) AS c;
INSERT INTO transfer_rows (id, kind, request_id, customer_id, amount_minor, currency, created_at)
SELECT pg_temp.id(c, 5), 'top_up', 'history', pg_temp.customer(c), 1000000000000, 'USD', pg_temp.at(c)
FROM generate_series(0, :customers - 1::bigint) AS c;
INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency, created_at, kind)
SELECT account, pg_temp.id(c, 5), customer_id, amount, 'USD', pg_temp.at(c), 'top_up'
FROM generate_series(0, :customers - 1::bigint) AS c,
     LATERAL (VALUES ('customer:' || pg_temp.customer(c), pg_temp.customer(c), 1000000000000),
                     ('house:cash', NULL, -1000000000000)) AS side (account, customer_id, amount);

--- payments orders
INSERT INTO charges (order_id, customer_id, state, amount_minor, currency, charge_transfer_id, created_at, updated_at)
SELECT pg_temp.id(i, 1), pg_temp.customer(i), 'charged', pg_temp.total(i), 'USD', pg_temp.id(i, 6), pg_temp.at(i), pg_temp.at(i)
FROM generate_series(:first, :last::bigint) AS i;
INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency, created_at, kind, order_id)
SELECT account, pg_temp.id(i, 6), customer_id, amount, 'USD', pg_temp.at(i), 'charge', pg_temp.id(i, 1)
FROM generate_series(:first, :last::bigint) AS i,
     LATERAL (VALUES ('customer:' || pg_temp.customer(i), pg_temp.customer(i), -pg_temp.total(i)),
                     ('house:sales', NULL, pg_temp.total(i))) AS side (account, customer_id, amount);

--- payments end
UPDATE accounts SET balance_minor = posted.amount
FROM (SELECT customer_id, sum(amount_minor) AS amount FROM postings WHERE customer_id IS NOT NULL GROUP BY 1) AS posted
WHERE posted.customer_id = accounts.customer_id AND accounts.balance_minor = 0;

--- notification orders
INSERT INTO deliveries (id, customer_id, sequence, event_id, channel, kind, order_id, body, created_at)
SELECT pg_temp.id(i, 10 + step), pg_temp.customer(i), (i - 1) / :customers * 2 + step, pg_temp.id(i, 12 + step), 'feed', kind,
       pg_temp.id(i, 1), format(body, pg_temp.total(i) / 100.0), pg_temp.at(i)
FROM generate_series(:first, :last::bigint) AS i,
     (VALUES (1, 'payment_charged', 'You paid %s USD for your order.'),
             (2, 'order_confirmed', 'Your order over %s USD is confirmed.')) AS message (step, kind, body);
