SELECT coalesce(max(sequence), 0) AS last_sequence
FROM deliveries
WHERE customer_id = $1
