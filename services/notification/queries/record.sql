-- $1: the customers; the rest: one entry a delivery, with its customer and its place among the customer's new ones, from 1. The feeds are locked.
WITH lasts AS MATERIALIZED (
    SELECT c.customer_id, coalesce((SELECT max(d.sequence) FROM deliveries AS d WHERE d.customer_id = c.customer_id), 0) AS sequence
    FROM unnest($1::uuid[]) AS c (customer_id)
)
INSERT INTO deliveries (id, customer_id, sequence, event_id, channel, kind, order_id, body)
SELECT d.id, d.customer_id, lasts.sequence + d.place, d.event_id, 'feed', d.kind, d.order_id, d.body
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[], $7::uuid[], $8::text[])
    AS d (id, customer_id, place, event_id, kind, order_id, body)
JOIN lasts ON lasts.customer_id = d.customer_id
RETURNING id, sequence
