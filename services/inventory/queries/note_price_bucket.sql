-- $1: when the bucket was made; $2: the revision that was written to it.
INSERT INTO price_bucket (created, revision) VALUES ($1, $2)
ON CONFLICT (single) DO UPDATE SET
    created = excluded.created,
    revision = CASE
        WHEN price_bucket.created = excluded.created THEN greatest(price_bucket.revision, excluded.revision)
        ELSE excluded.revision
    END
