-- Steps that have been waiting and whose commands the relay has published since. Ids carry the time of their making:
-- orders younger than the wait lie above $1 and are not looked at. The
-- cursor's id is a frame's, which is made after the ids of the commands in it: of a transaction whose frames the relay reads in two
-- parts, a step may count as published a moment early.
SELECT s.order_id, s.attempt
FROM sagas AS s, relay_cursor AS c
WHERE s.open AND s.due_at IS NULL AND s.order_id < $1
    AND s.sent_at <= clock_timestamp() - make_interval(secs => $2)
    AND CASE WHEN s.sent_generation = c.generation THEN (s.sent_xid, s.sent_id) <= (c.xid, c.id)
        ELSE EXISTS (SELECT FROM outbox_generation AS sent, outbox_generation AS reached
            WHERE sent.generation = s.sent_generation AND reached.generation = c.generation
                AND sent.ordinal < reached.ordinal) END
ORDER BY s.order_id LIMIT $3
FOR NO KEY UPDATE OF s SKIP LOCKED
