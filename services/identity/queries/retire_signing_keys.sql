UPDATE signing_keys SET verifies_until = $2 WHERE kid <> $1 AND verifies_until IS NULL
