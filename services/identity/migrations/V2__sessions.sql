-- Sessions, the refresh tokens that carry them on, and the ways of signing keys.

CREATE TABLE sessions (
    id               uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL REFERENCES users,
    client_label     text        NOT NULL,
    created_at       timestamptz NOT NULL,
    refreshed_at     timestamptz NOT NULL,
    -- When it ends unless it is carried on; when it ended, once it has.
    expires_at       timestamptz NOT NULL,
    -- When its last access token ends.
    token_expires_at timestamptz NOT NULL,
    -- The transaction that ended it early; what followers go by, as transactions commit out of order.
    revoked_xid      xid8
);

CREATE INDEX sessions_of_user ON sessions (user_id, id) WHERE revoked_xid IS NULL;
CREATE INDEX sessions_revoked ON sessions (revoked_xid, id) WHERE revoked_xid IS NOT NULL;
CREATE INDEX sessions_expired ON sessions (expires_at);

-- Used ones stay until they would have ended, so that a second use is noticed.
CREATE TABLE refresh_tokens (
    hash        bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id  uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL,
    -- The token that it was exchanged for.
    replaced_by bytea       CHECK (octet_length(replaced_by) = 32)
);

CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expired ON refresh_tokens (expires_at);

-- A key is published at once, signs from here on, and verifies until there can be no token of it.
ALTER TABLE signing_keys
    ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN verifies_until timestamptz;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role   text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, refresh_tokens TO %I', system_role);
    EXECUTE format('GRANT SELECT ON sessions TO %I', user_role);
    EXECUTE format('CREATE POLICY sessions_system ON sessions TO %I USING (true) WITH CHECK (true)', system_role);
    EXECUTE format(
        'CREATE POLICY sessions_own ON sessions FOR SELECT TO %I '
        'USING (user_id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)',
        user_role);
END
$$;
