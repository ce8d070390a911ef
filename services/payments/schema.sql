-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: postings_sum_to_zero(); Type: FUNCTION
CREATE FUNCTION public.postings_sum_to_zero() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh GROUP BY transfer_id HAVING sum(amount_minor) <> 0 OR count(*) < 2) THEN
        RAISE EXCEPTION 'the postings of a transfer must sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Object: transfers_insert(); Type: FUNCTION
CREATE FUNCTION public.transfers_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO transfer_rows (id, kind, order_id, request_id, customer_id, amount_minor, currency)
    VALUES (NEW.id, NEW.kind, NEW.order_id, NEW.request_id, NEW.customer_id, NEW.amount_minor, NEW.currency);
    RETURN NEW;
END $$;

-- Object: accounts; Type: TABLE
CREATE TABLE public.accounts (
    customer_id uuid NOT NULL,
    currency text NOT NULL,
    balance_minor bigint DEFAULT 0 NOT NULL,
    closed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT accounts_balance_minor_check CHECK ((balance_minor >= 0)),
    CONSTRAINT accounts_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text))
)
WITH (fillfactor='70');

ALTER TABLE ONLY public.accounts FORCE ROW LEVEL SECURITY;

-- Object: charges; Type: TABLE
CREATE TABLE public.charges (
    order_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    state text NOT NULL,
    amount_minor bigint,
    currency text,
    decline text,
    charge_transfer_id uuid,
    refund_transfer_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT charges_amount_minor_check CHECK ((amount_minor >= 0)),
    CONSTRAINT charges_check CHECK (((state = 'tombstone'::text) = (amount_minor IS NULL))),
    CONSTRAINT charges_check1 CHECK (((amount_minor IS NULL) = (currency IS NULL))),
    CONSTRAINT charges_check2 CHECK (((state = 'declined'::text) = (decline IS NOT NULL))),
    CONSTRAINT charges_check3 CHECK (((state = ANY (ARRAY['charged'::text, 'refunded'::text])) = (charge_transfer_id IS NOT NULL))),
    CONSTRAINT charges_check4 CHECK (((state = 'refunded'::text) = (refund_transfer_id IS NOT NULL))),
    CONSTRAINT charges_state_check CHECK ((state = ANY (ARRAY['charged'::text, 'declined'::text, 'refunded'::text, 'tombstone'::text])))
);

ALTER TABLE ONLY public.charges FORCE ROW LEVEL SECURITY;

-- Object: postings; Type: TABLE
CREATE TABLE public.postings (
    account text NOT NULL,
    transfer_id uuid NOT NULL,
    customer_id uuid,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    kind text,
    order_id uuid,
    CONSTRAINT postings_check CHECK (((customer_id IS NULL) = (account ~~ 'house:%'::text)))
);

ALTER TABLE ONLY public.postings FORCE ROW LEVEL SECURITY;

-- Object: transfer_rows; Type: TABLE
CREATE TABLE public.transfer_rows (
    id uuid CONSTRAINT transfers_id_not_null NOT NULL,
    kind text CONSTRAINT transfers_kind_not_null NOT NULL,
    order_id uuid,
    request_id text,
    customer_id uuid CONSTRAINT transfers_customer_id_not_null NOT NULL,
    amount_minor bigint CONSTRAINT transfers_amount_minor_not_null NOT NULL,
    currency text CONSTRAINT transfers_currency_not_null NOT NULL,
    created_at timestamp with time zone DEFAULT now() CONSTRAINT transfers_created_at_not_null NOT NULL,
    CONSTRAINT transfers_amount_minor_check CHECK ((amount_minor >= 0)),
    CONSTRAINT transfers_check CHECK (((kind = 'top_up'::text) = (order_id IS NULL))),
    CONSTRAINT transfers_check1 CHECK (((kind = 'top_up'::text) = (request_id IS NOT NULL))),
    CONSTRAINT transfers_kind_check CHECK ((kind = ANY (ARRAY['top_up'::text, 'charge'::text, 'refund'::text])))
);

ALTER TABLE ONLY public.transfer_rows FORCE ROW LEVEL SECURITY;

-- Object: statement_lines; Type: VIEW
CREATE VIEW public.statement_lines WITH (security_invoker='true') AS
 SELECT account,
    transfer_id,
    amount_minor,
    currency,
    created_at,
    COALESCE(kind, ( SELECT t.kind
           FROM public.transfer_rows t
          WHERE (t.id = p.transfer_id))) AS kind,
        CASE
            WHEN (kind IS NULL) THEN ( SELECT t.order_id
               FROM public.transfer_rows t
              WHERE (t.id = p.transfer_id))
            ELSE order_id
        END AS order_id
   FROM public.postings p;

-- Object: transfers; Type: VIEW
CREATE VIEW public.transfers WITH (security_invoker='true') AS
 SELECT transfer_rows.id,
    transfer_rows.kind,
    transfer_rows.order_id,
    transfer_rows.request_id,
    transfer_rows.customer_id,
    transfer_rows.amount_minor,
    transfer_rows.currency,
    transfer_rows.created_at
   FROM public.transfer_rows
