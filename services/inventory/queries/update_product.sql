UPDATE products
SET display_name = $2, description = $3, price_minor = $4, currency = $5, version = version + 1, updated_at = now()
WHERE id = $1
RETURNING id, display_name, description, price_minor, currency, version, created_at, updated_at
