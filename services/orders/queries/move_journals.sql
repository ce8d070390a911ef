-- The sagas are locked.
INSERT INTO saga_journal_rows (order_id, step, message_id, direction, kind, attempt, at, trace_id)
SELECT s.order_id, e.step, e.message_id, e.direction, e.kind, e.attempt, e.at, e.trace_id
FROM sagas AS s CROSS JOIN LATERAL saga_journal_entries(s.journal) AS e
WHERE s.order_id = ANY ($1)
