-- $6: the hash of the password that the caller has proved to know, where one had to.
UPDATE users
SET email = $2, display_name = $3, role = $4, password_hash = coalesce($5, password_hash),
    version = version + 1, updated_at = now()
WHERE id = $1 AND ($6::text IS NULL OR password_hash = $6)
RETURNING id, email, display_name, role, version, created_at, updated_at
