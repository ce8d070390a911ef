-- Users and the keys that sign their tokens.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    display_name  text NOT NULL,
    role          text NOT NULL CHECK (role IN ('customer', 'operator')),
    password_hash text NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    -- The key under which the user signed up, and the hash of what was asked for (without the password).
    request_id    text,
    request_hash  bytea,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
);

-- An address is free again once its user is gone.
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_request_id ON users (request_id) WHERE request_id IS NOT NULL;

CREATE TABLE signing_keys (
    kid         text PRIMARY KEY,
    private_key bytea NOT NULL,
    public_key  bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
    system_role text := current_setting('flotilla.service') || '_system';
    user_role   text := current_setting('flotilla.service') || '_user';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON users, signing_keys TO %I', system_role);
    -- Never the password's hash.
    EXECUTE format(
        'GRANT SELECT (id, email, display_name, role, version, created_at, updated_at, deleted_at) ON users TO %I',
        user_role);
    EXECUTE format('CREATE POLICY users_system ON users TO %I USING (true) WITH CHECK (true)', system_role);
    EXECUTE format(
        'CREATE POLICY users_self ON users FOR SELECT TO %I '
        'USING (id = nullif(current_setting(''flotilla.user_id'', true), '''')::uuid)',
        user_role);
END
$$;
