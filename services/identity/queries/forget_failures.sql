-- The secret was right: resets the counter of this account and network, and records the network as known. A user keeps the
-- 32 networks seen last.
WITH forgotten AS (
    DELETE FROM failed_attempts WHERE key = $1
), seen AS (
    INSERT INTO known_networks AS n (user_id, network, seen_at)
    VALUES ($2, $3, clock_timestamp())
    ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at
    WHERE n.seen_at < excluded.seen_at - interval '1 hour'
)
DELETE FROM known_networks
WHERE user_id = $2
  AND network IN (
      SELECT network FROM known_networks WHERE user_id = $2 AND network <> $3 ORDER BY seen_at DESC OFFSET 31
  )
