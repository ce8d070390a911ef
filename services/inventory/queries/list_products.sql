SELECT id, display_name, description, price_minor, currency, version, created_at, updated_at
FROM products
WHERE id > $1 AND deleted_at IS NULL
ORDER BY id
LIMIT $2
