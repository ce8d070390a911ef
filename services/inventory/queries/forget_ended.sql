DELETE FROM overdue
WHERE order_id IN (
    SELECT o.order_id
    FROM overdue o
    JOIN reservations r ON r.order_id = o.order_id
    WHERE o.notice_at <= now() AND r.state <> 'held'
    FOR UPDATE OF o SKIP LOCKED
)
