-- The row stays, for its request id and for those who refer to it; what is personal goes.
WITH gone AS (
    DELETE FROM known_networks WHERE user_id = $1
)
UPDATE users
SET email = '', display_name = '', password_hash = '', version = version + 1, updated_at = now(), deleted_at = now()
WHERE id = $1
RETURNING version
