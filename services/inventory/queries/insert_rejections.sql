INSERT INTO import_rejections (import_id, line, product_id, field, reason, description)
SELECT $1, r.line, r.product_id, r.field, r.reason, r.description
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS r (line, product_id, field, reason, description)
