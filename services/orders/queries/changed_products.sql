-- Every product that a transaction touched which the last look may not have seen; and where the next look starts.
SELECT now.xmin, c.product_id, c.price_minor, c.currency, c.version, c.deleted
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin) AS now
LEFT JOIN catalogue AS c ON c.changed_xid >= $1::text::xid8
