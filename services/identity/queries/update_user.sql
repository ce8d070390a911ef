UPDATE users
SET email = $2, display_name = $3, role = $4, password_hash = coalesce($5, password_hash),
    version = version + 1, updated_at = now()
WHERE id = $1
RETURNING id, email, display_name, role, version, created_at, updated_at
