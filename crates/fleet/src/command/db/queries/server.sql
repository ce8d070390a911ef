-- The server, and since when it counts scans: since it was set up, its last crash (which discards the counts), or the last reset in any database.
SELECT current_setting('server_version') AS version,
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::double precision AS up_seconds,
    to_char(greatest((SELECT stats_reset FROM pg_stat_bgwriter), (SELECT max(stats_reset) FROM pg_stat_database)) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS counted_since
