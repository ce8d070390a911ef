SELECT id, role, password_hash
FROM users
WHERE lower(email) = lower($1) AND deleted_at IS NULL
