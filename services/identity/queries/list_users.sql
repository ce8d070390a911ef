SELECT id, email, display_name, role, version, created_at, updated_at
FROM users
WHERE deleted_at IS NULL AND id > $1
ORDER BY id
LIMIT $2
