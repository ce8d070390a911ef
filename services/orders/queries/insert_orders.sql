-- Lines travel as one array literal an order: unnest would flatten arrays of arrays.
INSERT INTO orders (id, customer_id, request_id, request_hash, state, currency, total_minor, version, product_ids, quantities, unit_prices)
SELECT o.id, o.customer_id, o.request_id, o.request_hash, 'reserving', o.currency, o.total_minor, 1,
    o.product_ids::text[], o.quantities::bigint[], o.unit_prices::bigint[]
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[])
    AS o (id, customer_id, request_id, request_hash, currency, total_minor, product_ids, quantities, unit_prices)
ON CONFLICT ON CONSTRAINT orders_idempotency DO NOTHING
RETURNING id, created_at
