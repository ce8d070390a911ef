-- One process at a time looks for a key and makes one; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('flotilla.identity.signing_keys', 0))
