INSERT INTO saga_journal (order_id, step, message_id, direction, kind, attempt, trace_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::integer[], $7::text[])
