CREATE TABLE people (
    id bigint PRIMARY KEY,
    name text NOT NULL CHECK (name = btrim(name)),
    visits integer NOT NULL DEFAULT 0
);
