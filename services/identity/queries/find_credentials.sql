-- $1: the forms of an address, the last as the client sent it; an earlier version may have stored two of them.
SELECT id, role, password_hash
FROM users
WHERE lower(normalize(email, NFC)) = ANY (ARRAY(SELECT lower(normalize(form, NFC)) FROM unnest($1::text[]) AS form))
  AND deleted_at IS NULL
ORDER BY lower(email) = lower(($1::text[])[cardinality($1::text[])]) DESC
LIMIT 1
