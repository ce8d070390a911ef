-- Tables with many dead rows, or with many more pages than their rows need: for each row 24 bytes of header, 4 of pointer and the columns' average widths,
-- in pages as full as the fillfactor says. A table that was never analyzed has no such estimate.
WITH widths AS (
    SELECT starelid, sum((1 - stanullfrac) * stawidth) AS width FROM pg_statistic WHERE NOT stainherit GROUP BY starelid
), tables AS (
    SELECT t.relid, pg_relation_size(t.relid) AS bytes, greatest(t.n_live_tup, c.reltuples)::double precision AS rows, t.n_dead_tup AS dead_rows,
        greatest(t.last_vacuum, t.last_autovacuum) AS vacuumed, w.width, current_setting('block_size')::integer AS page,
        coalesce((SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'fillfactor'), 100) AS fillfactor
    FROM pg_stat_user_tables AS t
    JOIN pg_class AS c ON c.oid = t.relid
    LEFT JOIN widths AS w ON w.starelid = t.relid
), estimates AS (
    SELECT *, greatest(bytes - coalesce(ceil(rows * (28 + ceil(width / 8) * 8) * 100 / ((page - 24) * fillfactor)) * page, bytes), 0)::bigint AS unneeded_bytes
    FROM tables
)
SELECT current_database() AS database, relid::regclass::text AS table, bytes, unneeded_bytes, dead_rows,
    extract(epoch FROM clock_timestamp() - vacuumed)::double precision AS vacuumed_seconds_ago
FROM estimates
WHERE bytes > 16 * page
    AND (unneeded_bytes >= 1024 * 1024 AND unneeded_bytes >= 0.2 * bytes OR dead_rows >= 1000 AND dead_rows >= 0.2 * (rows + dead_rows))
ORDER BY unneeded_bytes DESC, dead_rows DESC
LIMIT $1::bigint
