-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: failed_attempts; Type: TABLE
CREATE TABLE public.failed_attempts (
    key bytea NOT NULL,
    forgotten_at timestamp with time zone NOT NULL,
    blocked_until timestamp with time zone NOT NULL,
    CONSTRAINT failed_attempts_key_check CHECK ((octet_length(key) = 32))
);

-- Object: known_networks; Type: TABLE
CREATE TABLE public.known_networks (
    user_id uuid NOT NULL,
    network bytea NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    CONSTRAINT known_networks_network_check CHECK ((octet_length(network) = 32))
);

-- Object: refresh_tokens; Type: TABLE
CREATE TABLE public.refresh_tokens (
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    replaced_by bytea,
    CONSTRAINT refresh_tokens_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT refresh_tokens_replaced_by_check CHECK ((octet_length(replaced_by) = 32))
);

-- Object: sessions; Type: TABLE
CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    client_label text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    token_expires_at timestamp with time zone NOT NULL,
    revoked_xid xid8
);

ALTER TABLE ONLY public.sessions FORCE ROW LEVEL SECURITY;

-- Object: signing_keys; Type: TABLE
CREATE TABLE public.signing_keys (
    kid text NOT NULL,
    private_key bytea NOT NULL,
    public_key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    signs_from timestamp with time zone DEFAULT now() NOT NULL,
    verifies_until timestamp with time zone
);

-- Object: users; Type: TABLE
CREATE TABLE public.users (
    id uuid NOT NULL,
    email text NOT NULL,
    display_name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    request_id text,
    request_hash bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['customer'::text, 'operator'::text])))
);

ALTER TABLE ONLY public.users FORCE ROW LEVEL SECURITY;

-- Object: failed_attempts failed_attempts_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.failed_attempts
    ADD CONSTRAINT failed_attempts_pkey PRIMARY KEY (key);

-- Object: known_networks known_networks_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.known_networks
    ADD CONSTRAINT known_networks_pkey PRIMARY KEY (user_id, network);

-- Object: refresh_tokens refresh_tokens_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash);

-- Object: sessions sessions_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

-- Object: signing_keys signing_keys_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (kid);

-- Object: users users_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

-- Object: failed_attempts_forgotten; Type: INDEX
CREATE INDEX failed_attempts_forgotten ON public.failed_attempts USING btree (GREATEST(forgotten_at, blocked_until));

-- Object: known_networks_seen; Type: INDEX
CREATE INDEX known_networks_seen ON public.known_networks USING btree (seen_at);

-- Object: refresh_tokens_expired; Type: INDEX
CREATE INDEX refresh_tokens_expired ON public.refresh_tokens USING btree (expires_at);

-- Object: refresh_tokens_of_session; Type: INDEX
CREATE INDEX refresh_tokens_of_session ON public.refresh_tokens USING btree (session_id);

-- Object: sessions_expired; Type: INDEX
CREATE INDEX sessions_expired ON public.sessions USING btree (expires_at);

-- Object: sessions_of_user; Type: INDEX
CREATE INDEX sessions_of_user ON public.sessions USING btree (user_id, id) WHERE (revoked_xid IS NULL);

-- Object: sessions_revoked; Type: INDEX
CREATE INDEX sessions_revoked ON public.sessions USING btree (revoked_xid, id) WHERE (revoked_xid IS NOT NULL);

-- Object: users_email; Type: INDEX
CREATE UNIQUE INDEX users_email ON public.users USING btree (lower(email)) WHERE (deleted_at IS NULL);

-- Object: users_email_normalized; Type: INDEX
CREATE UNIQUE INDEX users_email_normalized ON public.users USING btree (lower(NORMALIZE(email, NFC))) WHERE (deleted_at IS NULL);

-- Object: users_request_id; Type: INDEX
CREATE UNIQUE INDEX users_request_id ON public.users USING btree (request_id) WHERE (request_id IS NOT NULL);

-- Object: known_networks known_networks_user_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.known_networks
    ADD CONSTRAINT known_networks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

-- Object: refresh_tokens refresh_tokens_session_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

-- Object: sessions sessions_user_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

-- Object: sessions; Type: ROW SECURITY
ALTER TABLE public.sessions ENABLE ROW LEVEL SECURITY;

-- Object: sessions sessions_own; Type: POLICY
CREATE POLICY sessions_own ON public.sessions FOR SELECT TO identity_user USING ((user_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: sessions sessions_system; Type: POLICY
CREATE POLICY sessions_system ON public.sessions TO identity_system USING (true) WITH CHECK (true);

-- Object: users; Type: ROW SECURITY
ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

-- Object: users users_self; Type: POLICY
CREATE POLICY users_self ON public.users FOR SELECT TO identity_user USING ((id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: users users_system; Type: POLICY
CREATE POLICY users_system ON public.users TO identity_system USING (true) WITH CHECK (true);

-- Object: TABLE failed_attempts; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.failed_attempts TO identity_system;

-- Object: TABLE known_networks; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.known_networks TO identity_system;

-- Object: TABLE refresh_tokens; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.refresh_tokens TO identity_system;

-- Object: TABLE sessions; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sessions TO identity_system;
GRANT SELECT ON TABLE public.sessions TO identity_user;

-- Object: TABLE signing_keys; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.signing_keys TO identity_system;

-- Object: TABLE users; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.users TO identity_system;

-- Object: COLUMN users.id; Type: ACL
GRANT SELECT(id) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.email; Type: ACL
GRANT SELECT(email) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.display_name; Type: ACL
GRANT SELECT(display_name) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.role; Type: ACL
GRANT SELECT(role) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.version; Type: ACL
GRANT SELECT(version) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.created_at; Type: ACL
GRANT SELECT(created_at) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.updated_at; Type: ACL
GRANT SELECT(updated_at) ON TABLE public.users TO identity_user;

-- Object: COLUMN users.deleted_at; Type: ACL
GRANT SELECT(deleted_at) ON TABLE public.users TO identity_user;
