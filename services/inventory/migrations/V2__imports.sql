-- Imports of products and prices, how far each has come, and the rows that were rejected.

-- "run" is the stream that works on the import: a stream that another one replaced changes nothing any more.
CREATE TABLE imports (
    id         text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9_-]{1,63}$'),
    run        uuid NOT NULL,
    state      text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'broken_off')),
    received   bigint NOT NULL DEFAULT 0,
    created    bigint NOT NULL DEFAULT 0,
    updated    bigint NOT NULL DEFAULT 0,
    unchanged  bigint NOT NULL DEFAULT 0,
    rejected   bigint NOT NULL DEFAULT 0,
    started_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    CHECK (received = created + updated + unchanged + rejected),
    CHECK ((state = 'running') = (ended_at IS NULL))
);

CREATE TABLE import_rejections (
    import_id   text COLLATE "C" NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    line        bigint NOT NULL CHECK (line > 0),
    product_id  text NOT NULL,
    field       text NOT NULL,
    reason      text NOT NULL,
    description text NOT NULL,
    PRIMARY KEY (import_id, line)
);

DO $$
DECLARE
    service text := current_setting('flotilla.service');
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON imports, import_rejections TO %I', service || '_system');
END
$$;
