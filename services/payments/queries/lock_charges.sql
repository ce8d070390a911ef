SELECT order_id, customer_id, state, amount_minor, currency, decline, charge_transfer_id, refund_transfer_id
FROM charges
WHERE order_id = ANY($1)
ORDER BY order_id
FOR UPDATE
