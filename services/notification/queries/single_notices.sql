SELECT order_id
FROM order_notices
WHERE order_id = ANY ($1) AND single
