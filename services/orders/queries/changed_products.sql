-- Every product that a transaction touched which the last look may not have seen; where the next look starts; and which
-- run of the server says so: transaction ids count within it, as a restored database gives them out again.
SELECT now.xmin, c.product_id, c.price_minor, c.currency, c.version, c.deleted, now.run
FROM (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run
) AS now
LEFT JOIN catalogue AS c ON c.changed_xid >= $1::text::xid8
