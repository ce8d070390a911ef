SELECT o.id, o.customer_id, o.state, o.reason, o.currency, o.total_minor, o.version, o.created_at, o.ended_at,
    l.product_ids, l.quantities, l.unit_prices
FROM current_orders AS o
CROSS JOIN LATERAL (
    SELECT array_agg(product_id ORDER BY product_id) AS product_ids, array_agg(quantity ORDER BY product_id) AS quantities,
        array_agg(unit_price_minor ORDER BY product_id) AS unit_prices
    FROM order_lines WHERE order_id = o.id) AS l
WHERE o.id = $1
