INSERT INTO catalogue (product_id, display_name, price_minor, currency, version, deleted)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::boolean[])
ON CONFLICT (product_id) DO UPDATE SET display_name = excluded.display_name, price_minor = excluded.price_minor,
    currency = excluded.currency, version = excluded.version, deleted = excluded.deleted,
    changed_xid = excluded.changed_xid
WHERE catalogue.version < excluded.version
