SELECT kid, private_key, public_key, signs_from, verifies_until
FROM signing_keys
WHERE verifies_until IS NULL OR verifies_until > $1
ORDER BY signs_from DESC, kid
