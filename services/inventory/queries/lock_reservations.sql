SELECT order_id, state, product_ids, quantities, rejection, short_ids, expires_at
FROM reservations
WHERE order_id = ANY ($1)
ORDER BY order_id
FOR UPDATE
