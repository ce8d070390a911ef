UPDATE orders SET state = u.state, reason = u.reason, version = u.version,
    ended_at = CASE WHEN u.ended THEN clock_timestamp() END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::boolean[]) AS u (id, state, reason, version, ended)
WHERE orders.id = u.id
