SELECT id, sequence, kind, order_id, body, created_at
FROM deliveries
WHERE customer_id = $1 AND sequence < $2
ORDER BY sequence DESC
LIMIT $3
