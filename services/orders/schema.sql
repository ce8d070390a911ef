-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: order_lines_insert(); Type: FUNCTION
CREATE FUNCTION public.order_lines_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO order_line_rows (order_id, product_id, quantity, unit_price_minor)
    VALUES (NEW.order_id, NEW.product_id, NEW.quantity, NEW.unit_price_minor);
    RETURN NEW;
END $$;

-- Object: saga_journal_entries(bytea); Type: FUNCTION
CREATE FUNCTION public.saga_journal_entries(journal bytea) RETURNS TABLE(step text, message_id uuid, direction text, kind text, attempt integer, at timestamp with time zone, trace_id text)
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE
    place integer := 1;
    microseconds bigint;
    groups integer;
    entries integer;
BEGIN
    WHILE place <= octet_length(journal) LOOP
        microseconds := saga_journal_number(journal, place, 8);
        groups := saga_journal_number(journal, place + 8, 1);
        place := place + 9;
        FOR _group IN 1 .. groups LOOP
            trace_id := nullif(encode(substring(journal FROM place FOR 16), 'hex'), repeat('0', 32));
            attempt := saga_journal_number(journal, place + 16, 4);
            step := saga_journal_name(journal, place + 20);
            place := place + 21 + octet_length(step);
            entries := saga_journal_number(journal, place, 1);
            place := place + 1;
            FOR _entry IN 1 .. entries LOOP
                at := timestamptz '2000-01-01 00:00:00+00' + microseconds * interval '1 microsecond';
                microseconds := microseconds + 1;
                direction := CASE saga_journal_number(journal, place, 1) WHEN 1 THEN 'out' ELSE 'in' END;
                message_id := encode(substring(journal FROM place + 1 FOR 16), 'hex')::uuid;
                kind := saga_journal_name(journal, place + 17);
                place := place + 18 + octet_length(kind);
                RETURN NEXT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- Object: saga_journal_insert(); Type: FUNCTION
CREATE FUNCTION public.saga_journal_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO saga_journal_rows (order_id, step, message_id, direction, kind, attempt, trace_id)
    VALUES (NEW.order_id, NEW.step, NEW.message_id, NEW.direction, NEW.kind, NEW.attempt, NEW.trace_id);
    RETURN NEW;
END $$;

