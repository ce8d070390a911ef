SELECT o.id, o.version
FROM unnest($1::uuid[]) AS k (id)
CROSS JOIN LATERAL (SELECT id, version FROM orders WHERE orders.id = k.id LIMIT 1) AS o
