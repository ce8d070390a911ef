SELECT id, customer_id, state, reason, currency, total_minor, version, created_at, ended_at, product_ids, quantities, unit_prices
FROM current_orders
WHERE id = $1
