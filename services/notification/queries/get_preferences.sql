SELECT muted_kinds, version, updated_at
FROM preferences
WHERE customer_id = $1
