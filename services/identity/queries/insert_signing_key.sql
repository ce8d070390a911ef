INSERT INTO signing_keys (kid, private_key, public_key) VALUES ($1, $2, $3)
