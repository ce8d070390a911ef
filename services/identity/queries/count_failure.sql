-- Adds a failure. $2: the waits after one failure, two, and so on; $3: the seconds in which one decays. With $4, only if no
-- wait is in force; otherwise returns nothing. Failures are counted up to the longest wait, so that they decay within a
-- bounded time.
INSERT INTO failed_attempts AS f (key, forgotten_at, blocked_until)
VALUES (
    $1,
    clock_timestamp() + make_interval(secs => $3),
    clock_timestamp() + make_interval(secs => ($2::float8[])[1])
)
ON CONFLICT (key) DO UPDATE SET (forgotten_at, blocked_until) = (
    SELECT counted.at + make_interval(secs => counted.failures * $3),
           counted.at + make_interval(secs => ($2::float8[])[round(counted.failures)::int])
    FROM (
        SELECT clock_timestamp() AS at,
               least(
                   greatest(extract(epoch FROM f.forgotten_at - clock_timestamp())::float8 / $3, 0) + 1,
                   cardinality($2::float8[])
               ) AS failures
    ) AS counted
)
WHERE NOT $4 OR f.blocked_until <= clock_timestamp()
RETURNING true
