INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency, kind, order_id)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::uuid[])
