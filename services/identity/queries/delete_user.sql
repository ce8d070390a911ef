-- The row stays, for its request id and for those who refer to it; what is personal goes.
UPDATE users
SET email = '', display_name = '', password_hash = '', version = version + 1, updated_at = now(), deleted_at = now()
WHERE id = $1
RETURNING version
