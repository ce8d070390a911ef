UPDATE orders SET state = u.state, reason = u.reason, version = u.version, ended_at = clock_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS u (id, state, reason, version)
WHERE orders.id = u.id
