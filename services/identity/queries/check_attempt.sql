-- How long an attempt must wait, in seconds. Counters that others can fill ($2) don't apply to a user who has signed in
-- from this network before.
SELECT greatest(
    0,
    (SELECT extract(epoch FROM blocked_until - clock_timestamp()) FROM failed_attempts WHERE key = $1),
    (
        SELECT max(extract(epoch FROM blocked_until - clock_timestamp()))
        FROM failed_attempts
        WHERE key = ANY ($2::bytea[])
          AND NOT EXISTS (
              SELECT FROM known_networks
              WHERE user_id = $3 AND network = $4 AND seen_at > clock_timestamp() - interval '90 days'
          )
    )
)::float8
