SELECT o.id, o.customer_id, o.state, o.reason, o.currency, o.total_minor, o.version, o.created_at, o.ended_at,
    l.product_ids, l.quantities, l.unit_prices, o.request_hash, o.request_id
FROM unnest($1::uuid[], $2::text[]) AS k (customer_id, request_id)
CROSS JOIN LATERAL (
    SELECT * FROM current_orders AS c WHERE c.customer_id = k.customer_id AND c.request_id = k.request_id LIMIT 1) AS o
CROSS JOIN LATERAL (
    SELECT array_agg(product_id ORDER BY product_id) AS product_ids, array_agg(quantity ORDER BY product_id) AS quantities,
        array_agg(unit_price_minor ORDER BY product_id) AS unit_prices
    FROM order_lines WHERE order_id = o.id) AS l
