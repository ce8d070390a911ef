-- Of one user, or of any where none is named. One that has ended stays as it is, and is found all the same.
UPDATE sessions
SET revoked_xid = coalesce(revoked_xid, pg_current_xact_id()), expires_at = least(expires_at, $3)
WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)
RETURNING id, token_expires_at
