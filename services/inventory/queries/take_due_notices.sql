-- $1: most rows; $2: first wait before a repeat, $3: longest, both in seconds. The wait doubles with each notice.
WITH due AS (
    SELECT order_id
    FROM reservations
    WHERE state = 'held' AND notice_at <= now()
    ORDER BY notice_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE reservations r
SET notices = r.notices + 1,
    notice_at = now() + make_interval(secs => least($3::float8, $2::float8 * 2 ^ least(r.notices, 20)))
FROM due
WHERE r.order_id = due.order_id
RETURNING r.order_id, r.notices
