-- $3: the version that must be the present one: 0 where there is none yet, nothing where it doesn't matter.
INSERT INTO preferences AS p (customer_id, muted_kinds)
SELECT $1, $2::text[]
WHERE $3::bigint IS NULL OR $3 = coalesce((SELECT version FROM preferences WHERE customer_id = $1), 0)
ON CONFLICT (customer_id) DO UPDATE
SET muted_kinds = excluded.muted_kinds, version = p.version + 1, updated_at = now()
WHERE $3::bigint IS NULL OR p.version = $3
RETURNING muted_kinds, version, updated_at
