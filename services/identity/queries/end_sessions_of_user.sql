UPDATE sessions
SET revoked_xid = pg_current_xact_id(), expires_at = least(expires_at, $2)
WHERE user_id = $1 AND revoked_xid IS NULL
RETURNING id, token_expires_at
