SELECT id, price_minor, currency, version, deleted_at IS NOT NULL AS deleted
FROM products
WHERE id = ANY ($1)
