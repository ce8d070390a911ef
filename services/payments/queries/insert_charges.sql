-- No ON CONFLICT: if another transaction opened the same order first, this batch is run again and finds its row.
INSERT INTO charges (order_id, customer_id, state, amount_minor, currency, decline, charge_transfer_id, refund_transfer_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[])
