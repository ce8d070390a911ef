-- Every product changed by a transaction that the last read may not have seen; where the next read starts; and the server
-- run, in which transaction ids are valid: a restored database reuses them.
SELECT now.xmin, c.product_id, c.price_minor, c.currency, c.version, c.deleted, now.run
FROM (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run
) AS now
LEFT JOIN catalogue AS c ON c.changed_xid >= $1::text::xid8
