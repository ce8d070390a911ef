-- How far the bucket of prices was written when changes of prices were acknowledged. A bucket that holds less was taken back
-- to an earlier time, with the disk that it lies on.
CREATE TABLE price_bucket (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    created  bigint NOT NULL,
    revision bigint NOT NULL
);

DO $$
DECLARE
    service text := current_setting('flotilla.service');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON price_bucket TO %I', service || '_system');
END
$$;
