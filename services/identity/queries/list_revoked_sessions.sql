-- Everything that committed since a snapshot carries a transaction that was no older than that snapshot's xmin: nothing
-- is missed, and a long transaction elsewhere makes rows come again instead of making them late.
SELECT now.xmin, now.cluster, now.started, s.id, s.token_expires_at, s.xid
FROM (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
        (SELECT system_identifier FROM pg_control_system()) AS cluster,
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started
) AS now
LEFT JOIN LATERAL (
    SELECT id, token_expires_at, revoked_xid::text AS xid
    FROM sessions
    WHERE revoked_xid >= $1::text::xid8 AND (revoked_xid, id) > ($2::text::xid8, $3) AND token_expires_at > $4
    ORDER BY revoked_xid, id
    LIMIT $5
) AS s ON true
