-- How far the feeds of customers go, and which run of the server says so: one row at least. A restored database is
-- always served by another run.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run, f.customer_id, f.last_sequence
FROM (SELECT 1) AS once
LEFT JOIN feeds AS f ON f.customer_id = ANY ($1)
