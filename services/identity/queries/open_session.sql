-- Only while the user is still the one who was asked for a password: another password, another role or a deletion that
-- commits meanwhile ends the sessions there are, and this one must not slip in behind. A repeat finds itself.
WITH owner AS (
    SELECT id FROM users WHERE id = $2 AND password_hash = $3 AND role = $4 AND deleted_at IS NULL FOR SHARE
), opened AS (
    INSERT INTO sessions (id, user_id, client_label, created_at, refreshed_at, expires_at, token_expires_at)
    SELECT $1, id, $5, $6, $6, $7, $8 FROM owner
    ON CONFLICT (id) DO UPDATE SET id = excluded.id
    RETURNING id
)
INSERT INTO refresh_tokens (hash, session_id, expires_at)
SELECT $9, id, $7 FROM opened
ON CONFLICT (hash) DO UPDATE SET hash = excluded.hash
RETURNING session_id
