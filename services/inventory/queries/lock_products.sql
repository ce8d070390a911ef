-- In the order of the ids, so that imports never wait for each other in a circle.
SELECT id, display_name, description, price_minor, currency, version, created_at, updated_at,
    deleted_at IS NOT NULL AS deleted
FROM products
WHERE id = ANY ($1)
ORDER BY id
FOR UPDATE
