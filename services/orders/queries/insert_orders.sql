INSERT INTO orders (id, customer_id, request_id, request_hash, state, currency, total_minor, version)
SELECT o.id, o.customer_id, o.request_id, o.request_hash, 'reserving', o.currency, o.total_minor, 1
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bigint[])
    AS o (id, customer_id, request_id, request_hash, currency, total_minor)
ON CONFLICT ON CONSTRAINT orders_idempotency DO NOTHING
RETURNING id, created_at
