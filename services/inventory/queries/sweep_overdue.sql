-- $1: how long holds last; $2: how far back each sweep looks again, for transactions that began before the last one and
-- committed after it; both in seconds. A replica that finds another sweeping does nothing.
WITH mark AS MATERIALIZED (
    SELECT one, swept_until
    FROM overdue_mark
    FOR UPDATE SKIP LOCKED
), found AS (
    INSERT INTO overdue (order_id, notice_at)
    SELECT order_id, expires_at
    FROM reservations
    WHERE state = 'held'
      AND created_at >= (SELECT swept_until FROM mark)
      AND created_at < now() - make_interval(secs => $1)
    ON CONFLICT (order_id) DO NOTHING
)
UPDATE overdue_mark m
SET swept_until = now() - make_interval(secs => $1::float8 + $2::float8)
FROM mark
WHERE m.one = mark.one AND mark.swept_until < now() - make_interval(secs => $1::float8 + $2::float8)
