-- Identifies the server run: a restored database always has another one.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run
