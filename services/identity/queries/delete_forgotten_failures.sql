DELETE FROM failed_attempts
WHERE key IN (
    SELECT key FROM failed_attempts
    WHERE greatest(forgotten_at, blocked_until) < clock_timestamp()
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
