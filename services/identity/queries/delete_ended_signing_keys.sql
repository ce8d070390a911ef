DELETE FROM signing_keys WHERE verifies_until < $1
