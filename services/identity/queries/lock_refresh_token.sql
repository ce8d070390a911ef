SELECT t.session_id, t.replaced_by, t.expires_at, s.user_id, s.revoked_xid IS NOT NULL AS revoked, u.role
FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN users u ON u.id = s.user_id
WHERE t.hash = $1
FOR UPDATE OF t, s
