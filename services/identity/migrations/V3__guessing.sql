-- Wrong passwords and refresh tokens are counted, and addresses are compared in one normal form.

-- A count of failures: `key` is a hash of what they are counted for. The count is not a column of its own: it is the time
-- until all of them are forgotten, divided by the time in which one is.
CREATE TABLE failed_attempts (
    key           bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    forgotten_at  timestamptz NOT NULL,
    blocked_until timestamptz NOT NULL
);

CREATE INDEX failed_attempts_forgotten ON failed_attempts (greatest(forgotten_at, blocked_until));

-- Networks from which a user has signed in, as hashes: what others do elsewhere doesn't lock the user out there.
CREATE TABLE known_networks (
    user_id uuid        NOT NULL REFERENCES users,
    network bytea       NOT NULL CHECK (octet_length(network) = 32),
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, network)
);

CREATE INDEX known_networks_seen ON known_networks (seen_at);

-- The version before this one looks for `lower(email)`: its index stays.
CREATE UNIQUE INDEX users_email_normalized ON users (lower(normalize(email, NFC))) WHERE deleted_at IS NULL;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON failed_attempts, known_networks TO %I', system_role);
END
$$;
