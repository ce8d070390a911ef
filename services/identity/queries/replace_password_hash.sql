-- The same password under another hash: no change that anybody is told of.
UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND deleted_at IS NULL
