UPDATE sagas SET published_at = clock_timestamp(), due_at = clock_timestamp() + make_interval(secs => u.wait)
FROM unnest($1::uuid[], $2::float8[]) AS u (order_id, wait)
WHERE sagas.order_id = u.order_id
