-- Indexes that no scan has used, unless a constraint or the replica identity needs them. Those of at most two pages are left out. Partitions count as
-- their table.
WITH unused AS (
    SELECT coalesce(pg_partition_root(s.indexrelid), s.indexrelid) AS root, array_agg(s.indexrelid) AS parts
    FROM pg_stat_user_indexes AS s
    GROUP BY 1
    HAVING sum(s.idx_scan) = 0
), sizes AS (
    SELECT u.root, i.indrelid, (SELECT sum(pg_relation_size(part))::bigint FROM unnest(u.parts) AS part) AS bytes
    FROM unused AS u
    JOIN pg_index AS i ON i.indexrelid = u.root
    WHERE NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisreplident
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = u.root)
)
SELECT current_database() AS database, indrelid::regclass::text AS table, root::regclass::text AS index, bytes
FROM sizes
WHERE bytes > 2 * current_setting('block_size')::integer
ORDER BY bytes DESC
LIMIT $1::bigint