-- Object: saga_journal_name(bytea, integer); Type: FUNCTION
CREATE FUNCTION public.saga_journal_name(journal bytea, place integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT convert_from(substring(journal FROM place + 1 FOR get_byte(journal, place - 1)), 'UTF8')
$$;

-- Object: saga_journal_number(bytea, integer, integer); Type: FUNCTION
CREATE FUNCTION public.saga_journal_number(journal bytea, place integer, bytes integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT ('x' || lpad(encode(substring(journal FROM place FOR bytes), 'hex'), 16, '0'))::bit(64)::bigint
$$;

-- Object: catalogue; Type: TABLE
CREATE TABLE public.catalogue (
    product_id text NOT NULL COLLATE pg_catalog."C",
    display_name text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT catalogue_price_minor_check CHECK ((price_minor >= 0))
);

-- Object: order_line_rows; Type: TABLE
CREATE TABLE public.order_line_rows (
    order_id uuid CONSTRAINT order_lines_order_id_not_null NOT NULL,
    product_id text CONSTRAINT order_lines_product_id_not_null NOT NULL COLLATE pg_catalog."C",
    quantity bigint CONSTRAINT order_lines_quantity_not_null NOT NULL,
    unit_price_minor bigint CONSTRAINT order_lines_unit_price_minor_not_null NOT NULL,
    CONSTRAINT order_lines_quantity_check CHECK ((quantity > 0)),
    CONSTRAINT order_lines_unit_price_minor_check CHECK ((unit_price_minor >= 0))
);

ALTER TABLE ONLY public.order_line_rows FORCE ROW LEVEL SECURITY;

-- Object: orders; Type: TABLE
CREATE TABLE public.orders (
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    request_id text NOT NULL COLLATE pg_catalog."C",
    request_hash bytea NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    currency text NOT NULL COLLATE pg_catalog."C",
    total_minor bigint NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    product_ids text[] COLLATE pg_catalog."C",
    quantities bigint[],
    unit_prices bigint[],
    CONSTRAINT orders_currency_check CHECK ((length(currency) = 3)),
    CONSTRAINT orders_end CHECK (((ended_at IS NOT NULL) = (state = ANY (ARRAY['confirmed'::text, 'rejected'::text, 'cancelled'::text])))),
    CONSTRAINT orders_request_hash_check CHECK ((octet_length(request_hash) = 32)),
    CONSTRAINT orders_request_id_check CHECK ((request_id <> ''::text)),
    CONSTRAINT orders_state_check CHECK ((state = ANY (ARRAY['reserving'::text, 'charging'::text, 'compensating'::text, 'confirmed'::text, 'rejected'::text, 'cancelled'::text]))),
    CONSTRAINT orders_total_minor_check CHECK ((total_minor >= 0)),
    CONSTRAINT orders_version_check CHECK ((version > 0))
)
WITH (fillfactor='45');

ALTER TABLE ONLY public.orders FORCE ROW LEVEL SECURITY;

-- Object: sagas; Type: TABLE
CREATE TABLE public.sagas (
    order_id uuid NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    outcome text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    stock_done boolean DEFAULT false NOT NULL,
    payment_done boolean DEFAULT false NOT NULL,
    open boolean DEFAULT true NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    stock_command text COLLATE pg_catalog."C",
    stock_command_id uuid,
    payment_command text COLLATE pg_catalog."C",
    payment_command_id uuid,
    attempt integer DEFAULT 1 NOT NULL,
    sent_generation bigint NOT NULL,
    sent_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    sent_id uuid NOT NULL,
    sent_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    published_at timestamp with time zone,
    due_at timestamp with time zone,
    journal bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT sagas_check CHECK (((stock_command IS NULL) = (stock_command_id IS NULL))),
    CONSTRAINT sagas_check1 CHECK (((payment_command IS NULL) = (payment_command_id IS NULL)))
)
WITH (fillfactor='35');

ALTER TABLE ONLY public.sagas FORCE ROW LEVEL SECURITY;

-- Object: current_orders; Type: VIEW
CREATE VIEW public.current_orders WITH (security_invoker='true') AS
 SELECT o.id,
    o.customer_id,
    o.request_id,
    o.request_hash,
    COALESCE(s.state, o.state) AS state,
    o.reason,
    o.currency,
    o.total_minor,
    COALESCE(s.version, o.version) AS version,
    o.created_at,
    o.ended_at,
    COALESCE(o.product_ids, ( SELECT array_agg(order_line_rows.product_id ORDER BY order_line_rows.product_id) AS array_agg
           FROM public.order_line_rows
          WHERE (order_line_rows.order_id = o.id))) AS product_ids,
    COALESCE(o.quantities, ( SELECT array_agg(order_line_rows.quantity ORDER BY order_line_rows.product_id) AS array_agg
           FROM public.order_line_rows
          WHERE (order_line_rows.order_id = o.id))) AS quantities,
    COALESCE(o.unit_prices, ( SELECT array_agg(order_line_rows.unit_price_minor ORDER BY order_line_rows.product_id) AS array_agg
           FROM public.order_line_rows
          WHERE (order_line_rows.order_id = o.id))) AS unit_prices
   FROM (public.orders o
     LEFT JOIN LATERAL ( SELECT sagas.state,
            sagas.version
           FROM public.sagas
          WHERE ((sagas.order_id = o.id) AND sagas.open)
         LIMIT 1) s ON ((o.ended_at IS NULL)));

-- Object: order_lines; Type: VIEW
CREATE VIEW public.order_lines WITH (security_invoker='true') AS
 SELECT o.id AS order_id,
    l.product_id,
    l.quantity,
    l.unit_price_minor
   FROM (public.orders o
     CROSS JOIN LATERAL UNNEST(o.product_ids, o.quantities, o.unit_prices) l(product_id, quantity, unit_price_minor))
UNION ALL
 SELECT order_line_rows.order_id,
    order_line_rows.product_id,
    order_line_rows.quantity,
    order_line_rows.unit_price_minor
   FROM public.order_line_rows;

-- Object: saga_journal_rows; Type: TABLE
CREATE TABLE public.saga_journal_rows (
    order_id uuid CONSTRAINT saga_journal_order_id_not_null NOT NULL,
    step text CONSTRAINT saga_journal_step_not_null NOT NULL COLLATE pg_catalog."C",
    message_id uuid CONSTRAINT saga_journal_message_id_not_null NOT NULL,
    direction text CONSTRAINT saga_journal_direction_not_null NOT NULL COLLATE pg_catalog."C",
    kind text CONSTRAINT saga_journal_kind_not_null NOT NULL COLLATE pg_catalog."C",
    attempt integer CONSTRAINT saga_journal_attempt_not_null NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT saga_journal_at_not_null NOT NULL,
    trace_id text COLLATE pg_catalog."C",
    CONSTRAINT saga_journal_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text])))
);

