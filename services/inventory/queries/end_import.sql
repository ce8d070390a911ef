UPDATE imports
SET state = $3, ended_at = coalesce(ended_at, now()), touched_at = now()
WHERE id = $1 AND run = $2 AND state IN ('running', $3)
RETURNING id
