INSERT INTO sagas (order_id, state, stock_command, stock_command_id, sent_generation, sent_id, journal)
SELECT s.order_id, 'reserving', 'ReserveStock', s.command_id, (SELECT messaging_generation()), s.command_id,
    timestamptz_send(clock_timestamp()) || s.journal
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS s (order_id, command_id, journal)
