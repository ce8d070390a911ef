-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: feeds_follow_deliveries(); Type: FUNCTION
CREATE FUNCTION public.feeds_follow_deliveries() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    last bigint := (SELECT coalesce(max(sequence), 0) FROM deliveries WHERE customer_id = NEW.customer_id);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.last_sequence := last + NEW.last_sequence - OLD.last_sequence;
    -- Where the feed has a row already, the conflict's update follows.
    ELSIF NOT EXISTS (SELECT FROM feeds WHERE customer_id = NEW.customer_id) THEN
        NEW.last_sequence := last + NEW.last_sequence;
    END IF;
    RETURN NEW;
END $$;

-- Object: feeds_lock(); Type: FUNCTION
CREATE FUNCTION public.feeds_lock() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('flotilla feeds'), share) FROM generate_series(0, 15) AS share;
    RETURN NULL;
END $$;

-- Object: lock_feeds(uuid[]); Type: FUNCTION
CREATE FUNCTION public.lock_feeds(customers uuid[]) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_advisory_xact_lock(hashtext('flotilla feeds'), share)
    FROM (SELECT DISTINCT get_byte(uuid_send(customer), 15) & 15 AS share FROM unnest(customers) AS customer ORDER BY share) AS shares
$$;

-- Object: deliveries; Type: TABLE
CREATE TABLE public.deliveries (
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    order_id uuid,
    body text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deliveries_channel_check CHECK ((channel = 'feed'::text)),
    CONSTRAINT deliveries_kind_check CHECK ((kind = ANY (ARRAY['welcome'::text, 'order_confirmed'::text, 'order_rejected'::text, 'order_cancelled'::text, 'payment_charged'::text, 'payment_declined'::text, 'payment_refunded'::text, 'account_topped_up'::text]))),
    CONSTRAINT deliveries_sequence_check CHECK ((sequence > 0))
);

ALTER TABLE ONLY public.deliveries FORCE ROW LEVEL SECURITY;

-- Object: feeds; Type: TABLE
CREATE TABLE public.feeds (
    customer_id uuid NOT NULL,
    last_sequence bigint NOT NULL,
    CONSTRAINT feeds_last_sequence_check CHECK ((last_sequence > 0))
)
WITH (fillfactor='70');

ALTER TABLE ONLY public.feeds FORCE ROW LEVEL SECURITY;

-- Object: order_notices; Type: TABLE
CREATE TABLE public.order_notices (
    order_id uuid NOT NULL,
    single boolean NOT NULL
);

-- Object: preferences; Type: TABLE
CREATE TABLE public.preferences (
    customer_id uuid NOT NULL,
    muted_kinds text[] NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT preferences_muted_kinds_check CHECK ((muted_kinds <@ ARRAY['welcome'::text, 'order_confirmed'::text, 'order_rejected'::text, 'order_cancelled'::text, 'payment_charged'::text, 'payment_declined'::text, 'payment_refunded'::text, 'account_topped_up'::text]))
);

ALTER TABLE ONLY public.preferences FORCE ROW LEVEL SECURITY;

-- Object: shown; Type: TABLE
CREATE TABLE public.shown (
    customer_id uuid NOT NULL,
    sequence bigint NOT NULL,
    attempts integer NOT NULL,
    acknowledged_at timestamp with time zone,
    CONSTRAINT shown_attempts_check CHECK ((attempts > 0))
)
WITH (fillfactor='80');

ALTER TABLE ONLY public.shown FORCE ROW LEVEL SECURITY;

-- Object: deliveries deliveries_once; Type: CONSTRAINT
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_once UNIQUE (event_id, channel);

-- Object: deliveries deliveries_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (customer_id, sequence);

-- Object: feeds feeds_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.feeds
    ADD CONSTRAINT feeds_pkey PRIMARY KEY (customer_id);

-- Object: order_notices order_notices_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.order_notices
    ADD CONSTRAINT order_notices_pkey PRIMARY KEY (order_id);

-- Object: preferences preferences_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.preferences
    ADD CONSTRAINT preferences_pkey PRIMARY KEY (customer_id);

-- Object: shown shown_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.shown
    ADD CONSTRAINT shown_pkey PRIMARY KEY (customer_id, sequence);

-- Object: deliveries_of_refunds; Type: INDEX
CREATE INDEX deliveries_of_refunds ON public.deliveries USING btree (order_id) WHERE (kind = 'payment_refunded'::text);

-- Object: feeds feeds_follow_deliveries; Type: TRIGGER
CREATE TRIGGER feeds_follow_deliveries BEFORE INSERT OR UPDATE ON public.feeds FOR EACH ROW EXECUTE FUNCTION public.feeds_follow_deliveries();

-- Object: feeds feeds_lock; Type: TRIGGER
CREATE TRIGGER feeds_lock BEFORE INSERT ON public.feeds FOR EACH STATEMENT EXECUTE FUNCTION public.feeds_lock();

-- Object: deliveries; Type: ROW SECURITY
ALTER TABLE public.deliveries ENABLE ROW LEVEL SECURITY;

-- Object: feeds; Type: ROW SECURITY
ALTER TABLE public.feeds ENABLE ROW LEVEL SECURITY;

-- Object: preferences; Type: ROW SECURITY
ALTER TABLE public.preferences ENABLE ROW LEVEL SECURITY;

-- Object: shown; Type: ROW SECURITY
ALTER TABLE public.shown ENABLE ROW LEVEL SECURITY;

-- Object: deliveries system_all; Type: POLICY
CREATE POLICY system_all ON public.deliveries TO notification_system USING (true) WITH CHECK (true);

-- Object: feeds system_all; Type: POLICY
CREATE POLICY system_all ON public.feeds TO notification_system USING (true) WITH CHECK (true);

-- Object: preferences system_read; Type: POLICY
CREATE POLICY system_read ON public.preferences FOR SELECT TO notification_system USING (true);

-- Object: deliveries user_own; Type: POLICY
CREATE POLICY user_own ON public.deliveries FOR SELECT TO notification_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: preferences user_own; Type: POLICY
CREATE POLICY user_own ON public.preferences TO notification_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid)) WITH CHECK ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: shown user_own; Type: POLICY
CREATE POLICY user_own ON public.shown TO notification_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid)) WITH CHECK ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: FUNCTION feeds_follow_deliveries(); Type: ACL
REVOKE ALL ON FUNCTION public.feeds_follow_deliveries() FROM PUBLIC;

-- Object: FUNCTION feeds_lock(); Type: ACL
REVOKE ALL ON FUNCTION public.feeds_lock() FROM PUBLIC;

-- Object: FUNCTION lock_feeds(customers uuid[]); Type: ACL
REVOKE ALL ON FUNCTION public.lock_feeds(customers uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_feeds(customers uuid[]) TO notification_system;

-- Object: TABLE deliveries; Type: ACL
GRANT SELECT,INSERT ON TABLE public.deliveries TO notification_system;
GRANT SELECT ON TABLE public.deliveries TO notification_user;

-- Object: TABLE feeds; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.feeds TO notification_system;

-- Object: TABLE order_notices; Type: ACL
GRANT SELECT,INSERT ON TABLE public.order_notices TO notification_system;

-- Object: TABLE preferences; Type: ACL
GRANT SELECT ON TABLE public.preferences TO notification_system;
GRANT SELECT,INSERT,UPDATE ON TABLE public.preferences TO notification_user;

-- Object: TABLE shown; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.shown TO notification_user;
