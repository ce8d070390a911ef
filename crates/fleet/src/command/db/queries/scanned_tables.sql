-- Large tables whose rows sequential scans have read at least ten times over: an index may be missing. Partitions count as their table.
SELECT current_database() AS database, p.root::regclass::text AS table, sum(p.rows)::bigint AS rows, sum(p.seq_scan)::bigint AS scans,
    sum(p.seq_tup_read)::bigint AS rows_read, coalesce(sum(p.idx_scan), 0)::bigint AS index_scans,
    extract(epoch FROM clock_timestamp() - max(p.scanned))::double precision AS scanned_seconds_ago
FROM (
    -- last_seq_scan is new in PostgreSQL 16.
    SELECT coalesce(pg_partition_root(t.relid), t.relid) AS root, t.seq_scan, t.seq_tup_read, t.idx_scan,
        greatest(t.n_live_tup, c.reltuples::bigint) AS rows, (to_jsonb(t) ->> 'last_seq_scan')::timestamptz AS scanned
    FROM pg_stat_user_tables AS t
    JOIN pg_class AS c ON c.oid = t.relid
) AS p
GROUP BY p.root
HAVING sum(p.rows) >= $2::bigint AND sum(p.seq_tup_read) >= 10 * sum(p.rows)
ORDER BY rows_read DESC
LIMIT $1::bigint
