-- Where sent_id is given a step begins, or is sent again: its clock waits for the relay. Journal entries are appended.
UPDATE sagas SET state = u.state, outcome = u.outcome, reason = u.reason, stock_done = u.stock_done,
    payment_done = u.payment_done, open = u.open, version = u.version, stock_command = u.stock_command,
    stock_command_id = u.stock_command_id, payment_command = u.payment_command,
    payment_command_id = u.payment_command_id, attempt = u.attempt,
    sent_generation = CASE WHEN u.sent_id IS NULL THEN sagas.sent_generation ELSE (SELECT messaging_generation()) END,
    sent_xid = CASE WHEN u.sent_id IS NULL THEN sagas.sent_xid ELSE pg_current_xact_id() END,
    sent_at = CASE WHEN u.sent_id IS NULL THEN sagas.sent_at ELSE clock_timestamp() END,
    sent_id = coalesce(u.sent_id, sagas.sent_id),
    published_at = CASE WHEN u.sent_id IS NULL THEN sagas.published_at END,
    due_at = CASE WHEN u.sent_id IS NULL AND u.open THEN sagas.due_at END,
    journal = CASE WHEN u.journal IS NULL THEN sagas.journal ELSE sagas.journal || timestamptz_send(clock_timestamp()) || u.journal END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::boolean[], $8::bigint[],
        $9::text[], $10::uuid[], $11::text[], $12::uuid[], $13::integer[], $14::uuid[], $15::bytea[])
    AS u (order_id, state, outcome, reason, stock_done, payment_done, open, version, stock_command, stock_command_id,
        payment_command, payment_command_id, attempt, sent_id, journal)
WHERE sagas.order_id = u.order_id
