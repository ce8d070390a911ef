SELECT email, password_hash FROM users WHERE id = $1 AND deleted_at IS NULL
