UPDATE reservations r
SET state = m.state
FROM unnest($1::uuid[], $2::text[]) AS m (order_id, state)
WHERE r.order_id = m.order_id
