SELECT o.id, o.customer_id, o.state, o.reason, o.currency, o.total_minor, o.version, o.created_at, o.ended_at,
    o.product_ids, o.quantities, o.unit_prices, o.request_hash, o.request_id
FROM unnest($1::uuid[], $2::text[]) AS k (customer_id, request_id)
CROSS JOIN LATERAL (
    SELECT * FROM current_orders AS c WHERE c.customer_id = k.customer_id AND c.request_id = k.request_id LIMIT 1) AS o
