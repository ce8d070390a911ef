WITH made AS (
    INSERT INTO products (id, display_name, description, price_minor, currency)
    SELECT n.id, n.display_name, n.description, n.price_minor, n.currency
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
        AS n (id, display_name, description, price_minor, currency)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, display_name, description, price_minor, currency, version, created_at, updated_at
), added_stock AS (
    INSERT INTO stock (product_id)
    SELECT id FROM made
)
SELECT id, display_name, description, price_minor, currency, version, created_at, updated_at
FROM made
