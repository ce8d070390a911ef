-- What an order costs when a service writes it by itself: five round trips, one synced transaction an order.
-- Run by `make bench` through pgbench with 32 clients and prepared statements.
\set id random(1, 9000000000000000000)
\set customer random(1, 1000)
\set product random(1, 1000)
BEGIN;
INSERT INTO orders (id, customer, state, total_minor, currency) VALUES (:id, :customer, 'reserving', 4200, 'USD');
INSERT INTO order_lines (order_id, product, quantity, unit_price_minor) VALUES (:id, :product, 1, 1200), (:id, :product + 1000, 2, 1500);
INSERT INTO outbox (order_id, subject, event) VALUES (:id, 'orders', decode(repeat('6f', 160), 'hex'));
COMMIT;
