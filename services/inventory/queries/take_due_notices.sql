-- $1: most rows; $2: first wait before a repeat, $3: longest, both in seconds. The wait doubles with each notice.
WITH due AS (
    SELECT o.order_id
    FROM overdue o
    JOIN reservations r ON r.order_id = o.order_id
    WHERE o.notice_at <= now() AND r.state = 'held'
    ORDER BY o.notice_at
    LIMIT $1
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE overdue o
SET notices = o.notices + 1,
    notice_at = now() + make_interval(secs => least($3::float8, $2::float8 * 2 ^ least(o.notices, 20)))
FROM due
WHERE o.order_id = due.order_id
RETURNING o.order_id, o.notices
