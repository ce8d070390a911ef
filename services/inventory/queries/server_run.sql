-- Names the run of the server that answers: a restored database is always served by another one.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS run