-- Object: saga_journal; Type: VIEW
CREATE VIEW public.saga_journal WITH (security_invoker='true') AS
 SELECT s.order_id,
    e.step,
    e.message_id,
    e.direction,
    e.kind,
    e.attempt,
    e.at,
    e.trace_id
   FROM (public.sagas s
     CROSS JOIN LATERAL public.saga_journal_entries(s.journal) e(step, message_id, direction, kind, attempt, at, trace_id))
UNION ALL
 SELECT saga_journal_rows.order_id,
    saga_journal_rows.step,
    saga_journal_rows.message_id,
    saga_journal_rows.direction,
    saga_journal_rows.kind,
    saga_journal_rows.attempt,
    saga_journal_rows.at,
    saga_journal_rows.trace_id
   FROM public.saga_journal_rows;

-- Object: catalogue catalogue_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.catalogue
    ADD CONSTRAINT catalogue_pkey PRIMARY KEY (product_id);

-- Object: order_line_rows order_lines_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.order_line_rows
    ADD CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, product_id);

-- Object: orders orders_idempotency; Type: CONSTRAINT
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_idempotency UNIQUE (customer_id, request_id);

-- Object: orders orders_lines; Type: CHECK CONSTRAINT
ALTER TABLE public.orders
    ADD CONSTRAINT orders_lines CHECK (((cardinality(product_ids) = cardinality(quantities)) AND (cardinality(product_ids) = cardinality(unit_prices)) AND ((product_ids IS NULL) = (quantities IS NULL)) AND ((product_ids IS NULL) = (unit_prices IS NULL)) AND (0 < ALL (quantities)) AND (0 <= ALL (unit_prices)))) NOT VALID;

-- Object: orders orders_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

-- Object: sagas sagas_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.sagas
    ADD CONSTRAINT sagas_pkey PRIMARY KEY (order_id);

-- Object: catalogue_changes; Type: INDEX
CREATE INDEX catalogue_changes ON public.catalogue USING btree (changed_xid);

-- Object: orders_of_customer; Type: INDEX
CREATE INDEX orders_of_customer ON public.orders USING btree (customer_id, id);

-- Object: saga_journal_order; Type: INDEX
CREATE INDEX saga_journal_order ON public.saga_journal_rows USING brin (order_id) WITH (pages_per_range='16', autosummarize='on');

-- Object: sagas_due; Type: INDEX
CREATE INDEX sagas_due ON public.sagas USING btree (due_at) WHERE (due_at IS NOT NULL);

-- Object: sagas_open; Type: INDEX
CREATE INDEX sagas_open ON public.sagas USING btree (order_id) WHERE open;

-- Object: order_lines order_lines_insert; Type: TRIGGER
CREATE TRIGGER order_lines_insert INSTEAD OF INSERT ON public.order_lines FOR EACH ROW EXECUTE FUNCTION public.order_lines_insert();

-- Object: saga_journal saga_journal_insert; Type: TRIGGER
CREATE TRIGGER saga_journal_insert INSTEAD OF INSERT ON public.saga_journal FOR EACH ROW EXECUTE FUNCTION public.saga_journal_insert();

