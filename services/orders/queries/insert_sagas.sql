INSERT INTO sagas (order_id, state, stock_command, stock_command_id, sent_generation, sent_id)
SELECT s.order_id, 'reserving', 'ReserveStock', s.command_id, (SELECT messaging_generation()), s.command_id
FROM unnest($1::uuid[], $2::uuid[]) AS s (order_id, command_id)
