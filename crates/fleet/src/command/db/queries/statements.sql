-- The statements that took the most time in all. PostgreSQL has replaced constants by $1, $2, … in those that may hold them; it keeps the text of others
-- (CREATE ROLE, DO, …) as it is, so they are left out.
SELECT d.datname AS database, coalesce(r.rolname, '') AS role, s.calls, s.total_exec_time AS total_ms, s.share, s.mean_exec_time AS mean_ms,
    s.rows::double precision / greatest(s.calls, 1) AS rows_a_call, s.pages::double precision / greatest(s.calls, 1) AS pages_a_call,
    left(btrim(regexp_replace(regexp_replace(s.query, '--[^\n]*', ' ', 'g'), '[\s[:cntrl:]]+', ' ', 'g')), 4000) AS statement
FROM (
    SELECT c.*, c.shared_blks_hit + c.shared_blks_read AS pages, coalesce(c.total_exec_time / nullif(sum(c.total_exec_time) OVER (), 0), 0) AS share
    FROM pg_stat_statements AS c
    WHERE c.dbid IN (SELECT oid FROM pg_database WHERE datname = ANY ($1::text[]))
        AND c.query ~* '^\s*(--[^\n]*\n\s*)*\(?(select|insert|update|delete|merge|with|values|copy)\M'
    ORDER BY c.total_exec_time DESC
    LIMIT $2::bigint
) AS s
JOIN pg_database AS d ON d.oid = s.dbid
LEFT JOIN pg_roles AS r ON r.oid = s.userid
ORDER BY s.total_exec_time DESC
