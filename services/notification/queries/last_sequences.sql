-- The last sequences of customers' feeds, and the server run: at least one row. A restored database always has another
-- server run.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run, f.customer_id, f.last_sequence
FROM (SELECT 1) AS once
LEFT JOIN (
    SELECT c.customer_id, (SELECT max(d.sequence) FROM deliveries AS d WHERE d.customer_id = c.customer_id) AS last_sequence
    FROM unnest($1::uuid[]) AS c (customer_id)) AS f ON f.last_sequence IS NOT NULL
