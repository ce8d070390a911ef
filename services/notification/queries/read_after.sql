SELECT d.id, d.sequence, d.kind, d.order_id, d.body, d.created_at, s.acknowledged_at
FROM deliveries AS d
LEFT JOIN shown AS s ON s.customer_id = d.customer_id AND s.sequence = d.sequence
WHERE d.customer_id = $1 AND d.sequence >= $2
ORDER BY d.sequence
LIMIT $3