-- Object: order_line_rows everything; Type: POLICY
CREATE POLICY everything ON public.order_line_rows TO orders_system USING (true) WITH CHECK (true);

-- Object: orders everything; Type: POLICY
CREATE POLICY everything ON public.orders TO orders_system USING (true) WITH CHECK (true);

-- Object: sagas everything; Type: POLICY
CREATE POLICY everything ON public.sagas TO orders_system USING (true) WITH CHECK (true);

-- Object: order_line_rows; Type: ROW SECURITY
ALTER TABLE public.order_line_rows ENABLE ROW LEVEL SECURITY;

-- Object: orders; Type: ROW SECURITY
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;

-- Object: order_line_rows own; Type: POLICY
CREATE POLICY own ON public.order_line_rows FOR SELECT TO orders_user USING ((EXISTS ( SELECT
   FROM public.orders
  WHERE (orders.id = order_line_rows.order_id))));

-- Object: orders own; Type: POLICY
CREATE POLICY own ON public.orders FOR SELECT TO orders_user USING ((customer_id = (NULLIF(current_setting('flotilla.user_id'::text, true), ''::text))::uuid));

-- Object: sagas own; Type: POLICY
CREATE POLICY own ON public.sagas FOR SELECT TO orders_user USING ((EXISTS ( SELECT
   FROM public.orders
  WHERE (orders.id = sagas.order_id))));

-- Object: sagas; Type: ROW SECURITY
ALTER TABLE public.sagas ENABLE ROW LEVEL SECURITY;

-- Object: FUNCTION order_lines_insert(); Type: ACL
REVOKE ALL ON FUNCTION public.order_lines_insert() FROM PUBLIC;

-- Object: FUNCTION saga_journal_entries(journal bytea); Type: ACL
REVOKE ALL ON FUNCTION public.saga_journal_entries(journal bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.saga_journal_entries(journal bytea) TO orders_system;

-- Object: FUNCTION saga_journal_insert(); Type: ACL
REVOKE ALL ON FUNCTION public.saga_journal_insert() FROM PUBLIC;

-- Object: FUNCTION saga_journal_name(journal bytea, place integer); Type: ACL
REVOKE ALL ON FUNCTION public.saga_journal_name(journal bytea, place integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.saga_journal_name(journal bytea, place integer) TO orders_system;

-- Object: FUNCTION saga_journal_number(journal bytea, place integer, bytes integer); Type: ACL
REVOKE ALL ON FUNCTION public.saga_journal_number(journal bytea, place integer, bytes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.saga_journal_number(journal bytea, place integer, bytes integer) TO orders_system;

-- Object: TABLE catalogue; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.catalogue TO orders_system;

-- Object: TABLE order_line_rows; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.order_line_rows TO orders_system;
GRANT SELECT ON TABLE public.order_line_rows TO orders_user;

-- Object: TABLE orders; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.orders TO orders_system;
GRANT SELECT ON TABLE public.orders TO orders_user;

-- Object: TABLE sagas; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sagas TO orders_system;

-- Object: COLUMN sagas.order_id; Type: ACL
GRANT SELECT(order_id) ON TABLE public.sagas TO orders_user;

-- Object: COLUMN sagas.state; Type: ACL
GRANT SELECT(state) ON TABLE public.sagas TO orders_user;

-- Object: COLUMN sagas.open; Type: ACL
GRANT SELECT(open) ON TABLE public.sagas TO orders_user;

-- Object: COLUMN sagas.version; Type: ACL
GRANT SELECT(version) ON TABLE public.sagas TO orders_user;

-- Object: TABLE current_orders; Type: ACL
GRANT SELECT ON TABLE public.current_orders TO orders_system;
GRANT SELECT ON TABLE public.current_orders TO orders_user;

-- Object: TABLE order_lines; Type: ACL
GRANT SELECT,INSERT ON TABLE public.order_lines TO orders_system;
GRANT SELECT ON TABLE public.order_lines TO orders_user;

-- Object: TABLE saga_journal_rows; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.saga_journal_rows TO orders_system;

-- Object: TABLE saga_journal; Type: ACL
GRANT SELECT,INSERT ON TABLE public.saga_journal TO orders_system;
