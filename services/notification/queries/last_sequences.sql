SELECT customer_id, last_sequence
FROM feeds
WHERE customer_id = ANY ($1)
