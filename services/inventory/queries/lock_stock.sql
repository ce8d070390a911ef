-- In the order of the ids, so that batches never wait for each other in a circle.
SELECT s.product_id, s.on_hand, s.reserved, p.deleted_at IS NULL AS sellable
FROM stock s
JOIN products p ON p.id = s.product_id
WHERE s.product_id = ANY ($1)
ORDER BY s.product_id
FOR UPDATE OF s
