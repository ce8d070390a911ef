INSERT INTO users (id, email, display_name, role, password_hash, request_id, request_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING id, email, display_name, role, version, created_at, updated_at
