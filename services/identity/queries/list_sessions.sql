SELECT id, client_label, created_at, refreshed_at, expires_at
FROM sessions
WHERE user_id = $1 AND revoked_xid IS NULL AND expires_at > $2 AND id < $3
ORDER BY id DESC
LIMIT $4
