-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.

-- Object: import_rejections; Type: TABLE
CREATE TABLE public.import_rejections (
    import_id text NOT NULL COLLATE pg_catalog."C",
    line bigint NOT NULL,
    product_id text NOT NULL,
    field text NOT NULL,
    reason text NOT NULL,
    description text NOT NULL,
    CONSTRAINT import_rejections_line_check CHECK ((line > 0))
);

-- Object: imports; Type: TABLE
CREATE TABLE public.imports (
    id text NOT NULL COLLATE pg_catalog."C",
    run uuid NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    received bigint DEFAULT 0 NOT NULL,
    created bigint DEFAULT 0 NOT NULL,
    updated bigint DEFAULT 0 NOT NULL,
    unchanged bigint DEFAULT 0 NOT NULL,
    rejected bigint DEFAULT 0 NOT NULL,
    started_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    touched_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT imports_check CHECK ((received = (((created + updated) + unchanged) + rejected))),
    CONSTRAINT imports_check1 CHECK (((state = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT imports_id_check CHECK ((id ~ '^[a-z0-9_-]{1,63}$'::text)),
    CONSTRAINT imports_state_check CHECK ((state = ANY (ARRAY['running'::text, 'completed'::text, 'broken_off'::text])))
);

-- Object: overdue; Type: TABLE
CREATE TABLE public.overdue (
    order_id uuid NOT NULL,
    notice_at timestamp with time zone NOT NULL,
    notices integer DEFAULT 0 NOT NULL
);

-- Object: overdue_mark; Type: TABLE
CREATE TABLE public.overdue_mark (
    one boolean DEFAULT true NOT NULL,
    swept_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT overdue_mark_one_check CHECK (one)
);

-- Object: price_bucket; Type: TABLE
CREATE TABLE public.price_bucket (
    single boolean DEFAULT true NOT NULL,
    created bigint NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT price_bucket_single_check CHECK (single)
);

-- Object: products; Type: TABLE
CREATE TABLE public.products (
    id text NOT NULL COLLATE pg_catalog."C",
    display_name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT products_currency_check CHECK ((length(currency) = 3)),
    CONSTRAINT products_id_check CHECK ((id ~ '^[a-z0-9_-]{1,63}$'::text)),
    CONSTRAINT products_price_minor_check CHECK ((price_minor >= 0)),
    CONSTRAINT products_version_check CHECK ((version > 0))
);

-- Object: reservations; Type: TABLE
CREATE TABLE public.reservations (
    order_id uuid NOT NULL,
    state text NOT NULL,
    product_ids text[] DEFAULT '{}'::text[] NOT NULL COLLATE pg_catalog."C",
    quantities bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    rejection text,
    short_ids text[] COLLATE pg_catalog."C",
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT reservations_check CHECK ((cardinality(product_ids) = cardinality(quantities))),
    CONSTRAINT reservations_check1 CHECK (((state <> ALL (ARRAY['held'::text, 'released'::text, 'committed'::text])) OR ((cardinality(product_ids) > 0) AND (expires_at IS NOT NULL)))),
    CONSTRAINT reservations_check2 CHECK (((state = 'rejected'::text) = (rejection IS NOT NULL))),
    CONSTRAINT reservations_quantities_check CHECK ((0 < ALL (quantities))),
    CONSTRAINT reservations_rejection_check CHECK ((rejection = ANY (ARRAY['out_of_stock'::text, 'unknown_product'::text]))),
    CONSTRAINT reservations_state_check CHECK ((state = ANY (ARRAY['held'::text, 'rejected'::text, 'released'::text, 'committed'::text, 'tombstone'::text])))
)
WITH (fillfactor='45');

-- Object: reservation_lines; Type: VIEW
CREATE VIEW public.reservation_lines AS
 SELECT r.order_id,
    l.product_id,
    l.quantity
   FROM public.reservations r,
    LATERAL UNNEST(r.product_ids, r.quantities) l(product_id, quantity);

-- Object: stock; Type: TABLE
CREATE TABLE public.stock (
    product_id text NOT NULL COLLATE pg_catalog."C",
    on_hand bigint DEFAULT 0 NOT NULL,
    reserved bigint DEFAULT 0 NOT NULL,
    CONSTRAINT stock_check CHECK ((reserved <= on_hand)),
    CONSTRAINT stock_on_hand_check CHECK ((on_hand >= 0)),
    CONSTRAINT stock_reserved_check CHECK ((reserved >= 0))
)
WITH (fillfactor='40', autovacuum_vacuum_threshold='500', autovacuum_vacuum_scale_factor='0.5');

-- Object: stock_adjustments; Type: TABLE
CREATE TABLE public.stock_adjustments (
    product_id text NOT NULL COLLATE pg_catalog."C",
    request_id text NOT NULL,
    delta bigint NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    adjusted_by uuid NOT NULL,
    on_hand_after bigint NOT NULL,
    reserved_after bigint NOT NULL,
    adjusted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stock_adjustments_delta_check CHECK ((delta <> 0))
);

-- Object: import_rejections import_rejections_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.import_rejections
    ADD CONSTRAINT import_rejections_pkey PRIMARY KEY (import_id, line);

-- Object: imports imports_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (id);

-- Object: overdue_mark overdue_mark_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.overdue_mark
    ADD CONSTRAINT overdue_mark_pkey PRIMARY KEY (one);

-- Object: overdue overdue_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.overdue
    ADD CONSTRAINT overdue_pkey PRIMARY KEY (order_id);

-- Object: price_bucket price_bucket_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.price_bucket
    ADD CONSTRAINT price_bucket_pkey PRIMARY KEY (single);

-- Object: products products_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_pkey PRIMARY KEY (id);

-- Object: reservations reservations_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (order_id);

-- Object: stock_adjustments stock_adjustments_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.stock_adjustments
    ADD CONSTRAINT stock_adjustments_pkey PRIMARY KEY (product_id, request_id);

-- Object: stock stock_pkey; Type: CONSTRAINT
ALTER TABLE ONLY public.stock
    ADD CONSTRAINT stock_pkey PRIMARY KEY (product_id);

-- Object: reservations_created; Type: INDEX
CREATE INDEX reservations_created ON public.reservations USING brin (created_at) WITH (autosummarize='on');

-- Object: import_rejections import_rejections_import_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.import_rejections
    ADD CONSTRAINT import_rejections_import_id_fkey FOREIGN KEY (import_id) REFERENCES public.imports(id) ON DELETE CASCADE;

-- Object: stock_adjustments stock_adjustments_product_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.stock_adjustments
    ADD CONSTRAINT stock_adjustments_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.stock(product_id);

-- Object: stock stock_product_id_fkey; Type: FK CONSTRAINT
ALTER TABLE ONLY public.stock
    ADD CONSTRAINT stock_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id);

-- Object: TABLE import_rejections; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.import_rejections TO inventory_system;

-- Object: TABLE imports; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.imports TO inventory_system;

-- Object: TABLE overdue; Type: ACL
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.overdue TO inventory_system;

-- Object: TABLE overdue_mark; Type: ACL
GRANT SELECT,UPDATE ON TABLE public.overdue_mark TO inventory_system;

-- Object: TABLE price_bucket; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.price_bucket TO inventory_system;

-- Object: TABLE products; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.products TO inventory_system;
GRANT SELECT ON TABLE public.products TO inventory_user;

-- Object: TABLE reservations; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.reservations TO inventory_system;

-- Object: TABLE reservation_lines; Type: ACL
GRANT SELECT ON TABLE public.reservation_lines TO inventory_system;

-- Object: TABLE stock; Type: ACL
GRANT SELECT,INSERT,UPDATE ON TABLE public.stock TO inventory_system;

-- Object: TABLE stock_adjustments; Type: ACL
GRANT SELECT,INSERT ON TABLE public.stock_adjustments TO inventory_system;
