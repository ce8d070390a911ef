UPDATE products
SET version = version + 1, updated_at = now(), deleted_at = now()
WHERE id = $1
RETURNING id, display_name, description, price_minor, currency, version, created_at, updated_at