UNION ALL
 SELECT c.charge_transfer_id AS id,
    'charge'::text AS kind,
    c.order_id,
    NULL::text AS request_id,
    c.customer_id,
    c.amount_minor,
    c.currency,
    c.created_at
   FROM public.charges c
  WHERE ((c.charge_transfer_id IS NOT NULL) AND (NOT (EXISTS ( SELECT
           FROM public.transfer_rows t
          WHERE ((t.order_id = c.order_id) AND (t.kind = 'charge'::text))))))
UNION ALL
 SELECT c.refund_transfer_id AS id,
    'refund'::text AS kind,
    c.order_id,
    NULL::text AS request_id,
    c.customer_id,
    c.amount_minor,
    c.currency,
    c.updated_at AS created_at
   FROM public.charges c
  WHERE ((c.refund_transfer_id IS NOT NULL) AND (NOT (EXISTS ( SELECT
           FROM public.transfer_rows t
          WHERE ((t.order_id = c.order_id) AND (t.kind = 'refund'::text))))));

-- Object: accounts accounts_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (customer_id);

-- Object: charges charges_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.charges
    ADD CONSTRAINT charges_pkey PRIMARY KEY (order_id);

-- Object: postings postings_kind; Type: CHECK CONSTRAINT
ALTER TABLE public.postings
    ADD CONSTRAINT postings_kind CHECK ((kind = ANY (ARRAY['top_up'::text, 'charge'::text, 'refund'::text]))) NOT VALID;

-- Object: postings postings_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.postings
    ADD CONSTRAINT postings_pkey PRIMARY KEY (account, transfer_id);

-- Object: transfer_rows transfers_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.transfer_rows
    ADD CONSTRAINT transfers_pkey PRIMARY KEY (id);

-- Object: transfers_order; Type: INDEX
CREATE UNIQUE INDEX transfers_order ON public.transfer_rows USING btree (order_id, kind) WHERE (order_id IS NOT NULL);

-- Object: transfers_request; Type: INDEX
CREATE UNIQUE INDEX transfers_request ON public.transfer_rows USING btree (customer_id, request_id) WHERE (request_id IS NOT NULL);

-- Object: postings postings_balanced; Type: TRIGGER
CREATE TRIGGER postings_balanced AFTER INSERT ON public.postings REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.postings_sum_to_zero();

-- Object: transfers transfers_insert; Type: TRIGGER
CREATE TRIGGER transfers_insert INSTEAD OF INSERT ON public.transfers FOR EACH ROW EXECUTE FUNCTION public.transfers_insert();

-- Object: accounts; Type: ROW SECURITY
ALTER TABLE public.accounts ENABLE ROW LEVEL SECURITY;

-- Object: accounts accounts_own; Type: POLICY
CREATE POLICY accounts_own ON public.accounts FOR SELECT TO payments_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: accounts accounts_system; Type: POLICY
CREATE POLICY accounts_system ON public.accounts TO payments_system USING (true) WITH CHECK (true);

-- Object: charges; Type: ROW SECURITY
ALTER TABLE public.charges ENABLE ROW LEVEL SECURITY;

-- Object: charges charges_own; Type: POLICY
CREATE POLICY charges_own ON public.charges FOR SELECT TO payments_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: charges charges_system; Type: POLICY
CREATE POLICY charges_system ON public.charges TO payments_system USING (true) WITH CHECK (true);

-- Object: postings; Type: ROW SECURITY
ALTER TABLE public.postings ENABLE ROW LEVEL SECURITY;

-- Object: postings postings_own; Type: POLICY
CREATE POLICY postings_own ON public.postings FOR SELECT TO payments_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: postings postings_system; Type: POLICY
CREATE POLICY postings_system ON public.postings TO payments_system USING (true) WITH CHECK (true);

-- Object: transfer_rows; Type: ROW SECURITY
ALTER TABLE public.transfer_rows ENABLE ROW LEVEL SECURITY;

-- Object: transfer_rows transfers_own; Type: POLICY
CREATE POLICY transfers_own ON public.transfer_rows FOR SELECT TO payments_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: transfer_rows transfers_system; Type: POLICY
CREATE POLICY transfers_system ON public.transfer_rows TO payments_system USING (true) WITH CHECK (true);

-- Object: FUNCTION transfers_insert(); Type: ACL
REVOKE ALL ON FUNCTION public.transfers_insert() FROM PUBLIC;

-- Object: TABLE accounts; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.accounts TO payments_system;
GRANT SELECT ON TABLE public.accounts TO payments_user;

-- Object: TABLE charges; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.charges TO payments_system;
GRANT SELECT ON TABLE public.charges TO payments_user;

-- Object: TABLE postings; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.postings TO payments_system;
GRANT SELECT ON TABLE public.postings TO payments_user;

-- Object: TABLE transfer_rows; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.transfer_rows TO payments_system;
GRANT SELECT ON TABLE public.transfer_rows TO payments_user;

-- Object: TABLE statement_lines; Type: ACL
GRANT SELECT ON TABLE public.statement_lines TO payments_system;
GRANT SELECT ON TABLE public.statement_lines TO payments_user;

-- Object: TABLE transfers; Type: ACL
GRANT SELECT,INSERT ON TABLE public.transfers TO payments_system;
GRANT SELECT ON TABLE public.transfers TO payments_user;
