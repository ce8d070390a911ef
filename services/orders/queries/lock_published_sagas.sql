-- Steps that have been waiting and whose commands the relay has published since: all frames of the transaction that sent
-- them. Ids carry the time of their making: orders younger than the wait lie above $1 and are not looked at.
SELECT s.order_id, s.attempt
FROM sagas AS s, relay_cursor AS c
WHERE s.open AND s.due_at IS NULL AND s.order_id < $1
    AND s.sent_at <= clock_timestamp() - make_interval(secs => $2)
    AND CASE WHEN s.sent_generation = c.generation THEN s.sent_xid < c.xid OR s.sent_xid = c.xid AND NOT EXISTS (
            SELECT FROM outbox AS o WHERE o.generation = c.generation AND o.xid = c.xid AND o.id > c.id)
        ELSE EXISTS (SELECT FROM outbox_generation AS sent, outbox_generation AS reached
            WHERE sent.generation = s.sent_generation AND reached.generation = c.generation
                AND sent.ordinal < reached.ordinal) END
ORDER BY s.order_id LIMIT $3
FOR NO KEY UPDATE OF s SKIP LOCKED
