INSERT INTO order_lines (order_id, product_id, quantity, unit_price_minor)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
