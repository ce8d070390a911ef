UPDATE products p
SET display_name = n.display_name, description = n.description, price_minor = n.price_minor, currency = n.currency,
    version = version + 1, updated_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
    AS n (id, display_name, description, price_minor, currency)
WHERE p.id = n.id
RETURNING p.id, p.display_name, p.description, p.price_minor, p.currency, p.version, p.created_at, p.updated_at
