-- The last sequences of customers' feeds, and the server run: at least one row. A restored database always has another
-- server run.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run, f.customer_id, f.last_sequence
FROM (SELECT 1) AS once
LEFT JOIN feeds AS f ON f.customer_id = ANY ($1)
