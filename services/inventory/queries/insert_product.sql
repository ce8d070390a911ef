WITH made AS (
    INSERT INTO products (id, display_name, description, price_minor, currency)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, display_name, description, price_minor, currency, version, created_at, updated_at
), added_stock AS (
    INSERT INTO stock (product_id)
    SELECT id FROM made
)
SELECT id, display_name, description, price_minor, currency, version, created_at, updated_at
FROM made
