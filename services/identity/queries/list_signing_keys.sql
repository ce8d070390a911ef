SELECT kid, private_key, public_key FROM signing_keys ORDER BY created_at DESC, kid
