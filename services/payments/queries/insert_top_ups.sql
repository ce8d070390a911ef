INSERT INTO transfer_rows (id, kind, request_id, customer_id, amount_minor, currency)
SELECT id, 'top_up', request_id, customer_id, amount_minor, currency
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[]) AS t (id, request_id, customer_id, amount_minor, currency)
