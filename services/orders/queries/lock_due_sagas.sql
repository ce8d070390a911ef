SELECT s.order_id, s.state, s.outcome, s.reason, s.stock_done, s.payment_done, s.version, s.stock_command,
    s.stock_command_id, s.payment_command, s.payment_command_id, s.attempt, octet_length(s.journal) AS journal_bytes, o.customer_id, o.currency, o.total_minor
FROM (
    SELECT * FROM sagas WHERE due_at <= statement_timestamp() AND open
    ORDER BY due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS s
CROSS JOIN LATERAL (
    SELECT customer_id, currency, total_minor FROM orders WHERE orders.id = s.order_id LIMIT 1) AS o
