WITH used AS (
    UPDATE refresh_tokens SET replaced_by = $2 WHERE hash = $1
), carried AS (
    UPDATE sessions
    SET refreshed_at = $4, expires_at = $5, token_expires_at = greatest(token_expires_at, $6)
    WHERE id = $3
)
INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($2, $3, $5)
