INSERT INTO signing_keys (kid, private_key, public_key, signs_from)
VALUES ($1, $2, $3, $4)
ON CONFLICT (kid) DO NOTHING
