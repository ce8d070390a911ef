-- $1, $2: customers in order, and how many deliveries each one gets; the rest: one entry a delivery, with its customer
-- and how many of the customer's come after it. The feeds' rows are locked in the order of the customers, so that
-- batches never wait for each other in a circle, and stay locked until the commit: sequences become visible in order
-- and without gaps.
WITH moved AS (
    INSERT INTO feeds AS f (customer_id, last_sequence)
    SELECT n.customer_id, n.count
    FROM unnest($1::uuid[], $2::bigint[]) AS n (customer_id, count)
    ON CONFLICT (customer_id) DO UPDATE SET last_sequence = f.last_sequence + excluded.last_sequence
    RETURNING f.customer_id, f.last_sequence
)
INSERT INTO deliveries (id, customer_id, sequence, event_id, channel, kind, order_id, body)
SELECT d.id, d.customer_id, moved.last_sequence - d.later, d.event_id, 'feed', d.kind, d.order_id, d.body
FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::text[], $8::uuid[], $9::text[])
    AS d (id, customer_id, later, event_id, kind, order_id, body)
JOIN moved ON moved.customer_id = d.customer_id
RETURNING id, sequence
