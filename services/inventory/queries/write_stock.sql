UPDATE stock s
SET on_hand = w.on_hand, reserved = w.reserved
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (product_id, on_hand, reserved)
WHERE s.product_id = w.product_id
