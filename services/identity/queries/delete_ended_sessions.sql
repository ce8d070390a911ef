DELETE FROM sessions
WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < $1 AND token_expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
)
