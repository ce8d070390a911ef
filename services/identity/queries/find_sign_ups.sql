-- Who stands in the way of a sign-up: the holder of its request id, and the holder of its address.
SELECT id, email, display_name, role, version, created_at, updated_at,
       request_id, request_hash, password_hash, deleted_at IS NOT NULL AS deleted
FROM users
WHERE request_id = $1 OR (lower(email) = lower($2) AND deleted_at IS NULL)
