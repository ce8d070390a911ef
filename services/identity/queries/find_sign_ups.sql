-- The users that conflict with a sign-up: the one with its request id, and those with its address in any stored form ($2).
SELECT id, email, display_name, role, version, created_at, updated_at,
       request_id, request_hash, password_hash, deleted_at IS NOT NULL AS deleted
FROM users
WHERE request_id = $1
   OR (
       lower(normalize(email, NFC)) = ANY (ARRAY(SELECT lower(normalize(form, NFC)) FROM unnest($2::text[]) AS form))
       AND deleted_at IS NULL
   )
