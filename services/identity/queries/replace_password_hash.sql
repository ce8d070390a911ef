-- The same password with another hash: this change publishes no event.
UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND deleted_at IS NULL
