-- Transactions that have been open for long, in whatever database: the relays wait for those that write, vacuum for all.
SELECT a.pid, coalesce(a.datname, '') AS database, coalesce(a.usename, '') AS role,
    coalesce(nullif(a.application_name, ''), a.backend_type) AS application, coalesce(a.state, '') AS state, a.backend_xid IS NOT NULL AS writes,
    extract(epoch FROM clock_timestamp() - a.xact_start)::double precision AS seconds,
    coalesce(a.wait_event_type || ' ' || a.wait_event, '') AS waits_for, pg_blocking_pids(a.pid) AS blocked_by
FROM pg_stat_activity AS a
WHERE a.xact_start < clock_timestamp() - make_interval(secs => $1::double precision) AND a.pid <> pg_backend_pid() AND a.backend_type <> 'parallel worker'
ORDER BY a.xact_start
LIMIT $2::bigint
