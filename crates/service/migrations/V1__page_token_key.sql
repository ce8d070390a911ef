-- The chassis: what every service with a database needs. Runs as the service's owner; the service's name is the database's setting flotilla.service.

-- Signs page tokens alike in every replica.
CREATE TABLE page_token_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key      bytea   NOT NULL
);
INSERT INTO page_token_key (key) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON page_token_key TO %I', current_setting('flotilla.service') || '_system');
END $$;
