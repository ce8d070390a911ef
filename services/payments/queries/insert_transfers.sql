INSERT INTO transfers (id, kind, order_id, request_id, customer_id, amount_minor, currency)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::text[])
